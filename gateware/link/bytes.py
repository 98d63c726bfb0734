"""What the small link's processor does with bytes: the line's to a frame, an answer's to the line."""

from backpulse.firmware_py.framing import CRC_BYTES, MAX_FRAME, MIN_FRAME, RESPONSE, Status
from backpulse.gateware.link.memory import (
    ANSWER,
    BACK,
    BEGUN,
    CODE,
    COUNT,
    EXPECTED,
    FRAME,
    FRESH,
    GATE,
    LEFT,
    LENGTH,
    ONCE,
    OPENED,
    RESIDUE,
    REST,
    ROOM,
    SLOT,
    STATUS,
)
from backpulse.gateware.link.microcode import Assembler, Op, Port, When

__all__ = ["answer", "finish", "receive"]


def receive(p: Assembler) -> None:
    """Bytes to a frame: COBS, CRC and length."""
    p.set(0, OPENED)
    p.label("idle")
    p.emit(Op.CRC, 0, 1)
    p.immediate(Op.LDX, FRAME)
    p.set(0, LEFT, BEGUN)
    p.set(MAX_FRAME + 1, ROOM)
    p.label("byte")
    p.port(Op.LD, Port.LINE)
    p.jump("delimiter", When.ZERO)
    p.store(ONCE)
    p.load(LEFT)
    p.jump("literal", When.NOT_ZERO)
    p.load(ONCE)
    p.immediate(Op.SUB, 1)
    p.store(LEFT)
    p.load(BEGUN)
    p.jump("zero", When.NOT_ZERO)
    p.set(1, BEGUN)
    p.jump("byte")
    p.label("zero")
    p.immediate(Op.LD, 0)
    p.store(ONCE)
    p.jump("take")
    p.label("literal")
    p.immediate(Op.SUB, 1)
    p.store(LEFT)
    p.label("take")
    p.load(ROOM)
    p.jump("byte", When.ZERO)
    p.immediate(Op.SUB, 1)
    p.store(ROOM)
    p.load(ONCE)
    p.indexed(Op.ST, 1, count=True)
    p.emit(Op.CRC)
    p.jump("byte")

    p.label("delimiter")
    p.load(BEGUN)
    p.jump("byte", When.ZERO)
    p.load(LEFT)
    p.jump("idle", When.NOT_ZERO)
    p.load(ROOM)
    p.jump("idle", When.ZERO)
    # The room is MAX_FRAME + 1 less the length: no borrow, if the length is MIN_FRAME at least.
    p.immediate(Op.LD, MAX_FRAME + 1 - MIN_FRAME)
    p.direct(Op.SUB, ROOM)
    p.jump("idle", When.NO_CARRY)
    p.store(LENGTH)
    p.immediate(Op.LDX, RESIDUE)
    p.immediate(Op.LD, CRC_BYTES)
    p.label("residue")
    p.store(ONCE)
    p.port(Op.LD, Port.CRC)
    p.indexed(Op.SUB, 0, count=True)
    p.jump("idle", When.NOT_ZERO)
    p.emit(Op.CRC, 0, 2)
    p.load(ONCE)
    p.equal(1, "residue", When.NOT_ZERO)


def finish(p: Assembler, status: Status) -> None:
    """Answer with no more than a status."""
    p.immediate(Op.LD, status)
    p.jump("finish")


def answer(p: Assembler) -> None:
    """Keep the status, add the CRC, send with COBS."""
    for label, status in (
        ("bad length", Status.BAD_LENGTH),
        ("bad address", Status.BAD_ADDRESS),
        ("busy", Status.BUSY),
    ):
        p.label(label)
        finish(p, status)
    p.label("ok")
    p.immediate(Op.LD, Status.OK)
    p.label("finish")
    p.store(STATUS)
    p.set(3, COUNT)
    p.label("done")
    p.load(FRESH)
    p.jump("not fresh", When.ZERO)
    p.direct(Op.LDX, SLOT)
    p.load(STATUS)
    p.indexed(Op.ST, 0)
    p.load(EXPECTED)
    p.immediate(Op.ADD, 1)
    p.store(EXPECTED)
    p.label("not fresh")
    p.load(STATUS)

    p.label("answer")
    p.store(ANSWER + 2)
    p.load(FRAME + 1)
    p.store(ANSWER + 1)
    p.load(FRAME)
    p.immediate(Op.AND, RESPONSE - 1)
    p.immediate(Op.ADD, RESPONSE)
    p.store(ANSWER)
    p.emit(Op.CRC, 0, 1)
    p.set(ANSWER, BACK)
    p.direct(Op.LDX, BACK)
    p.load(COUNT)
    p.label("check")
    p.store(REST)
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.CRC)
    p.load(REST)
    p.equal(1, "check", When.NOT_ZERO)
    p.immediate(Op.LD, CRC_BYTES)
    p.label("add")
    p.store(REST)
    p.port(Op.LD, Port.CRC)
    p.indexed(Op.ST, 1, count=True)
    p.emit(Op.CRC, 0, 2)
    p.load(REST)
    p.equal(1, "add", When.NOT_ZERO)
    p.load(COUNT)
    p.immediate(Op.ADD, CRC_BYTES)
    p.store(REST)

    # A block: from BACK to the next zero, or to the end.
    p.label("block")
    p.direct(Op.LDX, BACK)
    p.set(1, CODE)
    p.label("scan")
    p.load(REST)
    p.jump("send block", When.ZERO)
    p.immediate(Op.SUB, 1)
    p.store(REST)
    p.indexed(Op.LD, 1, count=True)
    p.jump("send and go on", When.ZERO)
    p.load(CODE)
    p.immediate(Op.ADD, 1)
    p.store(CODE)
    p.jump("scan")
    p.label("send and go on")
    p.immediate(Op.LD, 1)
    p.label("send block")
    p.store(GATE)
    p.load(CODE)
    p.emit(Op.SEND)
    p.direct(Op.LDX, BACK)
    p.load(BACK)
    p.direct(Op.ADD, CODE)
    p.store(BACK)
    p.label("send byte")
    p.load(CODE)
    p.immediate(Op.SUB, 1)
    p.store(CODE)
    p.jump("sent", When.ZERO)
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.SEND)
    p.jump("send byte")
    p.label("sent")
    p.load(GATE)
    p.jump("block", When.NOT_ZERO)
    p.emit(Op.SEND)
    p.jump("idle")
