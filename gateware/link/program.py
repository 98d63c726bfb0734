"""The program of the small link's processor: firmware_py/endpoint.py, instruction by instruction."""

from backpulse.firmware_py.config import ABI_VERSION, Config
from backpulse.firmware_py.framing import MAX_WORDS, NONCE_BYTES, WINDOW, Opcode, Status
from backpulse.firmware_py.registers import ANYTIME, REG, WINDOW_SHIFT, State
from backpulse.gateware.link.bytes import answer, finish, receive
from backpulse.gateware.link.grants import grant, start
from backpulse.gateware.link.memory import (
    ADDRESS,
    ANSWER,
    AT,
    BACK,
    BYTES,
    CODE,
    COUNT,
    DIGEST_WORDS,
    DIGESTS,
    EXPECTED,
    FRAME,
    FRESH,
    GAPS,
    GATE,
    LENGTH,
    NONCE,
    ONCE,
    OPENED,
    REST,
    SAME,
    SLOT,
    STATUS,
    STATUSES,
)
from backpulse.gateware.link.microcode import DATA_PORTS, Assembler, Op, Port, Strobe, When
from backpulse.gateware.link.registers import OVER_BUS, SETTINGS

__all__ = ["OFFSET_BITS", "link_program"]

OFFSET_BITS = 20
"""Bits of an offset that the small bus has; larger ones are errors everywhere."""


def link_program(config: Config) -> list[int]:
    """Return the processor's program.

    Raises
    ------
    ValueError
        If the order is too deep for it, or the addresses of the settings have gaps.
    """
    first, last = SETTINGS[0], SETTINGS[-1]
    if last.address - first.address + 1 != len(SETTINGS):
        raise ValueError(
            f"Settings must have consecutive addresses if lean, but {len(SETTINGS)} are from "
            f"{first.address} ({first.name}) to {last.address} ({last.name})"
        )
    p = Assembler()
    receive(p)
    _judge(p)
    _hello(p)
    _words(p)
    _registers(p)
    start(p)
    grant(p, config.order_depth)
    answer(p)
    return p.finish()


def _judge(p: Assembler) -> None:
    """Check session and sequence number, and branch by opcode."""
    p.label("judge")
    p.set(0, FRESH)
    p.load(FRAME)
    p.equal(Opcode.HELLO, "hello")
    p.load(OPENED)
    p.jump("opened", When.NOT_ZERO)
    finish(p, Status.NO_SESSION)
    p.label("opened")
    for opcode, strobe in ((Opcode.HALT, Strobe.HALT), (Opcode.ABORT, Strobe.ABORT)):
        p.load(FRAME)
        p.equal(opcode, f"not {opcode.name}", When.NOT_ZERO)
        p.load(LENGTH)
        p.jump("bad length", When.NOT_ZERO)
        p.emit(Op.STROBE, 0, 1 << strobe)
        p.jump("ok")
        p.label(f"not {opcode.name}")
    p.load(FRAME + 1)
    p.immediate(Op.AND, WINDOW - 1)
    p.immediate(Op.ADD, STATUSES)
    p.store(SLOT)
    p.direct(Op.LDX, SLOT)
    p.load(EXPECTED)
    p.direct(Op.SUB, FRAME + 1)
    p.jump("new", When.ZERO)
    p.immediate(Op.SUB, WINDOW + 1)
    p.jump("out of turn", When.CARRY)
    p.indexed(Op.LD, 0)
    p.equal(Status.SEQUENCE, "out of turn")
    p.load(FRAME)
    p.equal(Opcode.READ, "words")
    p.indexed(Op.LD, 0)
    p.jump("finish")
    p.label("out of turn")
    p.load(EXPECTED)
    p.store(ANSWER + 3)
    p.set(4, COUNT)
    p.immediate(Op.LD, Status.SEQUENCE)
    p.jump("answer")
    p.label("new")
    p.set(1, FRESH)
    p.load(FRAME)
    before = 0
    for opcode, label in (
        (Opcode.READ, "words"),
        (Opcode.WRITE, "words"),
        (Opcode.START, "start"),
        (Opcode.GRANT, "grant"),
    ):
        p.equal(opcode - before, label)
        before = opcode
    finish(p, Status.UNKNOWN_OPCODE)


def _hello(p: Assembler) -> None:
    p.label("hello")
    p.load(LENGTH)
    p.equal(NONCE_BYTES, "bad length", When.NOT_ZERO)
    p.load(OPENED)
    p.store(SAME)
    p.immediate(Op.LDX, NONCE)
    p.immediate(Op.LD, NONCE_BYTES)
    p.label("nonce")
    p.store(ONCE)
    p.indexed(Op.LD, 0)
    p.indexed(Op.SUB, 1)
    p.jump("equal", When.ZERO)
    p.set(0, SAME)
    p.label("equal")
    p.indexed(Op.LD, 1)
    p.indexed(Op.ST, 0, count=True)
    p.load(ONCE)
    p.equal(1, "nonce", When.NOT_ZERO)
    p.load(SAME)
    p.jump("greet", When.NOT_ZERO)
    p.emit(Op.STROBE, 0, 1 << Strobe.CLEAR_CREDIT)
    p.set(1, OPENED)
    p.set(Status.SEQUENCE, *range(STATUSES, STATUSES + WINDOW))
    p.set(0, EXPECTED)
    p.label("greet")
    p.set(ABI_VERSION, ANSWER + 3)
    p.set(0, *range(ANSWER + 4, ANSWER + 7))
    for i, variable in enumerate((EXPECTED, SAME)):
        p.load(variable)
        p.store(ANSWER + 7 + i)
    p.set(9, COUNT)
    p.immediate(Op.LD, Status.OK)
    p.jump("answer")


def _words(p: Assembler) -> None:
    """READ and WRITE: word after word, from data memory or over the bus."""
    p.label("words")
    p.load(FRAME)
    p.equal(Opcode.READ, "write words", When.NOT_ZERO)
    p.load(LENGTH)
    p.equal(5, "bad length", When.NOT_ZERO)
    p.load(FRAME + 6)
    p.store(REST)
    p.jump("bad length", When.ZERO)
    p.immediate(Op.SUB, MAX_WORDS + 1)
    p.jump("bad length", When.CARRY)
    p.set(ANSWER + 3, AT)
    p.jump("word")
    p.label("write words")
    p.load(LENGTH)
    p.immediate(Op.AND, 3)
    p.jump("bad length", When.NOT_ZERO)
    p.load(LENGTH)
    p.immediate(Op.SUB, 8)
    p.jump("bad length", When.NO_CARRY)
    # A word was subtracted with the address; the remaining bytes are counted down by fours.
    p.immediate(Op.ADD, 4)
    p.store(REST)
    p.set(FRAME + 6, AT)

    p.label("word")
    p.load(ADDRESS[3])
    p.immediate(Op.AND, 0xFF << (WINDOW_SHIFT - 24))
    p.store(GATE)
    # Adjacent windows take one comparison: the number less the first of them is below their count.
    before = 0
    for window in sorted(ANYTIME):
        if window - 1 not in ANYTIME:
            count = next(n for n in range(1, 16) if window + n not in ANYTIME)
            if window > before:
                p.immediate(Op.SUB, window - before << WINDOW_SHIFT - 24)
            p.immediate(Op.SUB, count << WINDOW_SHIFT - 24)
            p.jump("free", When.NO_CARRY)
            before = window + count
    p.port(Op.LD, Port.STATE)
    p.equal(State.TRAINING, "busy")
    p.label("free")
    # Offsets that are too large for any window.
    p.load(ADDRESS[3])
    p.immediate(Op.AND, 0x0F)
    p.jump("bad address", When.NOT_ZERO)
    p.load(ADDRESS[2])
    p.immediate(Op.AND, 0xFF << (OFFSET_BITS - 16))
    p.jump("bad address", When.NOT_ZERO)
    for i, at in enumerate(ADDRESS):
        p.load(at)
        p.emit(Op.OUT, 0, 1 << i)
    p.direct(Op.LDX, AT)
    p.load(GATE)
    p.jump("register", When.ZERO)
    p.label("access")
    p.load(FRAME)
    p.equal(Opcode.READ, "read", When.ZERO)
    for i in range(4):
        p.indexed(Op.LD, 1, count=True)
        if i < 3:
            p.emit(Op.OUT, 0, 1 << (DATA_PORTS + i))
    p.emit(Op.BUS, 0, 1)
    p.jump("bad address", When.CARRY)
    p.load(REST)
    p.immediate(Op.SUB, 4)
    p.store(REST)
    p.jump("further", When.NOT_ZERO)
    p.jump("ok")
    p.label("read")
    p.emit(Op.BUS)
    p.jump("bad address", When.CARRY)
    for i in range(4):
        p.port(Op.LD, Port.WORD + i)
        p.indexed(Op.ST, 1, count=True)
    p.label("was read")
    p.load(REST)
    p.immediate(Op.SUB, 1)
    p.store(REST)
    p.jump("all read", When.ZERO)
    p.label("further")
    p.load(AT)
    p.immediate(Op.ADD, 4)
    p.store(AT)
    # The last byte needs no carry: beyond OFFSET_BITS the access has failed.
    for i, at in enumerate(ADDRESS[:3]):
        p.load(at)
        p.immediate(Op.ADC if i else Op.ADD, 0 if i else 1)
        p.store(at)
    p.jump("word")
    p.label("all read")
    # From the answer's first byte to the last one of this word.
    p.load(AT)
    p.immediate(Op.SUB, ANSWER - 4)
    p.store(COUNT)
    p.set(Status.OK, STATUS)
    p.jump("done")


def _registers(p: Assembler) -> None:
    """The REGISTERS window: data memory, or the bus. X points to the word of the frame."""
    number = ADDRESS[0]
    scale, counter = REG["SCALE"], REG["COUNTER"]
    over_bus = [r.address for r in OVER_BUS]
    p.label("register")
    for at in ADDRESS[1:3]:
        p.load(at)
        p.jump("bad address", When.NOT_ZERO)
    p.load(FRAME)
    p.equal(Opcode.READ, "set register", When.NOT_ZERO)
    p.load(number)
    before = 0
    for address in sorted((*GAPS, *over_bus)):
        p.equal(address - before, "access" if address in over_bus else "bad address")
        before = address
    p.load(number)
    p.immediate(Op.SUB, DIGESTS)
    p.jump("here", When.NO_CARRY)
    p.immediate(Op.SUB, REG["CONFIG_DIGEST"].address - DIGESTS)
    p.jump("bad address", When.NO_CARRY)
    p.immediate(Op.SUB, DIGEST_WORDS)
    p.jump("digest", When.NO_CARRY)
    p.immediate(Op.SUB, scale.count)
    p.jump("access", When.NO_CARRY)
    p.immediate(Op.SUB, counter.address - scale.address - scale.count)
    p.jump("bad address", When.NO_CARRY)
    p.immediate(Op.SUB, counter.count)
    p.jump("access", When.NO_CARRY)
    p.jump("bad address")

    p.label("digest")
    p.immediate(Op.ADD, DIGEST_WORDS)
    p.label("here")
    p.immediate(Op.ADD, DIGESTS)
    _times_four(p)
    # Two pointers share X.
    p.load(AT)
    p.store(BACK)
    p.immediate(Op.LD, 4)
    p.label("byte of register")
    p.store(CODE)
    p.direct(Op.LDX, ONCE)
    p.indexed(Op.LD, 0)
    p.direct(Op.LDX, BACK)
    p.indexed(Op.ST, 1)
    for pointer in (ONCE, BACK):
        p.load(pointer)
        p.immediate(Op.ADD, 1)
        p.store(pointer)
    p.load(CODE)
    p.equal(1, "byte of register", When.NOT_ZERO)
    p.jump("was read")

    p.label("set register")
    p.load(number)
    p.immediate(Op.SUB, scale.address)
    p.jump("setting", When.NO_CARRY)
    p.immediate(Op.SUB, scale.count)
    p.jump("access", When.NO_CARRY)
    p.jump("bad address")
    p.label("setting")
    p.load(number)
    p.immediate(Op.SUB, SETTINGS[0].address)
    p.jump("bad address", When.NO_CARRY)
    p.immediate(Op.SUB, len(SETTINGS))
    p.jump("bad address", When.CARRY)
    p.load(number)
    _times_four(p)
    for byte in BYTES:
        p.indexed(Op.LD, 1, count=True)
        p.store(byte)
    p.direct(Op.LDX, ONCE)
    for byte in BYTES:
        p.load(byte)
        p.indexed(Op.ST, 0, count=True)
    # Bits beyond a register's width stay zero, in all of them, whichever was written.
    p.set(0, *(4 * r.address + byte for r in SETTINGS for byte in range(-(-r.bits // 8), 4)))
    for register in SETTINGS:
        if register.bits % 8:
            uppermost = 4 * register.address + register.bits // 8
            p.load(uppermost)
            p.immediate(Op.AND, (1 << register.bits % 8) - 1)
            p.store(uppermost)
    p.direct(Op.LDX, AT)
    p.jump("access")


def _times_four(p: Assembler) -> None:
    for _ in range(2):
        p.store(ONCE)
        p.direct(Op.ADD, ONCE)
    p.store(ONCE)
