"""One run of a program over samples: what is granted ahead, the looks at the board meanwhile, and the signs that it does not go on."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.framing import Opcode
from backpulse.firmware_py.registers import LOSS_FRAC, REG, Counter, State
from backpulse.host.commands import Request, check, command, granted, reads, words, writes
from backpulse.host.errors import AbortedError, HostError, LinkError, NoProgressError
from backpulse.host.readers import OutputReader, RingReader
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.tile import fault_error

if TYPE_CHECKING:
    from backpulse.host.board import Board

AHEAD_S = 0.5
"""Training that a board is granted ahead at its own rate, besides what it does while commands and answers travel."""
ROUND_TRIPS_AHEAD = 4
"""Round trips of training granted ahead: half of it lasts until the next look has come back and the grant behind it has arrived."""
FIRST_AHEAD = 32
"""Samples granted ahead before a rate is known."""
PATIENCE_S = 10.0
"""Time in which a board that answers must do a sample, or stop; more where the line is forgiven more."""
REAL_PATIENCE_S = 600.0
"""The same for real devices: a step may pulse some 400 slots one after the other, each of up to a second."""
POLL_S = 0.05
"""Longest pause between looks at a board that has work: each look takes the time of a virtual board that shares the processor."""
REPORT_S = 0.05
"""Shortest time between two reports."""
STATUS_WORDS = 3
"""Registers STATE, FAULT and CREDIT."""
_STATES = {int(state): state for state in State}


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    done: int
    total: int
    hits: int
    loss: float
    """Mean of 0.5 * sum((t - a)**2) over the samples done."""
    rate: float
    """Samples per second, or 0 before it is known."""


Report = Callable[[Progress], None]
"""Called with the progress of a run."""


class Run:
    """A run of a program's entry over samples in order.

    Parameters
    ----------
    board : Board
        At rest, with the samples uploaded.
    program : Program
    entry, bank : int
        Where it begins, and the bank of the read-noise stream.
    order : ndarray
        Indices of samples.
    totals : dict
        Gain what the counters count.
    report : callable, optional
        Called with the `Progress`, at most each `REPORT_S`.
    reader : RingReader or OutputReader, optional
        Collects what each sample leaves.
    """

    def __init__(
        self,
        board: "Board",
        program: Program,
        entry: int,
        bank: int,
        order: np.ndarray,
        totals: dict[Counter, int],
        report: Report | None,
        reader: RingReader | OutputReader | None,
    ) -> None:
        self._board, self._link, self._entry, self._bank = board, board.link, entry, bank
        self._order, self._totals, self._report, self._reader = order, totals, report, reader
        self._before, self._last = dict(totals), list(board.counters_at_rest)
        self._last[Counter.RESULTS] = 0  # START clears it
        self._limit = min(board.config.order_depth, board.samples_ahead, losses_counted(program))
        if reader:
            self._limit = min(self._limit, reader.limit)
        self._granted = self._done = 0
        self._rate = board.rates.get(entry, 0.0)
        """Highest number of samples done in a second between two looks: the board's own rate, once it has never to wait for us."""

    def go(self) -> None:
        """Run all samples.

        Raises
        ------
        StoppedError
            If the user asked to stop: the samples done are counted, and the board rests.
        HostError
            If the board stops with a fault, or does not go on; or AbortedError comes from what is reported to: it is aborted then.
        """
        self._link.heed()
        try:
            self._run()
        except StoppedError:
            self._board.stop()
            self._count(self._board.counters_at_rest)
            raise StoppedError(self._gained(Counter.STEPS)) from None
        except (NoProgressError, AbortedError):
            with suppress(HostError):
                self._link.abort()
            raise
        self._board.stop()

    def _run(self) -> None:
        begun = moved = looked = time.monotonic()
        next_report = 0.0
        # These go out together with the first grants. No READ among them: where its answer is lost it is read anew, later.
        begin = [*writes(REG["ENTRY"].address, [self._entry, self._bank]), command(Opcode.START)]
        while self._done < len(self._order):
            ahead = self._ahead()
            count = max(0, min(ahead - (self._granted - self._done), len(self._order) - self._granted))
            before = self._granted, self._done
            if begin:
                # The beginning is one exchange, which is not left half way: what the counters began with is known.
                with self._board.heeding(Stop()):
                    state, fault, at = self._look(begin, count)
                begin = []
            else:
                state, fault, at = self._look([], count)
            now = time.monotonic()
            if self._reader:
                self._reader.collect(self._done)
            if state is State.FAULT:
                raise fault_error(fault, at, self._done)
            self._rate = max(self._rate, (self._done - before[1]) / max(now - looked, POLL_S))
            looked = now
            if before != (self._granted, self._done):
                moved = now
            elif now - moved > patience_s(self._board):
                raise NoProgressError(self._standing_still(state, now - moved))
            if self._report and (now >= next_report or self._done == len(self._order)):
                next_report = now + REPORT_S
                self._report(self._progress(now - begun))
            # Until half of the credit is used up, or all of it where there is no more to grant.
            spare = self._granted - self._done - (ahead // 2 if self._granted < len(self._order) else 0)
            if spare > 0 and not self._records_wait():
                self._link.wait(min(POLL_S, spare / self._rate) if self._rate else POLL_S / 10)
        self._board.rates[self._entry] = self._rate

    def _records_wait(self) -> bool:
        """Say whether so many records wait that the ring might be full before the next look."""
        recorder = self._board.recorder
        return recorder is not None and recorder.behind >= recorder.capacity // 8

    def _ahead(self) -> int:
        """Return how many samples may be granted and not done."""
        seconds = AHEAD_S + ROUND_TRIPS_AHEAD * self._link.round_trip_s
        return min(self._limit, max(FIRST_AHEAD, int(self._rate * seconds)))

    def _look(self, begin: Sequence[Request], count: int) -> tuple[State, int, int]:
        """Grant samples and look at the board, in one round trip; return state, fault and its address."""
        first = self._granted
        provided = self._board.provide(self._order[first : first + count])
        look = look_reads()
        self._board.exchange([*begin, *provided, *look])
        grant = [request for request in provided if request.opcode is Opcode.GRANT]
        check(request for request in (*begin, *provided) if request.opcode is not Opcode.GRANT)
        result, counters = looked(look)
        if result[0] is not State.FAULT:  # which takes no samples, and says why
            taken = granted(grant)
            self._granted += taken
            self._board.taken(taken)
        self._count(counters)
        self._done = self._gained(Counter.STEPS)
        if self._done > self._granted:
            raise NoProgressError(f"The board says {self._done} samples done of {self._granted} granted: its counter STEPS is wrong")
        return result

    def _count(self, raw: list[int]) -> None:
        """Add to the totals what the wrapping counters gained since the last look."""
        for counter, now, before in zip(Counter, raw, self._last, strict=True):
            self._totals[counter] += (now - before) & 0xFFFFFFFF
        self._last = raw

    def _gained(self, counter: Counter) -> int:
        return self._totals[counter] - self._before[counter]

    def _progress(self, seconds: float) -> Progress:
        loss = self._gained(Counter.LOSS) / (2 << LOSS_FRAC) / max(1, self._done)
        rate = self._done / seconds if self._done else 0.0
        return Progress(self._done, len(self._order), self._gained(Counter.HITS), loss, rate)

    def _standing_still(self, state: State, seconds: float) -> str:
        if self._granted == self._done:
            return f"The board has taken no sample for {seconds:.0f} s, {self._done} of this run are done (it says that its order is full)"
        return (
            f"The board is {state.name.lower()} and has done no sample for {seconds:.0f} s: it has {self._granted - self._done} to do, "
            f"and {self._done} of this run are done"
        )


def patience_s(board: "Board") -> float:
    """Return the time in which a board must do a sample, or stop."""
    return max(REAL_PATIENCE_S if board.real else PATIENCE_S, board.link.patience_s)


def look_reads() -> list[Request]:
    """Return what reads state, fault, credit and the counters: a look at the board."""
    return [*reads(REG["STATE"].address, STATUS_WORDS), *reads(REG["COUNTER"].address, len(Counter))]


def looked(requests: Sequence[Request]) -> tuple[tuple[State, int, int], list[int]]:
    """Return what a look saw: the state as `state_of` does, and the counters."""
    found = words(requests)
    return state_of(found), found[STATUS_WORDS:]


def state_of(status: Sequence[int]) -> tuple[State, int, int]:
    """Return the state, and the two halves of FAULT (code and cause, program address), from the status registers' words.

    Raises
    ------
    LinkError
        If there is no such state.
    """
    state, fault = status[:2]
    if state not in _STATES:
        raise LinkError(f"The board says that its state is {state}, which does not exist: restart it")
    return _STATES[state], fault & 0xFFFF, fault >> 16


def losses_counted(program: Program) -> int:
    """Return how many samples may pass between two looks at LOSS, which wraps, if all outputs are as wrong as they can be."""
    config, network = program.config, program.network
    # A linear output may be as far off as a word can say, the others by two units.
    error = config.vector_max if network.output == "linear" else 2 * config.one
    largest = network.layers[-1] * error * error >> 2 * config.vector_frac - LOSS_FRAC
    return max(1, ((1 << 32) - 1) // max(1, largest))
