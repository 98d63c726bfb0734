"""The small link's program, instruction by instruction, against the golden endpoint; whatever comes in."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from struct import pack
from unittest import mock

import numpy as np
import pytest

from backpulse.firmware_py.config import LEAN
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import BusError, Deframer, Frame, Opcode, Status
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.memory import STATE
from backpulse.firmware_py.registers import REG, REGISTER_WORDS, WINDOW_SHIFT, Window
from backpulse.gateware.link import grants
from backpulse.gateware.link import program as link_program
from backpulse.gateware.link.memory import data_image
from backpulse.gateware.link.microcode import Mode, Op, Port, Strobe, When

from .machines import flat

CONFIG = replace(LEAN, tile_rows=8, tiles=2, store_words=64, order_depth=128, page_bytes=16)
NONCES = [b"\0" * 8, b"01234567", b"01234568", b"\xff1234567"]


class Processor:
    """Executes the program; the machine behind its bus is a golden one."""

    def __init__(self, machine: GoldenMachine) -> None:
        self.machine, self.program = machine, link_program.link_program(machine.config)
        self.data = data_image(machine.config, bytes(32))
        self.pc = self.a = self.carry = self.x = self.word = self.low = 0
        self.crc, self.address, self.order = 0xFFFFFFFF, [0] * 4, list[int]()

    def run(self, line: Iterator[int]) -> bytes:
        """Work until the line has no more bytes; return what was sent."""
        sent = bytearray()
        lows = [0] * 3
        while True:
            word = self.program[self.pc]
            op, upper, operand = Op(word >> 12), word >> 9 & 7, word & 511
            self.pc += 1
            mode, at = upper & 3, operand
            if mode == Mode.INDEXED and op < Op.OUT:
                at = operand & 256 | self.x
                self.x = self.x + (upper >> 2) & 255
            if op <= Op.SBC or op == Op.LDX:
                source = self.data[at] if mode >= Mode.DIRECT else operand & 255
                if mode == Mode.PORT:
                    if operand == Port.LINE:
                        byte = next(line, None)
                        if byte is None:
                            self.pc -= 1
                            return bytes(sent)
                        source = byte
                    else:
                        source = (self.word >> 8 * operand, 0, ~self.crc, int(self.machine.state))[max(operand - 3, 0)] & 255
                if op == Op.LDX:
                    self.x = source
                elif op in (Op.LD, Op.AND):
                    self.a = source if op == Op.LD else self.a & source
                else:
                    carry = {Op.ADD: 0, Op.SUB: 1}.get(op, self.carry)
                    total = self.a + (source ^ (255 if op in (Op.SUB, Op.SBC) else 0)) + carry
                    self.a, self.carry = total & 255, total >> 8
            elif op == Op.ST:
                self.data[at] = self.a
            elif op == Op.OUT:
                for i in range(4):
                    if operand >> i & 1:
                        self.address[i] = self.a
                for i in range(3):
                    if operand >> (link_program.DATA_PORTS + i) & 1:
                        lows[i] = self.a
            elif op == Op.BUS:
                self.access(operand & 1, int.from_bytes(bytes((*lows, self.a)), "little"))
            elif op == Op.CRC:
                self.check(operand)
            elif op == Op.SEND:
                sent.append(self.a)
            elif op == Op.STROBE:
                self.strobe(operand, lows[0] | self.a << 8)
            elif self.taken(upper):
                self.pc = operand

    def taken(self, when: int) -> bool:
        """Say whether a jump is taken."""
        conditions = {When.ALWAYS: True, When.ZERO: not self.a, When.NOT_ZERO: bool(self.a), When.CARRY: bool(self.carry)}
        return conditions.get(When(when), not self.carry)

    def access(self, write: int, value: int) -> None:
        """Read or write the machine."""
        low, middle, upper, window = self.address
        address = window >> 4 << WINDOW_SHIFT | (upper & 15) << 16 | middle << 8 | low
        self.carry = 0
        try:
            if write:
                self.machine.write(address, value)
            else:
                self.word = self.machine.read(address)
        except BusError:
            self.carry = 1

    def check(self, operand: int) -> None:
        """Add a byte to the CRC, start anew or push a byte out."""
        if operand & 1:
            self.crc = 0xFFFFFFFF
            return
        for i in range(8):
            odd = (self.crc ^ self.a >> i) & 1 & ~(operand >> 1)
            self.crc = self.crc >> 1 ^ (0xEDB88320 if odd else 0)

    def strobe(self, operand: int, sample: int) -> None:
        """Tell the machine something."""
        for strobe in (Strobe.START, Strobe.HALT, Strobe.ABORT, Strobe.CLEAR_CREDIT):
            if operand >> strobe & 1:
                getattr(self.machine, strobe.name.lower())()
        if operand >> Strobe.ORDER & 1:
            assert self.machine.grant([sample]), "a sample without room"


class Fuzz:
    """Frames of all kinds for both ends."""

    def __init__(self, seed: int) -> None:
        self.random, self.seq, self.want, self.got = random.Random(seed), 0, b"", b""
        self.golden, self.machine = GoldenMachine(CONFIG), GoldenMachine(CONFIG)
        self.endpoint, self.processor = Endpoint(self.golden), Processor(self.machine)

    def send(self, data: bytes) -> None:
        """Give bytes to both ends."""
        want, got = self.endpoint.feed(data), self.processor.run(iter(data))
        assert got == want, f"{Deframer().feed(got)}, not {Deframer().feed(want)}, to {Deframer().feed(data)}"
        self.want += want

    def frame(self, opcode: int, payload: bytes = b"", seq: int | None = None) -> None:
        """Send a frame, by default with the next sequence number."""
        if seq is None:
            seq = self.seq
            self.seq = self.seq + 1 & 255
        self.send(Frame(opcode, seq, payload).encode())

    def address(self) -> int:
        """Return an address of some kind."""
        rng = self.random
        windows = [rng.choice(list(Window)).base + rng.getrandbits(rng.choice((2, 5, 7, 8, 10, 21)))] * 3
        return rng.choice([*windows, rng.randrange(REGISTER_WORDS + 4), rng.getrandbits(32), 0xFFFFFFFF, rng.randrange(12, 16) << 28])

    def payload(self, opcode: int) -> bytes:
        """Return mostly a sound payload of a command, sometimes any."""
        rng = self.random
        if rng.random() < 0.08:
            return rng.randbytes(rng.randrange(12))
        count = rng.choice([1, 1, 2, 3, 8, 60])
        match opcode:
            case Opcode.READ:
                return pack("<IB", self.address(), rng.choice([count] * 9 + [0, 61, 255]))
            case Opcode.WRITE:
                return pack(f"<I{count}I", self.address(), *(rng.getrandbits(32) for _ in range(count)))
            case Opcode.GRANT:
                count = rng.choice([1, 2, 5, 120, 121])
                return pack(f"<{count}H", *(rng.getrandbits(16) for _ in range(count)))
        return b""


def fuzz(seed: int, frames: int = 1500) -> Fuzz:
    """Send frames, repeated, ahead and behind, damaged ones and noise among them; insist that each status was seen."""
    t = Fuzz(seed)
    rng = t.random
    sent: list[tuple[int, bytes, int]] = [(Opcode.READ, b"", 0)]
    for _ in range(3):
        t.frame(Opcode.WRITE, pack("<II", 0, 1), 0)
    t.frame(Opcode.HELLO, b"short", 0)
    t.send(Frame(Opcode.HELLO, 0, NONCES[0]).encode())
    for _ in range(frames):
        kind = rng.random()
        if kind < 0.1:
            t.golden.memory.control[STATE] = t.machine.memory.control[STATE] = rng.getrandbits(2)
        if kind < 0.02:
            nonce = rng.choice(NONCES)
            if nonce != t.golden.session.to_bytes(8, "little"):
                t.seq = 0
            t.frame(Opcode.HELLO, nonce, rng.randrange(256))
        elif kind < 0.06:
            t.frame(rng.choice([Opcode.HALT, Opcode.ABORT]), rng.choice([b"", b"", b"x"]), rng.randrange(256))
        elif kind < 0.2:
            opcode, payload, seq = rng.choice(sent[-9:])
            t.frame(opcode, payload, seq)
        elif kind < 0.26:
            t.frame(Opcode.WRITE, pack("<II", 0, 7), (t.seq + rng.choice([1, 2, 100, -1, -7, -8, -9, -12, -16])) & 0xFF)
        elif kind < 0.34:
            damaged = bytearray(Frame(Opcode.WRITE, t.seq, pack("<II", 9, 9)).encode())
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            t.send(bytes(damaged) + b"\0")
        elif kind < 0.4:
            t.send(rng.randbytes(rng.randrange(1, 300)) + b"\0")
        else:
            opcode = rng.choice([*[Opcode.READ, Opcode.WRITE] * 4, *[Opcode.GRANT] * 3, Opcode.START, 0, 8, 130])
            payload = t.payload(opcode)
            sent.append((opcode, payload, t.seq))
            t.frame(opcode, payload)
    seen = Counter(frame.payload[0] for frame in Deframer().feed(t.want))
    assert all(seen[status] >= 3 for status in Status), seen
    return t


def equal(t: Fuzz) -> bool:
    """Say whether both machines are the same."""
    pairs = zip(flat(t.golden.memory), flat(t.machine.memory), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs) and t.golden._order.tolist() == t.machine._order.tolist()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_program(seed):
    assert equal(fuzz(seed))


def test_noise():
    t = Fuzz(5)
    for _ in range(4):
        t.send(t.random.randbytes(1000))
        t.send(bytes(t.random.randrange(3) for _ in range(200)))
    t.send(b"\0")
    t.frame(Opcode.HELLO, NONCES[1], 3)
    t.frame(Opcode.WRITE, pack("<II", REG["STRIDE"].address, 5), 0)
    assert t.machine.read(REG["STRIDE"].address) == 5


@pytest.mark.parametrize(
    ("part", "what", "value"),
    [
        (link_program, "MAX_WORDS", 61),
        (link_program, "WINDOW", 4),
        (link_program, "ANYTIME", frozenset({0, 6, 7})),
        (grants, "MAX_GRANT", 121),
    ],
)
def test_broken_rule(part, what, value):
    with mock.patch.object(part, what, value), pytest.raises(AssertionError):
        fuzz(1)


def test_deep_order():
    with pytest.raises(ValueError, match="order_depth must be at most 16384 if lean, not 32768"):
        link_program.link_program(replace(CONFIG, order_depth=32768))
