"""What the small link's processor does for START and GRANT."""

from backpulse.firmware_py.framing import MAX_GRANT, Status
from backpulse.firmware_py.registers import REG, State
from backpulse.gateware.link.bytes import finish
from backpulse.gateware.link.memory import BYTES, FRAME, LENGTH
from backpulse.gateware.link.microcode import DATA_PORTS, Assembler, Op, Port, Strobe, When

__all__ = ["grant", "start"]

ORDER_DEPTH_MAX = 1 << 14
"""Of twice the credit the processor looks at two bytes."""


def start(p: Assembler) -> None:
    """START: begin at ENTRY, unless the machine is running."""
    p.label("start")
    p.load(LENGTH)
    p.jump("bad length", When.NOT_ZERO)
    _running(p, "busy")
    p.emit(Op.STROBE, 0, 1 << Strobe.START)
    p.jump("ok")


def _running(p: Assembler, label: str) -> None:
    """Jump if the machine is training or paused."""
    p.port(Op.LD, Port.STATE)
    p.equal(State.TRAINING, label)
    p.equal(State.PAUSED - State.TRAINING, label)


def grant(p: Assembler, order_depth: int) -> None:
    """GRANT: queue samples, if all of them have room.

    Raises
    ------
    ValueError
        If the order is too deep for two bytes.
    """
    if order_depth > ORDER_DEPTH_MAX:
        raise ValueError(
            f"Configuration field order_depth must be at most {ORDER_DEPTH_MAX} if lean, not {order_depth}"
        )
    p.label("grant")
    p.load(LENGTH)
    p.jump("bad length", When.ZERO)
    p.immediate(Op.AND, 1)
    p.jump("bad length", When.NOT_ZERO)
    p.immediate(Op.LD, 2 * MAX_GRANT)
    p.direct(Op.SUB, LENGTH)
    p.jump("bad length", When.NO_CARRY)
    _running(p, "has room")
    finish(p, Status.NOT_RUNNING)
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
        p.store(BYTES[i])
    p.load(BYTES[0])
    p.direct(Op.ADD, LENGTH)
    p.store(BYTES[0])
    p.load(BYTES[1])
    p.immediate(Op.ADC, 0)
    p.store(BYTES[1])
    for i in range(2):
        p.immediate(Op.LD, 2 * order_depth >> 8 * i & 0xFF)
        p.direct(Op.SBC if i else Op.SUB, BYTES[i])
    p.jump("fits", When.CARRY)
    finish(p, Status.FULL)
    p.label("fits")
    p.immediate(Op.LDX, FRAME + 2)
    p.label("sample")
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.OUT, 0, 1 << DATA_PORTS)
    p.indexed(Op.LD, 1, count=True)
    p.emit(Op.STROBE, 0, 1 << Strobe.ORDER)
    p.load(LENGTH)
    p.immediate(Op.SUB, 2)
    p.store(LENGTH)
    p.jump("sample", When.NOT_ZERO)
    p.jump("ok")
