"""Replays a trace: the golden model does what the board was told to, with the recorded answers in the place of its tile."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from backpulse.firmware_py.digest import trace_digest
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.isa import decode
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.memory import OUTPUT, PC, STATE
from backpulse.firmware_py.registers import (
    CAUSE_AT,
    REG,
    WINDOW_SHIFT,
    Cause,
    Counter,
    Fault,
    State,
    Window,
    word_name,
)
from backpulse.firmware_py.tape import (
    ASKED,
    AT,
    CUT,
    ELEMENT,
    END,
    FOUND,
    GOT,
    LAST,
    NO_ROW,
    ORDER,
    RANGE,
    ROWS,
    SHORT_ASKED,
    SHORT_SUM,
    STOPS,
    WANT,
    answers,
)
from backpulse.firmware_py.trace import Kind
from backpulse.host.errors import InputError
from backpulse.host.output import PulseReceiver
from backpulse.host.trace_file import Chunk, TraceFile

_OF_TIME = {Counter.CYCLES, Counter.READ_CYCLES, Counter.PULSE_CYCLES}
"""Counters that a tile's own time, or a full ring, is in: nothing says what they should be."""
_BROKEN_OFF = {*_OF_TIME, Counter.PULSES_UP, Counter.PULSES_DOWN, Counter.PULSES_CLIPPED, Counter.VECTOR_SATURATED, Counter.SENSE_CLIPPED}
"""Those that depend on how far an instruction had come when the machine was stopped in it."""
_CHUNK_SAMPLES = 256
_SAID = {
    LAST: "sense word {element}: `last` is {got} on the board, {want} in the golden model",
    RANGE: "sense word {element} is {got}, and the converter's largest is {want}",
    ASKED: "the tile was asked for {got} pulses, the golden model plans {want}",
    ROWS: "the tile took {got} rows of counts, the region has {want}",
    SHORT_ASKED: "row {element}, which stopped short: the tile was asked for {got} pulses, the golden model plans {want}",
    SHORT_SUM: "the rows that stopped short miss {got} pulses, the completion {want}",
    NO_ROW: "row {element} of the tile stopped short, which is not in the region",
}


@dataclass
class Outcome:
    """What a replay came to."""

    digest: str
    """The trace digest."""
    units: int
    training: int = 0
    evaluation: int = 0
    """Samples, of training and of evaluation; one that was broken off is not counted."""
    pulses: dict[str, int] = field(default_factory=dict)
    """Pulses asked, done and unsure, of all cells."""
    compared: dict[str, int] = field(default_factory=dict)
    """How many numbers of each sort were compared."""
    ended: bool = False
    """Whether the recording was ended, and not cut off."""
    stopped: str = ""
    """Where the trace ends within a sample, or why the machine stopped in it."""
    divergence: str = ""
    """The first difference, or nothing."""
    ledger: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    """int32 of shape (`tape.LEDGER_PLANES`, rows of all tiles, columns)."""


def decode_listing(payload: bytes) -> tuple[dict[int, str], dict[int, str]]:
    """Return instructions in words by address, and what begins at an address."""
    said = json.loads(payload)
    texts = {at: " ".join(str(text).split()) for at, text in enumerate(said["instructions"])}
    return texts, {int(at): name for name, at in said["entries"].items()}


def _instruction_text(word: int) -> str:
    try:
        return decode(word).op.name
    except ValueError:
        return f"0x{word:x}"


def _fault_text(fault: int) -> str:
    if not fault:
        return "no fault"
    code, cause = fault & 0xFF, fault >> CAUSE_AT & 0xFF
    name = Fault(code).name if code in set(Fault) else str(code)
    why = f", {Cause(cause).name}" if cause in set(Cause) and cause else ""
    return f"fault {name}{why} at {fault >> 16}"


class _DifferError(Exception):
    """The board and the golden model differ; the text says where."""


class _CutError(Exception):
    """The tape ends within a sample; the text says where."""


class Replay:
    """A replay of a trace.

    Parameters
    ----------
    trace : TraceFile
    log : PulseReceiver, optional
        Gets every pulse that a whole row was asked for.
    progress : callable, optional
        Called with (units played, units).
    """

    def __init__(self, trace: TraceFile, *, log: PulseReceiver | None = None, progress: Callable[[int, int], None] | None = None) -> None:
        self._trace, self._log, self._progress = trace, log, progress
        self._tape = answers(trace.units, trace.config)
        self._machine = GoldenMachine(trace.config, played=self._tape, log=log)
        self._lines: dict[int, str] = {}
        self._entries: dict[int, str] = {}
        self._order: list[int] = []
        self._begun = self._run = 0
        self._left: int | None = None
        self._results: list[np.ndarray] = []
        self._outputs: list[np.ndarray] = []
        self._broken_off = False
        self._fault = self._steps = 0
        self._outcome = Outcome(trace_digest(trace.units), len(trace.units), ended=trace.ended)

    def go(self) -> Outcome:
        """Replay to the end of the trace, or to the first divergence."""
        outcome = self._outcome
        try:
            for at, (kind, payload, units) in enumerate(self._trace.events):
                self._event(at, kind, payload, units)
            self._advance()
            self._tally()
            if self._run and self._tape.at[AT] < len(self._trace.units) and self._machine.state != State.FAULT:
                left = len(self._trace.units) - int(self._tape.at[AT])
                raise _DifferError(f"behind {self._where()}: {left} units are left that no instruction has asked for")
        except _CutError as cut:
            outcome.stopped = str(cut)
        except _DifferError as divergence:
            outcome.divergence = str(divergence)
        outcome.ledger = self._tape.ledger[:, :, : self._trace.config.tile_cols]
        asked, done, unsure = (int(outcome.ledger[planes].sum()) for planes in (slice(0, 2), slice(2, 4), 4))
        outcome.pulses = {"asked": asked, "done": done, "unsure": unsure}
        return outcome

    # Events

    def _event(self, at: int, kind: Chunk, payload: bytes, units: int) -> None:
        match kind:
            case Chunk.LISTING:
                self._listing(payload)
            case Chunk.BEFORE | Chunk.WRITE:
                self._advance()
                self._write(kind, payload)
            case Chunk.START:
                self._start(at)
            case Chunk.GRANT:
                self._grant(np.frombuffer(payload, "<u2"))
            case Chunk.REST:
                self._rest(np.frombuffer(payload, "<u4").tolist(), units)
            case Chunk.READ:
                self._read(payload)
            case Chunk.RESULTS:
                self._compare("class", np.frombuffer(payload, "<u2"), np.concatenate([np.zeros(0, "<u2"), *self._results]))
            case Chunk.OUTPUTS:
                self._compare("output", np.frombuffer(payload[2:], "<i2"), np.concatenate([np.zeros(0, "<i2"), *self._outputs]))

    def _listing(self, payload: bytes) -> None:
        try:
            said = decode_listing(payload)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"The trace's LISTING is none ({type(error).__name__}): it was put together by hand") from error
        self._lines, self._entries = said

    def _write(self, kind: Chunk, payload: bytes) -> None:
        address, words = int.from_bytes(payload[:4], "little"), np.frombuffer(payload[4:], "<u4")
        first = REG["COUNTER"].address
        if kind is Chunk.BEFORE and address == first:
            self._machine.memory.counters[: len(words)] = words[: len(Counter)]
            return
        # The board has taken it; what only a real tile has is nothing to the golden model.
        with suppress(BusError):
            self._machine.write_words(address, words)

    def _start(self, at: int) -> None:
        self._advance()
        rest = next(((payload, units) for kind, payload, units in self._trace.events[at:] if kind is Chunk.REST), None)
        counters = self._machine.memory.counters
        self._tape.at[STOPS] = 1
        self._left = None
        if rest is not None:
            payload, units = rest
            _, fault, *seen = np.frombuffer(payload, "<u4").tolist()
            self._tape.at[END] = units
            # One more sample was begun and not done where the board stopped with a fault.
            self._left = ((seen[Counter.STEPS] - int(counters[Counter.STEPS])) & 0xFFFFFFFF) + bool(fault)
            self._tape.at[STOPS] = int(bool(fault))
        else:
            self._tape.at[END] = len(self._trace.units)
        self._order, self._begun, self._results, self._outputs = [], 0, [], []
        self._run += 1
        self._steps = int(counters[Counter.STEPS])
        if self._log and self._phase == "training":
            self._log.begin(self._outcome.training + int(self._trace.header.get("steps", 0)), int(counters[Counter.STEPS]))
        self._machine.start()
        self._judge()

    def _grant(self, indices: np.ndarray) -> None:
        if not self._machine.grant(indices):
            self._advance()
            if not self._machine.grant(indices):
                raise _DifferError(
                    f"behind {self._where()}: the board took {len(indices)} samples more, and its order has no room for them"
                )
        self._order += indices.tolist()

    def _advance(self) -> None:
        """Run what is granted, as far as the board has."""
        if self._broken_off:
            return
        room = self._samples_at_once()
        while self._machine.state == State.TRAINING:
            count = room if self._left is None else min(room, self._left)
            counters = self._machine.memory.counters
            results, place = int(counters[Counter.RESULTS]), int(self._machine.memory.control[OUTPUT])
            begun = self._machine.run(count) if count else 0
            if not begun:
                break
            self._begun += begun
            if self._left is not None:
                self._left -= begun
            self._judge()
            self._keep(results, place)
            if self._progress:
                self._progress(int(self._tape.at[AT]), len(self._trace.units))
            if self._broken_off:
                break

    def _samples_at_once(self) -> int:
        """Return how many samples may be run before their results are written over."""
        config, table = self._trace.config, self._machine.memory.table
        longest = int((table >> 16 & 0x7FFF)[table >> 31 == 0].max(initial=1))
        return max(1, min(_CHUNK_SAMPLES, config.result_depth, config.output_depth // longest if config.output_depth else _CHUNK_SAMPLES))

    def _tally(self) -> None:
        """Count the samples done in this run."""
        done = (int(self._machine.memory.counters[Counter.STEPS]) - self._steps) & 0xFFFFFFFF
        if self._run and self._phase == "evaluation":
            self._outcome.evaluation += done
        else:
            self._outcome.training += done
        self._steps = int(self._machine.memory.counters[Counter.STEPS])

    def _keep(self, first: int, place: int) -> None:
        """Keep the results and outputs of the samples just done."""
        memory = self._machine.memory
        places = np.arange(first, int(memory.counters[Counter.RESULTS])) % len(memory.results)
        self._results.append(memory.results[places].astype("<u2"))
        if depth := len(memory.outputs):
            count = (int(memory.control[OUTPUT]) - place) % depth
            self._outputs.append(memory.outputs[(place + np.arange(count)) % depth].astype("<i2"))

    def _judge(self) -> None:
        """Look at what the golden model has found on the tape."""
        tape, found = self._tape.at, int(self._tape.at[FOUND])
        if not found:
            return
        element, want, got = (int(tape[place]) for place in (ELEMENT, WANT, GOT))
        if found == CUT:
            stopped = f"{self._where()}, after {element} of its sense words" if element else self._where()
            if tape[STOPS]:  # nothing more is known of this run, or the board was stopped in it
                if self._left is None:
                    raise _CutError(f"the trace ends in {stopped}")
                self._outcome.stopped, self._broken_off = f"the machine was stopped in {stopped}", True
                tape[FOUND] = 0
                return
            raise _DifferError(f"{stopped}: the board went on without an answer that the golden model waits for")
        if found == ORDER:
            raise _DifferError(
                f"{self._where()}, answer {element}: {Kind(got).name} came, and the golden model waits for {Kind(want).name}"
            )
        raise _DifferError(f"{self._where()}: {_SAID[found].format(element=element, want=want, got=got)}")

    def _rest(self, words: list[int], units: int) -> None:
        """Compare the machines at rest."""
        self._advance()
        self._tally()
        _, fault, *seen = words
        machine, memory = self._machine, self._machine.memory
        own = machine.read(REG["FAULT"].address) if machine.state == State.FAULT and not self._broken_off else 0
        known = {Fault.UNKNOWN_WORD, Fault.BAD_OPERAND}
        if (own and own != fault) or (fault & 0xFF in known and own != fault):
            raise _DifferError(f"{self._where()}: the board stopped with {_fault_text(fault)}, the golden model with {_fault_text(own)}")
        if fault and not self._outcome.stopped:
            self._outcome.stopped = f"the board stopped with {_fault_text(fault)} in {self._where()}"
        if self._run and self._tape.at[AT] != units:
            left = units - int(self._tape.at[AT])
            raise _DifferError(f"behind {self._where()}: {left} units are left that no instruction has asked for")
        for counter in Counter:
            if counter in (_BROKEN_OFF if fault else _OF_TIME):
                continue
            if (mine := int(memory.counters[counter])) != seen[counter]:
                told = f"counter {counter.name} of the board is {seen[counter]}, the golden model's {mine}"
                raise _DifferError(f"at rest after {self._where()}: {told}")
            self._count("counters")
        memory.counters[:] = seen  # those that are not compared go on from the board's
        machine.halt()
        memory.control[STATE] = State.IDLE
        self._tape.at[FOUND], self._left, self._broken_off = 0, None, False
        self._fault = fault

    def _read(self, payload: bytes) -> None:
        """Compare vector memory with what the host read at rest."""
        address, words = int.from_bytes(payload[:4], "little"), np.frombuffer(payload[4:], "<u4")
        if address >> WINDOW_SHIFT != Window.VECTOR_MEMORY or self._fault:
            return
        try:
            mine = self._machine.read_words(address, len(words))
        except BusError as error:
            raise _DifferError(
                f"the host read {len(words)} words at {word_name(address)}, which the configuration does not have"
            ) from error
        if len(different := np.flatnonzero(mine != words)):
            place = int(different[0]) + (address & (1 << WINDOW_SHIFT) - 1)
            board, golden = (int(np.int32(np.uint32(w))) for w in (words[different[0]], mine[different[0]]))
            raise _DifferError(f"at rest after {self._where()}, {self._element(place)}: the board has {board}, the golden model {golden}")
        self._count("vector words", len(words))

    def _compare(self, what: str, seen: np.ndarray, mine: np.ndarray) -> None:
        """Compare what the host read of an evaluation's samples."""
        if len(seen) != len(mine):
            raise _DifferError(f"run {self._run}: the host read {len(seen)} {what} words, and the golden model has {len(mine)}")
        if len(different := np.flatnonzero(seen != mine)):
            n = int(different[0])
            samples = max(len(self._order), 1)
            each = max(len(mine) // samples, 1)
            where = f"sample {n // each + 1} of run {self._run} ({self._phase}, record {self._order[n // each]}), {what} {n % each}"
            raise _DifferError(f"{where}: the board has {seen[n]}, the golden model {mine[n]}")
        self._count(f"{what} words", len(mine))

    def _count(self, what: str, n: int = 1) -> None:
        self._outcome.compared[what] = self._outcome.compared.get(what, 0) + n

    # Names

    @property
    def _phase(self) -> str:
        entry = self._machine.read(REG["ENTRY"].address)
        return self._entries.get(entry, f"entry {entry}")

    def _where(self) -> str:
        """Name the sample and the instruction at which the golden model stands."""
        pc = int(self._machine.memory.control[PC])
        if not self._run:
            return "the beginning"
        record = f", record {self._order[self._begun - 1]}" if self._begun else ""
        text = self._lines.get(pc) or _instruction_text(int(self._machine.memory.program[min(pc, len(self._machine.memory.program) - 1)]))
        return f"sample {self._begun} of run {self._run} ({self._phase}{record}), instruction {pc} {text}"

    def _element(self, place: int) -> str:
        """Name a word of vector memory by the vectors of the program."""
        memory = self._machine.memory
        for number, entry in enumerate(memory.table.tolist()):
            base, length = entry & 0x7FFF, entry >> 16 & 0x7FFF
            if length and not entry >> 31 and base <= place < base + length:
                return f"vector {number} element {place - base}"
        return f"word {place} of vector memory"
