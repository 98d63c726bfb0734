"""What the small link's processor does: firmware_py/endpoint.py, instruction by instruction."""

from firmware_py.config import ABI_VERSION, CONFIG_WORDS, Config
from firmware_py.framing import (
    CRC_BYTES,
    CRC_RESIDUE,
    HEADER_BYTES,
    MAX_FRAME,
    MAX_GRANT,
    MAX_WORDS,
    MIN_FRAME,
    NONCE_BYTES,
    RESPONSE,
    WINDOW,
    Opcode,
    Status,
)
from firmware_py.registers import ANYTIME, REG, WINDOW_SHIFT, State

from .microcode import DATA_BYTES, Assembler, Op, Port, Strobe, When

__all__ = ["DATA_PORTS", "OFFSET_BITS", "data_image", "link_program"]

OFFSET_BITS = 20
"""Bits of an offset that the small bus has; larger ones are errors everywhere."""
DATA_PORTS = 4
"""Ports of OUT: four bytes of an address, then those of a word but for the last."""
ORDER_DEPTH_MAX = 1 << 14
"""Of twice the credit the processor looks at two bytes."""

# Page 0: the registers that are memory, the digests behind CONFIG without a gap, statuses, and in the gaps variables.
DIGESTS = REG["CONFIG"].address + CONFIG_WORDS
DIGEST_WORDS = REG["CONFIG_DIGEST"].count + REG["BUILD_DIGEST"].count
STATUSES = -(-4 * (DIGESTS + DIGEST_WORDS) // WINDOW) * WINDOW
NONCE = 4 * REG["SESSION"].address
ENTRY, BANK, STRIDE = (4 * REG[name].address for name in ("ENTRY", "BANK", "STRIDE"))
LIVE = tuple(REG[name].address for name in ("STATE", "FAULT", "CREDIT"))
GAPS = (3, 13, 14, 15)
_FREE = [4 * word + byte for word in (*GAPS, *LIVE) for byte in range(4)]
ONCE, LEFT, ROOM, BEGUN, LENGTH, STATUS, FRESH, EXPECTED, OPENED, SAME, AT, COUNT, BACK, CODE, REST, GATE, SLOT, *BYTES = _FREE[:21]
RESIDUE = _FREE[-CRC_BYTES]
# Page 1: the frame as it came, so that a nonce is where the session's is in page 0; behind the address of a READ or WRITE the answer.
FRAME = 256 + NONCE - HEADER_BYTES
ADDRESS = range(FRAME + 2, FRAME + 6)
ANSWER = FRAME + 5


def data_image(config: Config, build_digest: bytes) -> list[int]:
    """Return what data memory holds at first: the registers that never change, and the resets of the others."""
    words = [0] * (DATA_BYTES // 4)

    def place(address: int, values: list[int]) -> None:
        words[address : address + len(values)] = values

    for name in ("MAGIC", "CONFIG_WORDS", "ENTRY", "BANK", "STRIDE", "WATCHDOG"):
        place(REG[name].address, [REG[name].reset])
    place(REG["ABI"].address, [ABI_VERSION])
    place(REG["CONFIG"].address, config.to_words())
    digests = config.digest + build_digest
    place(DIGESTS, [int.from_bytes(digests[i : i + 4], "little") for i in range(0, len(digests), 4)])
    data = [word >> 8 * i & 0xFF for word in words for i in range(4)]
    data[STATUSES : STATUSES + WINDOW] = [Status.SEQUENCE] * WINDOW
    data[RESIDUE : RESIDUE + CRC_BYTES] = CRC_RESIDUE.to_bytes(CRC_BYTES, "little")
    return data


def link_program(config: Config) -> list[int]:
    """Return the processor's program.

    Raises
    ------
    ValueError
        If the order is too deep for it.
    """
    if config.order_depth > ORDER_DEPTH_MAX:
        raise ValueError(f"Configuration field order_depth must be at most {ORDER_DEPTH_MAX} if lean, not {config.order_depth}")
    p = Assembler()
    _receive(p)
    _judge(p)
    _hello(p)
    _words(p)
    _registers(p)
    _start(p)
    _grant(p, config)
    _answer(p)
    return p.finish()


def _load(p: Assembler, address: int) -> None:
    p.direct(Op.LD, address)


def _store(p: Assembler, address: int) -> None:
    p.direct(Op.ST, address)


def _set(p: Assembler, value: int, *addresses: int) -> None:
    p.immediate(Op.LD, value)
    for address in addresses:
        _store(p, address)


def _equal(p: Assembler, value: int, label: str, when: When = When.ZERO) -> None:
    """Subtract a constant, and go elsewhere if nothing is left."""
    p.immediate(Op.SUB, value)
    p.jump(label, when)


def _finish(p: Assembler, status: Status) -> None:
    p.immediate(Op.LD, status)
    p.jump("finish")


def _receive(p: Assembler) -> None:
    """Bytes to a frame: COBS, CRC and length."""
    _set(p, 0, OPENED)
    p.label("idle")
    p.emit(Op.CRC, 0, 1)
    p.immediate(Op.LDX, FRAME)
    _set(p, 0, LEFT, BEGUN)
    _set(p, MAX_FRAME + 1, ROOM)
    p.label("byte")
    p.port(Op.LD, Port.LINE)
    p.jump("delimiter", When.ZERO)
    _store(p, ONCE)
    _load(p, LEFT)
    p.jump("literal", When.NOT_ZERO)
    _load(p, ONCE)
    p.immediate(Op.SUB, 1)
    _store(p, LEFT)
    _load(p, BEGUN)
    p.jump("zero", When.NOT_ZERO)
    _set(p, 1, BEGUN)
    p.jump("byte")
    p.label("zero")
    p.immediate(Op.LD, 0)
    _store(p, ONCE)
    p.jump("take")
    p.label("literal")
    p.immediate(Op.SUB, 1)
    _store(p, LEFT)
    p.label("take")
    _load(p, ROOM)
    p.jump("byte", When.ZERO)
    p.immediate(Op.SUB, 1)
    _store(p, ROOM)
    _load(p, ONCE)
    p.indexed(Op.ST, 1, count=True)
    p.emit(Op.CRC)
    p.jump("byte")

    p.label("delimiter")
    _load(p, BEGUN)
    p.jump("byte", When.ZERO)
    _load(p, LEFT)
    p.jump("idle", When.NOT_ZERO)
    _load(p, ROOM)
    p.jump("idle", When.ZERO)
    # The room is MAX_FRAME + 1 less the length: no borrow, if the length is MIN_FRAME at least.
    p.immediate(Op.LD, MAX_FRAME + 1 - MIN_FRAME)
    p.direct(Op.SUB, ROOM)
    p.jump("idle", When.NO_CARRY)
    _store(p, LENGTH)
    p.immediate(Op.LDX, RESIDUE)
    p.immediate(Op.LD, CRC_BYTES)
    p.label("residue")
    _store(p, ONCE)
    p.port(Op.LD, Port.CRC)
    p.indexed(Op.SUB, 0, count=True)
    p.jump("idle", When.NOT_ZERO)
    p.emit(Op.CRC, 0, 2)
    _load(p, ONCE)
    _equal(p, 1, "residue", When.NOT_ZERO)


def _judge(p: Assembler) -> None:
    """The frame's turn: session, sequence number, opcode."""
    _set(p, 0, FRESH)
    _load(p, FRAME)
    _equal(p, Opcode.HELLO, "hello")
    _load(p, OPENED)
    p.jump("opened", When.NOT_ZERO)
    _finish(p, Status.NO_SESSION)
    p.label("opened")
    for opcode, strobe in ((Opcode.HALT, Strobe.HALT), (Opcode.ABORT, Strobe.ABORT)):
        _load(p, FRAME)
        _equal(p, opcode, f"not {opcode.name}", When.NOT_ZERO)
        _load(p, LENGTH)
        p.jump("bad length", When.NOT_ZERO)
        p.emit(Op.STROBE, 0, 1 << strobe)
        p.jump("ok")
        p.label(f"not {opcode.name}")
    _load(p, FRAME + 1)
    p.immediate(Op.AND, WINDOW - 1)
    p.immediate(Op.ADD, STATUSES)
    _store(p, SLOT)
    p.direct(Op.LDX, SLOT)
    _load(p, EXPECTED)
    p.direct(Op.SUB, FRAME + 1)
    p.jump("new", When.ZERO)
    p.immediate(Op.SUB, WINDOW + 1)
    p.jump("out of turn", When.CARRY)
    p.indexed(Op.LD, 0)
    _equal(p, Status.SEQUENCE, "out of turn")
    _load(p, FRAME)
    _equal(p, Opcode.READ, "words")
    p.indexed(Op.LD, 0)
    p.jump("finish")
    p.label("out of turn")
    _load(p, EXPECTED)
    _store(p, ANSWER + 3)
    _set(p, 4, COUNT)
    p.immediate(Op.LD, Status.SEQUENCE)
    p.jump("answer")
    p.label("new")
    _set(p, 1, FRESH)
    _load(p, FRAME)
    before = 0
    for opcode, label in ((Opcode.READ, "words"), (Opcode.WRITE, "words"), (Opcode.START, "start"), (Opcode.GRANT, "grant")):
        _equal(p, opcode - before, label)
        before = opcode
    _finish(p, Status.UNKNOWN_OPCODE)


def _hello(p: Assembler) -> None:
    p.label("hello")
    _load(p, LENGTH)
    _equal(p, NONCE_BYTES, "bad length", When.NOT_ZERO)
    _load(p, OPENED)
    _store(p, SAME)
    p.immediate(Op.LDX, NONCE)
    p.immediate(Op.LD, NONCE_BYTES)
    p.label("nonce")
    _store(p, ONCE)
    p.indexed(Op.LD, 0)
    p.indexed(Op.SUB, 1)
    p.jump("equal", When.ZERO)
    _set(p, 0, SAME)
    p.label("equal")
    p.indexed(Op.LD, 1)
    p.indexed(Op.ST, 0, count=True)
    _load(p, ONCE)
    _equal(p, 1, "nonce", When.NOT_ZERO)
    _load(p, SAME)
    p.jump("greet", When.NOT_ZERO)
    p.emit(Op.STROBE, 0, 1 << Strobe.CLEAR_CREDIT)
    _set(p, 1, OPENED)
    _set(p, Status.SEQUENCE, *range(STATUSES, STATUSES + WINDOW))
    _set(p, 0, EXPECTED)
    p.label("greet")
    _set(p, ABI_VERSION, ANSWER + 3)
    _set(p, 0, *range(ANSWER + 4, ANSWER + 7))
    for i, variable in enumerate((EXPECTED, SAME)):
        _load(p, variable)
        _store(p, ANSWER + 7 + i)
    _set(p, 9, COUNT)
    p.immediate(Op.LD, Status.OK)
    p.jump("answer")


def _words(p: Assembler) -> None:
    """READ and WRITE: word after word, through the bus or from what is here."""
    p.label("words")
    _load(p, FRAME)
    _equal(p, Opcode.READ, "write words", When.NOT_ZERO)
    _load(p, LENGTH)
    _equal(p, 5, "bad length", When.NOT_ZERO)
    _load(p, FRAME + 6)
    _store(p, REST)
    p.jump("bad length", When.ZERO)
    p.immediate(Op.SUB, MAX_WORDS + 1)
    p.jump("bad length", When.CARRY)
    _set(p, ANSWER + 3, AT)
    p.jump("word")
    p.label("write words")
    _load(p, LENGTH)
    p.immediate(Op.AND, 3)
    p.jump("bad length", When.NOT_ZERO)
    _load(p, LENGTH)
    p.immediate(Op.SUB, 8)
    p.jump("bad length", When.NO_CARRY)
    # A word was subtracted with the address; what is left is counted down by fours.
    p.immediate(Op.ADD, 4)
    _store(p, REST)
    _set(p, FRAME + 6, AT)

    p.label("word")
    _load(p, ADDRESS[3])
    p.immediate(Op.AND, 0xFF << (WINDOW_SHIFT - 24))
    _store(p, GATE)
    before = 0
    for window in sorted(ANYTIME):
        _equal(p, window - before << 4, "free")
        before = window
    p.port(Op.LD, Port.STATE)
    _equal(p, State.TRAINING, "busy")
    p.label("free")
    # Offsets that are too large for any window.
    _load(p, ADDRESS[3])
    p.immediate(Op.AND, 0x0F)
    p.jump("bad address", When.NOT_ZERO)
    _load(p, ADDRESS[2])
    p.immediate(Op.AND, 0xFF << (OFFSET_BITS - 16))
    p.jump("bad address", When.NOT_ZERO)
    for i, at in enumerate(ADDRESS):
        _load(p, at)
        p.emit(Op.OUT, 0, 1 << i)
    p.direct(Op.LDX, AT)
    _load(p, GATE)
    p.jump("register", When.ZERO)
    p.label("access")
    _load(p, FRAME)
    _equal(p, Opcode.READ, "read", When.ZERO)
    for i in range(4):
        p.indexed(Op.LD, 1, count=True)
        if i < 3:
            p.emit(Op.OUT, 0, 1 << (DATA_PORTS + i))
    p.emit(Op.BUS, 0, 1)
    p.jump("bad address", When.CARRY)
    _load(p, REST)
    p.immediate(Op.SUB, 4)
    _store(p, REST)
    p.jump("further", When.NOT_ZERO)
    p.jump("ok")
    p.label("read")
    p.emit(Op.BUS)
    p.jump("bad address", When.CARRY)
    for i in range(4):
        p.port(Op.LD, Port.WORD + i)
        p.indexed(Op.ST, 1, count=True)
    p.label("was read")
    _load(p, REST)
    p.immediate(Op.SUB, 1)
    _store(p, REST)
    p.jump("all read", When.ZERO)
    p.label("further")
    _load(p, AT)
    p.immediate(Op.ADD, 4)
    _store(p, AT)
    # No further: beyond OFFSET_BITS it has failed.
    for i, at in enumerate(ADDRESS[:3]):
        _load(p, at)
        p.immediate(Op.ADC if i else Op.ADD, 0 if i else 1)
        _store(p, at)
    p.jump("word")
    p.label("all read")
    # From the answer's first byte to the last one of this word.
    _load(p, AT)
    p.immediate(Op.SUB, ANSWER - 4)
    _store(p, COUNT)
    _set(p, Status.OK, STATUS)
    p.jump("done")


def _registers(p: Assembler) -> None:
    """The REGISTERS window: what is not here goes through the bus. X says where the word of the frame is."""
    number = ADDRESS[0]
    scale, counter = REG["SCALE"], REG["COUNTER"]
    p.label("register")
    for at in ADDRESS[1:3]:
        _load(p, at)
        p.jump("bad address", When.NOT_ZERO)
    _load(p, FRAME)
    _equal(p, Opcode.READ, "set register", When.NOT_ZERO)
    _load(p, number)
    before = 0
    for address in sorted((*GAPS, *LIVE)):
        _equal(p, address - before, "access" if address in LIVE else "bad address")
        before = address
    _load(p, number)
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
    # To and fro with one X.
    _load(p, AT)
    _store(p, BACK)
    p.immediate(Op.LD, 4)
    p.label("byte of register")
    _store(p, CODE)
    p.direct(Op.LDX, ONCE)
    p.indexed(Op.LD, 0)
    p.direct(Op.LDX, BACK)
    p.indexed(Op.ST, 1)
    for pointer in (ONCE, BACK):
        _load(p, pointer)
        p.immediate(Op.ADD, 1)
        _store(p, pointer)
    _load(p, CODE)
    _equal(p, 1, "byte of register", When.NOT_ZERO)
    p.jump("was read")

    p.label("set register")
    _load(p, number)
    p.immediate(Op.SUB, scale.address)
    p.jump("setting", When.NO_CARRY)
    p.immediate(Op.SUB, scale.count)
    p.jump("access", When.NO_CARRY)
    p.jump("bad address")
    p.label("setting")
    _load(p, number)
    p.immediate(Op.SUB, REG["ENTRY"].address)
    p.jump("bad address", When.NO_CARRY)
    p.immediate(Op.SUB, REG["WATCHDOG"].address - REG["ENTRY"].address + 1)
    p.jump("bad address", When.CARRY)
    _load(p, number)
    _times_four(p)
    for byte in BYTES:
        p.indexed(Op.LD, 1, count=True)
        _store(p, byte)
    p.direct(Op.LDX, ONCE)
    for byte in BYTES:
        _load(p, byte)
        p.indexed(Op.ST, 0, count=True)
    # What no register has, whichever it was.
    _set(p, 0, ENTRY + 2, ENTRY + 3, STRIDE + 2, STRIDE + 3, *range(BANK + 1, BANK + 4))
    _load(p, BANK)
    p.immediate(Op.AND, 1)
    _store(p, BANK)
    p.direct(Op.LDX, AT)
    p.jump("access")


def _times_four(p: Assembler) -> None:
    for _ in range(2):
        _store(p, ONCE)
        p.direct(Op.ADD, ONCE)
    _store(p, ONCE)


def _start(p: Assembler) -> None:
    p.label("start")
    _load(p, LENGTH)
    p.jump("bad length", When.NOT_ZERO)
    _running(p, "busy")
    p.emit(Op.STROBE, 0, 1 << Strobe.START)
    p.jump("ok")


def _running(p: Assembler, label: str) -> None:
    """Go elsewhere if the machine is at work or paused."""
    p.port(Op.LD, Port.STATE)
    _equal(p, State.TRAINING, label)
    _equal(p, State.PAUSED - State.TRAINING, label)


def _grant(p: Assembler, config: Config) -> None:
    p.label("grant")
    _load(p, LENGTH)
    p.jump("bad length", When.ZERO)
    p.immediate(Op.AND, 1)
    p.jump("bad length", When.NOT_ZERO)
    p.immediate(Op.LD, 2 * MAX_GRANT)
    p.direct(Op.SUB, LENGTH)
    p.jump("bad length", When.NO_CARRY)
    _running(p, "has room")
    _finish(p, Status.NOT_RUNNING)
    p.label("has room")
    # Twice the credit and the samples must be no more than twice the depth.
    p.immediate(Op.LD, REG["CREDIT"].address)
    p.emit(Op.OUT, 0, 1)
    p.immediate(Op.LD, 0)
    p.emit(Op.OUT, 0, 0b1110)
    p.emit(Op.BUS)
    for i in range(2):
        p.port(Op.LD, Port.WORD + i)
        p.port(Op.ADC if i else Op.ADD, Port.WORD + i)
        _store(p, BYTES[i])
    _load(p, BYTES[0])
    p.direct(Op.ADD, LENGTH)
    _store(p, BYTES[0])
    _load(p, BYTES[1])
    p.immediate(Op.ADC, 0)
    _store(p, BYTES[1])
    for i in range(2):
        p.immediate(Op.LD, 2 * config.order_depth >> 8 * i & 0xFF)
        p.direct(Op.SBC if i else Op.SUB, BYTES[i])
    p.jump("fits", When.CARRY)
    _finish(p, Status.FULL)
    p.label("fits")
    p.immediate(Op.LDX, FRAME + 2)
    p.label("sample")
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.OUT, 0, 1 << DATA_PORTS)
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.STROBE, 0, 1 << Strobe.ORDER)
    _load(p, LENGTH)
    p.immediate(Op.SUB, 2)
    _store(p, LENGTH)
    p.jump("sample", When.NOT_ZERO)
    p.jump("ok")


def _answer(p: Assembler) -> None:
    """Keep the status, add the CRC, send with COBS."""
    for label, status in (
        ("bad length", Status.BAD_LENGTH),
        ("bad address", Status.BAD_ADDRESS),
        ("busy", Status.BUSY),
    ):
        p.label(label)
        _finish(p, status)
    p.label("ok")
    p.immediate(Op.LD, Status.OK)
    p.label("finish")
    _store(p, STATUS)
    _set(p, 3, COUNT)
    p.label("done")
    _load(p, FRESH)
    p.jump("not fresh", When.ZERO)
    p.direct(Op.LDX, SLOT)
    _load(p, STATUS)
    p.indexed(Op.ST, 0)
    _load(p, EXPECTED)
    p.immediate(Op.ADD, 1)
    _store(p, EXPECTED)
    p.label("not fresh")
    _load(p, STATUS)

    p.label("answer")
    _store(p, ANSWER + 2)
    _load(p, FRAME + 1)
    _store(p, ANSWER + 1)
    _load(p, FRAME)
    p.immediate(Op.AND, RESPONSE - 1)
    p.immediate(Op.ADD, RESPONSE)
    _store(p, ANSWER)
    p.emit(Op.CRC, 0, 1)
    _set(p, ANSWER, BACK)
    p.direct(Op.LDX, BACK)
    _load(p, COUNT)
    p.label("check")
    _store(p, REST)
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.CRC)
    _load(p, REST)
    _equal(p, 1, "check", When.NOT_ZERO)
    p.immediate(Op.LD, CRC_BYTES)
    p.label("add")
    _store(p, REST)
    p.port(Op.LD, Port.CRC)
    p.indexed(Op.ST, 1, count=True)
    p.emit(Op.CRC, 0, 2)
    _load(p, REST)
    _equal(p, 1, "add", When.NOT_ZERO)
    _load(p, COUNT)
    p.immediate(Op.ADD, CRC_BYTES)
    _store(p, REST)

    # A block: from BACK to the next zero, or to the end.
    p.label("block")
    p.direct(Op.LDX, BACK)
    _set(p, 1, CODE)
    p.label("scan")
    _load(p, REST)
    p.jump("send block", When.ZERO)
    p.immediate(Op.SUB, 1)
    _store(p, REST)
    p.indexed(Op.LD, 1, count=True)
    p.jump("send and go on", When.ZERO)
    _load(p, CODE)
    p.immediate(Op.ADD, 1)
    _store(p, CODE)
    p.jump("scan")
    p.label("send and go on")
    p.immediate(Op.LD, 1)
    p.label("send block")
    _store(p, GATE)
    _load(p, CODE)
    p.emit(Op.SEND)
    p.direct(Op.LDX, BACK)
    _load(p, BACK)
    p.direct(Op.ADD, CODE)
    _store(p, BACK)
    p.label("send byte")
    _load(p, CODE)
    p.immediate(Op.SUB, 1)
    _store(p, CODE)
    p.jump("sent", When.ZERO)
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.SEND)
    p.jump("send byte")
    p.label("sent")
    _load(p, GATE)
    p.jump("block", When.NOT_ZERO)
    p.emit(Op.SEND)
    p.jump("idle")
