"""The program of the small link's processor: firmware_py/endpoint.py, instruction by instruction."""

from collections.abc import Sequence
from itertools import pairwise

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
from backpulse.gateware.link.microcode import (
    DATA_PORTS,
    Instruction,
    Listing,
    Op,
    Port,
    Strobe,
    When,
    assemble,
    direct,
    equal,
    immediate,
    indexed,
    jump,
    load,
    port,
    put,
    store,
)
from backpulse.gateware.link.registers import OVER_BUS, SETTINGS

__all__ = ["OFFSET_BITS", "link_program", "listing"]

OFFSET_BITS = 20
"""Bits of an offset that the small bus has; larger ones are errors everywhere."""


def link_program(config: Config) -> list[int]:
    """Return the processor's program."""
    words, _ = assemble(listing(config))
    return words


def listing(config: Config) -> Listing:
    """Return the instructions of the processor's program.

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
    return [
        receive(),
        _judge(),
        _hello(),
        _words(),
        _registers(),
        start(),
        grant(config.order_depth),
        answer(),
    ]


def _judge() -> Listing:
    """Check session and sequence number, and branch by opcode."""
    turns = (
        (Opcode.READ, "words"),
        (Opcode.WRITE, "words"),
        (Opcode.START, "start"),
        (Opcode.GRANT, "grant"),
    )
    return [
        "judge",
        put(0, FRESH),
        load(FRAME),
        equal(Opcode.HELLO, "hello"),
        load(OPENED),
        jump("opened", When.NOT_ZERO),
        finish(Status.NO_SESSION),
        "opened",
        _stop(Opcode.HALT, Strobe.HALT),
        _stop(Opcode.ABORT, Strobe.ABORT),
        load(FRAME + 1),
        immediate(Op.AND, WINDOW - 1),
        immediate(Op.ADD, STATUSES),
        store(SLOT),
        direct(Op.LDX, SLOT),
        load(EXPECTED),
        direct(Op.SUB, FRAME + 1),
        jump("new", When.ZERO),
        immediate(Op.SUB, WINDOW + 1),
        jump("out of turn", When.CARRY),
        indexed(Op.LD, 0),
        equal(Status.SEQUENCE, "out of turn"),
        load(FRAME),
        equal(Opcode.READ, "words"),
        indexed(Op.LD, 0),
        jump("finish"),
        "out of turn",
        load(EXPECTED),
        store(ANSWER + 3),
        put(4, COUNT),
        immediate(Op.LD, Status.SEQUENCE),
        jump("answer"),
        "new",
        put(1, FRESH),
        load(FRAME),
        _branches(turns),
        finish(Status.UNKNOWN_OPCODE),
    ]


def _stop(opcode: Opcode, strobe: Strobe) -> Listing:
    """HALT or ABORT, which are executed out of turn, too."""
    return [
        load(FRAME),
        equal(opcode, f"not {opcode.name}", When.NOT_ZERO),
        load(LENGTH),
        jump("bad length", When.NOT_ZERO),
        Instruction(Op.STROBE, 1 << strobe),
        jump("ok"),
        f"not {opcode.name}",
    ]


def _branches(labels: Sequence[tuple[int, str]]) -> Listing:
    """Jump to the label of the accumulator's value: what was subtracted for one counts for the next."""
    before = pairwise((0, *(value for value, _ in labels)))
    return [equal(value - less, label) for (less, value), (_, label) in zip(before, labels, strict=True)]


def _hello() -> Listing:
    return [
        "hello",
        load(LENGTH),
        equal(NONCE_BYTES, "bad length", When.NOT_ZERO),
        load(OPENED),
        store(SAME),
        immediate(Op.LDX, NONCE),
        immediate(Op.LD, NONCE_BYTES),
        "nonce",
        store(ONCE),
        indexed(Op.LD, 0),
        indexed(Op.SUB, 1),
        jump("equal", When.ZERO),
        put(0, SAME),
        "equal",
        indexed(Op.LD, 1),
        indexed(Op.ST, 0, count=True),
        load(ONCE),
        equal(1, "nonce", When.NOT_ZERO),
        load(SAME),
        jump("greet", When.NOT_ZERO),
        Instruction(Op.STROBE, 1 << Strobe.CLEAR_CREDIT),
        put(1, OPENED),
        put(Status.SEQUENCE, *range(STATUSES, STATUSES + WINDOW)),
        put(0, EXPECTED),
        "greet",
        put(ABI_VERSION, ANSWER + 3),
        put(0, *range(ANSWER + 4, ANSWER + 7)),
        load(EXPECTED),
        store(ANSWER + 7),
        load(SAME),
        store(ANSWER + 8),
        put(9, COUNT),
        immediate(Op.LD, Status.OK),
        jump("answer"),
    ]


def _words() -> Listing:
    """READ and WRITE: word after word, from data memory or over the bus."""
    return [
        "words",
        load(FRAME),
        equal(Opcode.READ, "write words", When.NOT_ZERO),
        load(LENGTH),
        equal(5, "bad length", When.NOT_ZERO),
        load(FRAME + 6),
        store(REST),
        jump("bad length", When.ZERO),
        immediate(Op.SUB, MAX_WORDS + 1),
        jump("bad length", When.CARRY),
        put(ANSWER + 3, AT),
        jump("word"),
        "write words",
        load(LENGTH),
        immediate(Op.AND, 3),
        jump("bad length", When.NOT_ZERO),
        load(LENGTH),
        immediate(Op.SUB, 8),
        jump("bad length", When.NO_CARRY),
        # A word was subtracted with the address; the remaining bytes are counted down by fours.
        immediate(Op.ADD, 4),
        store(REST),
        put(FRAME + 6, AT),
        "word",
        load(ADDRESS[3]),
        immediate(Op.AND, 0xFF << (WINDOW_SHIFT - 24)),
        store(GATE),
        _anytime("free"),
        port(Op.LD, Port.STATE),
        equal(State.TRAINING, "busy"),
        "free",
        # Offsets that are too large for any window.
        load(ADDRESS[3]),
        immediate(Op.AND, 0x0F),
        jump("bad address", When.NOT_ZERO),
        load(ADDRESS[2]),
        immediate(Op.AND, 0xFF << (OFFSET_BITS - 16)),
        jump("bad address", When.NOT_ZERO),
        [[load(at), Instruction(Op.OUT, 1 << i)] for i, at in enumerate(ADDRESS)],
        direct(Op.LDX, AT),
        load(GATE),
        jump("register", When.ZERO),
        "access",
        load(FRAME),
        equal(Opcode.READ, "read", When.ZERO),
        [[indexed(Op.LD, 1, count=True), Instruction(Op.OUT, 1 << (DATA_PORTS + i))] for i in range(3)],
        indexed(Op.LD, 1, count=True),
        Instruction(Op.BUS, 1),
        jump("bad address", When.CARRY),
        load(REST),
        immediate(Op.SUB, 4),
        store(REST),
        jump("further", When.NOT_ZERO),
        jump("ok"),
        "read",
        Instruction(Op.BUS),
        jump("bad address", When.CARRY),
        [[port(Op.LD, Port.WORD + i), indexed(Op.ST, 1, count=True)] for i in range(4)],
        "was read",
        load(REST),
        immediate(Op.SUB, 1),
        store(REST),
        jump("all read", When.ZERO),
        "further",
        load(AT),
        immediate(Op.ADD, 4),
        store(AT),
        # The last byte needs no carry: beyond OFFSET_BITS the access has failed.
        load(ADDRESS[0]),
        immediate(Op.ADD, 1),
        store(ADDRESS[0]),
        [[load(at), immediate(Op.ADC, 0), store(at)] for at in ADDRESS[1:3]],
        jump("word"),
        "all read",
        # From the answer's first byte to the last one of this word.
        load(AT),
        immediate(Op.SUB, ANSWER - 4),
        store(COUNT),
        put(Status.OK, STATUS),
        jump("done"),
    ]


def _anytime(label: str) -> Listing:
    """Jump if the accumulator is the uppermost byte of a window that answers at any time.

    Adjacent windows take one comparison: the number less the first of them is below their count.
    """
    edges = [n for n in range(1, 17) if (n in ANYTIME) != (n - 1 in ANYTIME)]
    return [
        [
            immediate(Op.SUB, edge - before << WINDOW_SHIFT - 24),
            [] if edge in ANYTIME else jump(label, When.NO_CARRY),
        ]
        for before, edge in pairwise((0, *edges))
    ]


def _registers() -> Listing:
    """The REGISTERS window: data memory, or the bus. X points to the word of the frame."""
    number = ADDRESS[0]
    scale, counter = REG["SCALE"], REG["COUNTER"]
    over_bus = [r.address for r in OVER_BUS]
    elsewhere = [
        (address, "access" if address in over_bus else "bad address")
        for address in sorted((*GAPS, *over_bus))
    ]
    return [
        "register",
        [[load(at), jump("bad address", When.NOT_ZERO)] for at in ADDRESS[1:3]],
        load(FRAME),
        equal(Opcode.READ, "set register", When.NOT_ZERO),
        load(number),
        _branches(elsewhere),
        load(number),
        immediate(Op.SUB, DIGESTS),
        jump("here", When.NO_CARRY),
        immediate(Op.SUB, REG["CONFIG_DIGEST"].address - DIGESTS),
        jump("bad address", When.NO_CARRY),
        immediate(Op.SUB, DIGEST_WORDS),
        jump("digest", When.NO_CARRY),
        immediate(Op.SUB, scale.count),
        jump("access", When.NO_CARRY),
        immediate(Op.SUB, counter.address - scale.address - scale.count),
        jump("bad address", When.NO_CARRY),
        "counter",
        immediate(Op.SUB, counter.count),
        jump("access", When.NO_CARRY),
        jump("bad address"),
        "digest",
        immediate(Op.ADD, DIGEST_WORDS),
        "here",
        immediate(Op.ADD, DIGESTS),
        _times_four(),
        # Two pointers share X.
        load(AT),
        store(BACK),
        immediate(Op.LD, 4),
        "byte of register",
        store(CODE),
        direct(Op.LDX, ONCE),
        indexed(Op.LD, 0),
        direct(Op.LDX, BACK),
        indexed(Op.ST, 1),
        [[load(pointer), immediate(Op.ADD, 1), store(pointer)] for pointer in (ONCE, BACK)],
        load(CODE),
        equal(1, "byte of register", When.NOT_ZERO),
        jump("was read"),
        "set register",
        load(number),
        immediate(Op.SUB, scale.address),
        jump("setting", When.NO_CARRY),
        # The last scale register is judged like the last counter.
        immediate(Op.ADD, counter.count - scale.count),
        jump("counter"),
        "setting",
        load(number),
        immediate(Op.SUB, SETTINGS[0].address),
        jump("bad address", When.NO_CARRY),
        immediate(Op.SUB, len(SETTINGS)),
        jump("bad address", When.CARRY),
        load(number),
        _times_four(),
        [[indexed(Op.LD, 1, count=True), store(byte)] for byte in BYTES],
        direct(Op.LDX, ONCE),
        [[load(byte), indexed(Op.ST, 0, count=True)] for byte in BYTES],
        # Bits beyond a register's width stay zero, in all of them, whichever was written.
        put(0, *(4 * r.address + byte for r in SETTINGS for byte in range(-(-r.bits // 8), 4))),
        [
            [load(byte), immediate(Op.AND, (1 << bits) - 1), store(byte)]
            for byte, bits in ((4 * r.address + r.bits // 8, r.bits % 8) for r in SETTINGS)
            if bits
        ],
        direct(Op.LDX, AT),
        jump("access"),
    ]


def _times_four() -> Listing:
    return [store(ONCE), direct(Op.ADD, ONCE), store(ONCE), direct(Op.ADD, ONCE), store(ONCE)]
