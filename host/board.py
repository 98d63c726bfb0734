"""One API over every board: golden model, virtual board, serial port, socket."""

# Over 400 lines: one API of what every board can do.

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import DeviceKind
from backpulse.firmware_py.framing import MAX_GRANT, Opcode
from backpulse.firmware_py.image import (
    Image,
    cells_image,
    program_image,
    random_image,
    samples_image,
    scales_image,
    spread_image,
    tile_image,
)
from backpulse.firmware_py.isa import Region
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    REG,
    STREAM_SHIFT,
    ArrayWord,
    Capability,
    Counter,
    State,
    Stream,
    TileState,
    Window,
)
from backpulse.firmware_py.streams import seed_lane, seed_states
from backpulse.host.commands import Request, check, command, grants, reads, word_array, writes
from backpulse.host.errors import HostError, InputError, LinkError, NoProgressError, OwnError
from backpulse.host.identity import read_identity
from backpulse.host.link import Link
from backpulse.host.readers import OutputReader, RingReader
from backpulse.host.recorder import Recorder
from backpulse.host.run import STATUS_WORDS, Report, Run, look_reads, looked, patience_s, state_of
from backpulse.host.stop import Stop
from backpulse.host.tile import read_state, tripped

if TYPE_CHECKING:
    from backpulse.host.urls import Address

EVALUATION = 1
"""Bank of the read-noise stream that evaluation uses."""


Tell = Callable[[int, int], None]
"""Called with (done, total) as something long goes on."""


class Board:
    """A board in an open session.

    Parameters
    ----------
    link : Link
        The line to it.
    close : callable
        What ends the board or its port, called by `close`.

    Attributes
    ----------
    facts : TileFacts
        What its tile is and claims.
    totals : dict
        What the counters have counted in all trainings; evaluations leave it alone.
    rates : dict
        By program entry, the highest number of samples a second that a run of it was seen to do.
    recorder : Recorder or None
        What records the session, if anything (`record`).
    address : Address or None
        Where it is and what lies behind it, as it was opened.
    pulsed : callable or None
        Called with region and counts (rows, columns) of what hand-written programs (`Chain`) are about to pulse.
    counters_at_rest : list of int
        The counters when the machine last stopped, from which the next run counts on.

    Raises
    ------
    HostError
        If what answers is no Backpulse board of this version.
    """

    def __init__(self, link: Link, close: Callable[[], object]) -> None:
        self.link = link
        self._close = close
        self._samples: np.ndarray | None = None
        self._resident = False
        self._slots = self._streamed = 0
        self.rates: dict[int, float] = {}
        self.address: Address | None = None
        self.pulsed: Callable[[Region, np.ndarray], None] | None = None
        self.counters_at_rest: list[int] = []
        link.hello()
        known = read_identity(link)
        self.abi, self.config, self.facts = known.abi, known.config, known.facts
        self.config_digest, self.build_digest = known.config_digest, known.build_digest
        self.totals = dict.fromkeys(Counter, 0)
        self.recorder: Recorder | None = None
        if self.config.trace_words:  # a session that was broken off may have left it on: the tile would wait for ever
            link.write_words(REG["TRACE_ON"].address, [0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """Close the line, and end the board if it is a virtual one; a trace is ended, or left as it is where the line has failed."""
        try:
            if not isinstance(error, LinkError | OwnError | KeyboardInterrupt):
                with suppress(HostError):
                    self.end_recording()
        finally:
            if self.recorder:
                self.recorder.leave()
            self._close()

    def record(self, path: Path, settings: dict[str, Any] | None = None, *, steps: int = 0) -> "Recorder":
        """Record to a new file from now on, until the board is closed: what the host does, and all that the tile answers (docs/trace.md).

        `settings` and the `steps` that the run has done before are kept in the file.

        Raises
        ------
        InputError
            If the board has no ring of trace records, or the file is there or cannot be made.
        """
        self.stop()
        self.recorder = Recorder(self, path, settings, steps)
        return self.recorder

    def end_recording(self) -> None:
        """End a recording, if there is one, with the board at rest.

        Raises
        ------
        StorageError
            If the trace could not be written; the run itself is sound, and the file is what was written until then.
        """
        if self.recorder:
            self.stop()
            self.recorder.finish()
            if self.recorder.failed:
                raise self.recorder.failed

    def exchange(self, requests: Sequence[Request]) -> None:
        """Exchange requests, and what the recorder has to fetch with them."""
        traced = self.recorder.requests() if self.recorder else []
        self.link.exchange([*requests, *traced])
        if self.recorder:
            check(traced)
            self.recorder.collect()

    # State and counters

    def status(self) -> tuple[State, int, int, int]:
        """Return (state, fault code with the tile's cause from bit 8 on, program address of the fault, credit)."""
        status = self.link.read_words(REG["STATE"].address, STATUS_WORDS)
        return *state_of(status), status[2]

    def raw_counters(self) -> list[int]:
        """Return the counters as they are: 32 bits, wrapping."""
        return self.link.read_words(REG["COUNTER"].address, len(Counter))

    def tile_state(self) -> tuple[TileState, int]:
        """Return how the tile stands, and the cause of its trip (0 if it has not tripped); a board whose tile has no such words is safe."""
        return read_state(self.link) if Capability.TRIPS in self.capabilities else (TileState.SAFE, 0)

    def check_tripped(self) -> None:
        """Raise FaultError, with the cause, if the array has switched its drivers off."""
        state, trip = self.tile_state()
        if TileState.TRIPPED in state:
            raise tripped(trip)

    def check_armed(self) -> None:
        """Raise InputError if the array's drivers must be switched on by hand and are not."""
        if Capability.ARM in self.capabilities and TileState.ARMED not in self.tile_state()[0]:
            raise InputError("The array is not armed, and no line was driven: see what it will be driven with, `backpulse array arm`")

    def check_ready(self) -> None:
        """Raise an error, before any line is driven, unless the array takes commands that drive its lines.

        Raises
        ------
        FaultError
            If it has tripped.
        InputError
            If it is not armed.
        """
        self.check_tripped()
        self.check_armed()

    def disarm(self) -> None:
        """Switch an array's drivers off until it is armed again."""
        self.link.write_words(Window.ARRAY.base + ArrayWord.ARM, [0])

    def clear_trip(self) -> int:
        """Let an array that has tripped take commands again; return what the cause was (0: it had not tripped)."""
        state, trip = self.tile_state()
        if TileState.TRIPPED not in state:
            return 0
        self.stop()
        self.link.write_words(Window.ARRAY.base + ArrayWord.TRIP, [0])
        return trip

    @contextmanager
    def heeding(self, stop: Stop) -> Iterator[None]:
        """Let the body end with StoppedError, wherever it waits for the board, when the user asks to stop."""
        before, self.link.heed = self.link.heed, stop.heed
        try:
            yield
        finally:
            self.link.heed = before

    # Program and memories

    def write(self, image: Image, report: Tell | None = None) -> None:
        """Write runs of words. `report` is told how far it is."""
        requests = [request for address, values in image for request in writes(address, values, self.link.payload)]
        self.link.exchange(requests, report)
        check(requests)

    @property
    def capabilities(self) -> Capability:
        """What its tile claims."""
        return self.facts.capabilities

    @property
    def real(self) -> bool:
        """Whether its devices are real: they have no parameters, spread words or random states to write."""
        return self.config.device is DeviceKind.REAL

    @property
    def tables(self) -> bool:
        """Whether its cells take the steps of a table."""
        return self.config.device is DeviceKind.TABLE

    def load(self, program: Program, *, scales: Sequence[int], tile_words: Sequence[int] | None = None) -> None:
        """Load a program with its tables, the scale registers and the tile's parameters (words; a sign is taken modulo 2**32), if any."""
        self.stop()
        if self.recorder:
            self.recorder.listing(program)
        self.write([*program_image(program), *scales_image(scales), *([] if tile_words is None else tile_image(tile_words))])

    def write_scales(self, scales: Sequence[int]) -> None:
        """Write the scale registers, at a sample boundary."""
        self.stop()
        self.write(scales_image(scales))

    def read_cells(self, report: Tell | None = None) -> np.ndarray:
        """Return all cells: int16 of shape (rows of all tiles, columns). `report` is told how far it is."""
        return self._read_plane(Window.CELLS, report).astype(np.uint16).view(np.int16)

    def write_cells(self, cells: np.ndarray, report: Tell | None = None) -> None:
        """Write all cells; of the table device what stays of them, too. `report` is told how far it is."""
        self.write(cells_image(cells), report)

    def read_spread(self, report: Tell | None = None) -> np.ndarray:
        """Return the spread words: uint8, of the table device uint32, of shape (rows of all tiles, columns); zero without any."""
        kind = np.uint32 if self.tables else np.uint8
        if not self.config.spread:
            return np.zeros((self.config.rows, self.config.tile_cols), kind)
        return self._read_plane(Window.SPREAD, report).astype(kind)

    def write_spread(self, spread: np.ndarray) -> None:
        """Write the spread words, if the board has any."""
        if self.config.spread:
            self.write(spread_image(spread))

    def _read_plane(self, window: Window, report: Tell | None) -> np.ndarray:
        """Return the words of all rows: uint32 of shape (rows of all tiles, columns)."""
        rows, cols, longest = self.config.rows, self.config.tile_cols, self.link.payload
        requests = [r for row in range(rows) for r in reads(window.base + (row << CELL_ROW_SHIFT), cols, longest)]
        self.link.exchange(requests, report)
        return word_array(requests).reshape(rows, cols)

    def read_random(self) -> dict[Stream, list[int]]:
        """Return the state of every random stream."""
        streams = seed_states(self.config, 0)
        return {s: self.link.read_words(Window.RANDOM.base + (s << STREAM_SHIFT), len(states)) for s, states in streams.items()}

    def write_random(self, states: Mapping[Stream, Sequence[int]]) -> None:
        """Write the state of every random stream."""
        self.write(random_image(states))

    # Samples and runs

    def upload(self, records: np.ndarray, progress: Tell | None = None) -> None:
        """Keep a data set for the next runs: in the sample store if it fits, streamed through it if not. The same array is sent once.

        Parameters
        ----------
        records : ndarray
            uint32 of shape (samples, words of one sample).
        progress : callable, optional
            Called with (samples sent, samples).
        """
        if records is self._samples and self._resident:
            return
        self._samples = None
        self._slots = min(self.config.store_words // records.shape[1], 1 << 16)
        self._resident = len(records) <= self._slots
        chunk = max(1, 4096 // records.shape[1])
        for start in range(0, len(records) if self._resident else 0, chunk):
            self.write(samples_image(start, records[start : start + chunk]))
            if progress:
                progress(min(start + chunk, len(records)), len(records))
        self._samples = records

    @property
    def resident(self) -> bool:
        """Whether the data set fits the sample store."""
        return self._resident

    @property
    def samples_ahead(self) -> int:
        """Samples that may be granted and not done: those that the store has slots for, where samples are streamed."""
        if self._samples is None:
            raise RuntimeError("upload samples before a run")
        return len(self._samples) if self._resident else self._slots

    def provide(self, indices: np.ndarray) -> list[Request]:
        """Return what grants samples; those that the store does not keep are sent first, into its slots in turn."""
        if self._resident:
            return grants(indices, self.link.payload)
        assert self._samples is not None
        requests, slot = [], self._streamed % self._slots
        while len(indices):
            part = indices[: min(self._slots - slot, MAX_GRANT)]
            sent = samples_image(slot, self._samples[part])
            requests += [request for address, values in sent for request in writes(address, values, self.link.payload)]
            requests += grants(np.arange(slot, slot + len(part)))
            indices, slot = indices[len(part) :], (slot + len(part)) % self._slots
        return requests

    def taken(self, count: int) -> None:
        """Note how many of the samples that `provide` sent the board took."""
        self._streamed += count

    def train(self, program: Program, order: np.ndarray, report: Report | None = None) -> None:
        """Train on samples in order; `totals` gain what the counters count.

        Raises
        ------
        StoppedError
            If the user asked to stop (`heeding`): the samples done are counted, the others forgotten.
        """
        self.stop()
        Run(self, program, program.train_entry, 0, order, self.totals, report, None).go()

    def evaluate(
        self, program: Program, indices: np.ndarray, seed: int, report: Report | None = None, totals: dict[Counter, int] | None = None
    ) -> np.ndarray:
        """Return the predicted class of each sample (int64); training is not changed, and equal cells give equal answers.

        The read noise of evaluation starts from `seed` each time. `totals` gain what the counters count, the loss among it.
        """
        ring = RingReader(self.link, Window.RESULTS, self.config.result_depth, np.dtype("<u2"))
        return self._evaluate(program, indices, seed, report, ring, totals)[:, 0].astype(np.int64)

    def evaluate_outputs(self, program: Program, indices: np.ndarray, seed: int, report: Report | None = None) -> np.ndarray:
        """Return the output vector of each sample: int16 vector words of shape (samples, outputs), `evaluate`'s class the first largest.

        Without a ring that holds a sample's outputs (`keeps_outputs`) each sample costs a round trip.
        """
        outputs = program.network.layers[-1]
        if self.keeps_outputs(outputs):
            reader = RingReader(self.link, Window.OUTPUTS, self.config.output_depth, np.dtype("<i2"), outputs)
        else:
            reader = OutputReader(self.link, program)
        return self._evaluate(program, indices, seed, report, reader)

    def keeps_outputs(self, outputs: int) -> bool:
        """Say whether the board's output ring holds vectors of this length."""
        return self.config.output_depth >= outputs

    def _evaluate(
        self,
        program: Program,
        indices: np.ndarray,
        seed: int,
        report: Report | None,
        reader: RingReader | OutputReader,
        totals: dict[Counter, int] | None = None,
    ) -> np.ndarray:
        self.stop()
        if self.config.read_noise:
            bank = Window.RANDOM.base + (Stream.READ << STREAM_SHIFT) + EVALUATION
            self.link.write_words(bank, [seed_lane(seed, Stream.READ, EVALUATION)])
        if totals is None:
            totals = dict.fromkeys(Counter, 0)
        Run(self, program, program.evaluate_entry, EVALUATION, indices, totals, report, reader).go()
        if self.recorder:
            self.recorder.results(reader.values)
        return reader.values

    def stop(self) -> None:
        """Halt at the next sample boundary and wait for it, whatever is heeded otherwise.

        Raises
        ------
        HostError
            If the board does not stop.
        """
        if not self.link.started:
            return
        with self.heeding(Stop()):
            patience = patience_s(self)
            until = time.monotonic() + patience
            halt = [command(Opcode.HALT)]
            while True:
                look = look_reads()
                self.exchange([*halt, *look])
                check(halt)
                (state, _, _), counters = looked(look)
                if state not in (State.TRAINING, State.PAUSED):
                    break
                if time.monotonic() > until:
                    self.link.abort()
                    raise NoProgressError(f"The board did not stop within {patience:.0f} s and was aborted")
                halt = []
                if not (self.recorder and self.recorder.behind):
                    self.link.wait(0.001)
            self.counters_at_rest, self.link.started = counters, False
            if self.recorder:
                self.recorder.rest(self.counters_at_rest)
