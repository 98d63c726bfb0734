"""The conformance bench: the list of what any tile must do, and the run through it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, NoReturn

from backpulse.host.array_bench import Bench, Figure, NotTestedError
from backpulse.host.array_checks_abort import aborts
from backpulse.host.array_checks_direct import arming, code_limits, converters, times
from backpulse.host.array_checks_pulse import budget, half_select, read_disturb, refusals, self_check, settled, signs
from backpulse.host.array_checks_read import edges, linearity, over_range, read_map_order, transpose, two_phase, zero
from backpulse.host.array_checks_scale import scaled
from backpulse.host.array_checks_trace import replayed
from backpulse.host.array_checks_windows import streams, windows
from backpulse.host.errors import HostError, InputError, LineBlockedError, LineLostError, NoAnswerError, SessionLostError

Status = Literal["passed", "failed", "not tested"]


@dataclass(frozen=True)
class Check:
    """One thing that any tile must do; several may have one number, of which hardware alone can show some."""

    number: int
    name: str
    test: Callable[[Bench], Figure]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a check went."""

    check: Check
    status: Status
    figure: Figure | None
    why: str
    """What the figure is of, or why there is none."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        figure = self.figure
        measured = {"value": figure.value, "limit": figure.limit, "unit": figure.unit, **figure.details} if figure else {}
        return {"number": self.check.number, "name": self.check.name, "status": self.status, "why": self.why, **measured}


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """How the conformance bench went.

    Parameters
    ----------
    results : list of Result
        Of each check: `check`, `status` (passed, failed, not tested), `figure`, `why`.
    about : dict
        Of which board: board, facts, limits, rows, cols, tiles, build.
    facts : dict
        What the array says that it is.
    """

    results: list[Result]
    about: dict[str, Any]
    facts: dict[str, Any]

    @property
    def failed(self) -> list[int]:
        """Numbers of the checks that failed."""
        return sorted({result.check.number for result in self.results if result.status == "failed"})

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array check`."""
        return {**self.about, "facts": self.facts, "checks": [result.to_dict() for result in self.results]}

    def save(self, path: str | Path) -> None:
        """Write the page of HTML, with pictures."""
        from backpulse.host.array_report import write_page  # which imports this

        write_page(Path(path), self.results, self.about)


def _not_yet(reason: str) -> Callable[[Bench], Figure]:
    def test(_: Bench) -> NoReturn:
        raise NotTestedError(reason)

    return test


_HARDWARE = _not_yet("hardware alone can show it")


CHECKS = (
    Check(1, "identity, capabilities, every window answers", windows),
    Check(2, "commands without and with pauses, each answered once", streams),
    Check(3, "read map: every line in its place, both ways", read_map_order),
    Check(4, "transposed map is the map", transpose),
    Check(5, "linearity", linearity),
    Check(6, "no drive reads zero", zero),
    Check(6, "zero over an hour", _HARDWARE),
    Check(7, "two phases cancel offsets", two_phase),
    Check(8, "over-range is said, and leaves nothing", over_range),
    Check(9, "edges of regions", edges),
    Check(10, "pulses: sign and count, each cell", signs),
    Check(11, "half-selected cells stay", half_select),
    Check(12, "reads disturb no cell", read_disturb),
    Check(13, "a read right behind a pulse", settled),
    Check(13, "cells over idle time", _HARDWARE),
    Check(14, "abort in the middle", aborts),
    Check(15, "arming by two words, off in the middle of a pulse", arming),
    Check(15, "interlock, lost clock, reset: lines at zero", _HARDWARE),
    Check(16, "pulse width, gap, delay and settling", times),
    Check(17, "no code beyond the limits", code_limits),
    Check(18, "budget of pulses, and the latch of a trip", budget),
    Check(19, "unknown profiles are refused", refusals),
    Check(19, "answers of converters at a wrong time", converters),
    Check(20, "replay: what is recorded is the golden model's", replayed),
    Check(21, "sense words: sign, codes, scaling by the calibration", scaled),
    Check(21, "calibration over time, and against known resistors", _HARDWARE),
    Check(22, "what comes back changes by the pulses", self_check),
)
"""Each check, in order. What a tile does not claim is not tested, and that is no pass."""
NUMBERS = sorted({check.number for check in CHECKS})
_LINE = (LineLostError, LineBlockedError, NoAnswerError, SessionLostError)
"""Errors of the line, which are not the array's."""


def chosen(only: str | None) -> list[Check]:
    """Return the checks of numbers joined by commas, all if there is no such text.

    Raises
    ------
    InputError
        If one is no number of a check.
    """
    if only is None:
        return list(CHECKS)
    numbers = [part.strip() for part in only.split(",")]
    for number in numbers:
        if not number.isdecimal() or int(number) not in NUMBERS:
            raise InputError(f"--only takes numbers of checks, {NUMBERS[0]} to {NUMBERS[-1]}, joined by commas, not {only!r}")
    return [check for check in CHECKS if str(check.number) in numbers]


def check_array(bench: Bench, checks: Sequence[Check], begin: Callable[[Check], None]) -> Iterator[Result]:
    """Make the checks, within `bench.kept`, and yield each result; `begin` is told which comes next.

    A check that the board ends with an error has failed, and the next one begins with the board at rest.

    Raises
    ------
    HostError
        If the line to the board breaks.
    """
    for check in checks:
        begin(check)
        begun = monotonic()
        bench.reseed(check.number)

        def result(status: Status, figure: Figure | None, why: str, check: Check = check, begun: float = begun) -> Result:
            return Result(check=check, status=status, figure=figure, why=why, seconds=monotonic() - begun)

        try:
            figure = check.test(bench)
        except NotTestedError as reason:
            yield result("not tested", None, str(reason))
        except _LINE:
            raise
        except InputError as reason:  # what a check needs does not fit the board, or is beyond a cell's budget
            bench.rest()
            bench.lay()
            yield result("not tested", None, str(reason))
        except HostError as error:
            bench.rest()
            bench.lay()
            yield result("failed", None, str(error))
        else:
            yield result("passed" if figure.passed else "failed", figure, figure.said)
