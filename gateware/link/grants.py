"""What the small link's processor does for START and GRANT."""

from backpulse.firmware_py.framing import MAX_GRANT, Status
from backpulse.firmware_py.registers import REG, State
from backpulse.gateware.link.bytes import finish
from backpulse.gateware.link.memory import BYTES, FRAME, LENGTH
from backpulse.gateware.link.microcode import (
    DATA_PORTS,
    Instruction,
    Listing,
    Op,
    Port,
    Strobe,
    When,
    direct,
    equal,
    immediate,
    indexed,
    jump,
    load,
    port,
    store,
)

__all__ = ["grant", "start"]

ORDER_DEPTH_MAX = 1 << 14
"""Of twice the credit the processor looks at two bytes."""


def start() -> Listing:
    """START: begin at ENTRY, unless the machine is running."""
    return [
        "start",
        load(LENGTH),
        jump("bad length", When.NOT_ZERO),
        _running("busy"),
        Instruction(Op.STROBE, 1 << Strobe.START),
        jump("ok"),
    ]


def _running(label: str) -> Listing:
    """Jump if the machine is training or paused."""
    return [
        port(Op.LD, Port.STATE),
        equal(State.TRAINING, label),
        equal(State.PAUSED - State.TRAINING, label),
    ]


def grant(order_depth: int) -> Listing:
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
    return [
        "grant",
        load(LENGTH),
        jump("bad length", When.ZERO),
        immediate(Op.AND, 1),
        jump("bad length", When.NOT_ZERO),
        immediate(Op.LD, 2 * MAX_GRANT),
        direct(Op.SUB, LENGTH),
        jump("bad length", When.NO_CARRY),
        _running("has room"),
        finish(Status.NOT_RUNNING),
        "has room",
        # Twice the credit and the samples must be no more than twice the depth.
        immediate(Op.LD, REG["CREDIT"].address),
        Instruction(Op.OUT, 1),
        immediate(Op.LD, 0),
        Instruction(Op.OUT, 0b1110),
        Instruction(Op.BUS),
        port(Op.LD, Port.WORD),
        port(Op.ADD, Port.WORD),
        store(BYTES[0]),
        port(Op.LD, Port.WORD + 1),
        port(Op.ADC, Port.WORD + 1),
        store(BYTES[1]),
        load(BYTES[0]),
        direct(Op.ADD, LENGTH),
        store(BYTES[0]),
        load(BYTES[1]),
        immediate(Op.ADC, 0),
        store(BYTES[1]),
        immediate(Op.LD, 2 * order_depth),
        direct(Op.SUB, BYTES[0]),
        immediate(Op.LD, 2 * order_depth >> 8),
        direct(Op.SBC, BYTES[1]),
        jump("fits", When.CARRY),
        finish(Status.FULL),
        "fits",
        immediate(Op.LDX, FRAME + 2),
        "sample",
        indexed(Op.LD, 1, count=True),
        Instruction(Op.OUT, 1 << DATA_PORTS),
        indexed(Op.LD, 1, count=True),
        Instruction(Op.STROBE, 1 << Strobe.ORDER),
        load(LENGTH),
        immediate(Op.SUB, 2),
        store(LENGTH),
        jump("sample", When.NOT_ZERO),
        jump("ok"),
    ]
