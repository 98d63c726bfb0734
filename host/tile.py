"""What a board says of what answers behind its tile contract: the words of the ARRAY window, and what its failures mean."""

from typing import Any

from backpulse.firmware_py.framing import Status
from backpulse.firmware_py.isa import MOST_PROFILES
from backpulse.firmware_py.real import EXACT
from backpulse.firmware_py.registers import CAUSE_AT, ArrayWord, Capability, Cause, Fault, TileKind, TileState, Window
from backpulse.firmware_py.tile_facts import EMULATED, TileFacts
from backpulse.host.errors import FaultError, HostError, RefusedError
from backpulse.host.link import Link

CLEAR = "then clear the trip with `backpulse array clear`"

FAULTS = {
    Fault.UNKNOWN_WORD: ("an instruction that it does not know", "load a program that this version compiled"),
    Fault.WATCHDOG: (
        "the tile gave no sign of progress for as many clock cycles as register WATCHDOG allows",
        "look for what it waits for, or allow slow pulses more",
    ),
    Fault.ABORTED: ("another program or the line's end aborted it", "restart it, and go on from the last checkpoint with --resume"),
    Fault.BAD_OPERAND: (
        "a region, vector or profile that the board does not have",
        "restart it, and go on from the last checkpoint with --resume",
    ),
    Fault.TILE: ("the array's front end failed, or switched its drivers off: the cause says why", "see the causes"),
}
"""Fault codes: what has happened, and what to do."""

CAUSES = {
    Cause.NONE: ("it gave no cause", f"look at the front end's own log, {CLEAR}"),
    Cause.INTERLOCK: ("the interlock is open", f"close the lid or switch that opened it, {CLEAR}"),
    Cause.WIDTH: ("a pulse would have been longer than the limit", f"lower the pulse width of the profile, or raise the limit, {CLEAR}"),
    Cause.BUDGET: ("the budget of pulses is used up", f"grant the array a new budget, {CLEAR}"),
    Cause.CRC: ("a converter's word came with a wrong check sum", f"check the cable between controller and front end, {CLEAR}"),
    Cause.RAIL: ("a driver or amplifier stood at its rail", f"look for a short, or choose a lower drive or sense range, {CLEAR}"),
    Cause.ALIVE: ("the front end no longer saw the controller's sign of life", f"check clock and cable of the controller, {CLEAR}"),
    Cause.SUPPLY: ("a supply is out of its range", f"check the front end's supplies, {CLEAR}"),
    Cause.CONVERTER: ("a converter did not answer in time", f"check power and cable of the front end, {CLEAR}"),
    Cause.MISCOUNT: (
        "it says that it was asked for other pulses than the controller sent",
        "run `backpulse array check`: the front end is not to be trusted until it passes",
    ),
    Cause.UNARMED: ("its drivers are off until somebody has said what they may do", "arm it with `backpulse array arm`"),
}
"""Causes of a tile's failure: what has happened, and what to do."""


def is_exact(facts: TileFacts) -> bool:
    """Say whether an array's cells can be written, and read such that a run goes on from them with the same bits."""
    return EXACT in facts.capabilities


def facts_text(facts: TileFacts) -> str:
    """Return what an array is and claims in a line."""
    can = ", ".join(_claims(facts)) or "no claims"
    profiles = f"{facts.profiles} profile{'s' * (facts.profiles != 1)}"
    return f"{facts.kind.name.lower()} array: {can}; {profiles}, safe within {facts.safe_cycles} cycles"


def facts_dict(facts: TileFacts) -> dict[str, Any]:
    """Return the same as JSON has it."""
    return {
        "kind": facts.kind.name.lower(),
        "capabilities": _claims(facts),
        "profiles": facts.profiles,
        "safe_cycles": facts.safe_cycles,
    }


def read_facts(link: Link) -> TileFacts:
    """Ask a board what its tile is.

    Raises
    ------
    HostError
        If its words say what this version does not know.
    """
    try:
        words = link.read_words(Window.ARRAY.base, ArrayWord.SAFE_CYCLES + 1)
    except RefusedError as error:
        if error.status is not Status.BAD_ADDRESS:
            raise
        return EMULATED
    kind, claims, profiles, safe_cycles = words
    if kind not in set(TileKind) or not 1 <= profiles <= MOST_PROFILES:
        raise HostError(
            f"The board's array is of kind {kind} with {profiles} profiles, "
            f"and this program knows kinds 1 to {max(TileKind)} with 1 to {MOST_PROFILES}",
            "use the program of the board's version",
        )
    known = Capability(claims & (max(Capability) << 1) - 1)
    return TileFacts(kind=TileKind(kind), capabilities=known, profiles=profiles, safe_cycles=safe_cycles)


def read_state(link: Link) -> tuple[TileState, int]:
    """Return how a tile stands, and why it has tripped (0 if it has not)."""
    state, trip = link.read_words(Window.ARRAY.base + ArrayWord.STATE, 2)
    return TileState(state & (max(TileState) << 1) - 1), trip & 0xFF


def tripped(trip: int) -> FaultError:
    """Return what to tell of an array that has switched its drivers off."""
    what, advice = cause_of(trip)
    return FaultError(f"The array has tripped: {what} (cause {_name(trip)})", advice, fault=Fault.TILE, cause=trip)


def cause_of(cause: int) -> tuple[str, str]:
    """Return what a cause means, and what to do; also of one that this version does not know."""
    unknown = (f"cause {cause}, which this version does not know", f"look at the front end's documentation, {CLEAR}")
    return CAUSES[Cause(cause)] if cause in set(Cause) else unknown


def fault_error(word: int, at: int, done: int) -> FaultError:
    """Return what to tell of a board that stopped with a fault: the low half of FAULT, its program address, the samples done."""
    code, cause = word & 0xFF, word >> CAUSE_AT
    name = Fault(code).name if code in set(Fault) else str(code)
    unknown = ("a fault that this version does not know", "restart it, and go on from the last checkpoint with --resume")
    what, advice = FAULTS.get(Fault(code), unknown) if code in set(Fault) else unknown
    if code == Fault.TILE:
        what, advice = cause_of(cause)
        what = f"{what} (cause {_name(cause)})"
    told = f"The board stopped with fault {name} at program address {at}, after {done} samples of this run: {what}"
    return FaultError(told, advice, fault=code, cause=cause, done=done)


def missed(asked: int, count: int) -> str:
    """Return the remark on pulses that were asked for and not done."""
    share = 100 * count / asked if asked else 100.0
    return f"The array did not do {count:,} of {asked:,} pulses ({share:.2g} %): cells there are not what the run meant them to be"


def _claims(facts: TileFacts) -> list[str]:
    return [claim.name.lower().replace("_", "-") for claim in Capability if claim in facts.capabilities and claim.name]


def _name(cause: int) -> str:
    return Cause(cause).name if cause in set(Cause) else str(cause)
