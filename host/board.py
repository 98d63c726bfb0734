"""One API over every board: golden model, virtual board, serial port, socket."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from firmware_py.compiler import Program
from firmware_py.config import Config
from firmware_py.framing import MAX_GRANT
from firmware_py.registers import (
    CELL_ROW_SHIFT,
    LOSS_FRAC,
    MAGIC,
    REG,
    STREAM_SHIFT,
    Counter,
    Fault,
    State,
    Stream,
    TileParameter,
    Window,
)
from firmware_py.streams import seed_lane, seed_states

from .errors import HostError
from .link import Link
from .readers import OutputReader, RingReader

AHEAD_S = 0.5
"""Training that a board may be granted ahead of its measured rate."""
FIRST_AHEAD = 32
"""Samples granted ahead before a rate is known."""
HALT_TIMEOUT_S = 10.0
"""Longest wait for a board to stop."""
POLL_S = 0.05
"""Longest pause between looks at a board that has work: each look takes the time of a virtual board that shares the processor."""
EVALUATION = 1
"""Bank of the read-noise stream that evaluation uses."""


class StoppedError(Exception):
    """The user stopped a run; `done` samples of it are complete and the board rests at a sample boundary."""

    def __init__(self, done: int) -> None:
        super().__init__(f"Stopped after {done} samples")
        self.done = done


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


class Board:
    """A board in an open session.

    Parameters
    ----------
    link : Link
        The line to it.
    close : callable
        What ends the board or its port, called by `close`.

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
        self._streamed = 0
        link.hello()
        if link.read_words(REG["MAGIC"].address, 1)[0] != MAGIC:
            raise HostError("What answers there is no Backpulse board: its identity block begins with another word")
        self.abi = link.read_words(REG["ABI"].address, 1)[0]
        count = link.read_words(REG["CONFIG_WORDS"].address, 1)[0]
        if count != REG["CONFIG"].count:
            raise HostError(
                f"The board has a configuration of {count} words and this program knows {REG['CONFIG'].count}: use the same version"
            )
        self.config = Config.from_words(link.read_words(REG["CONFIG"].address, count))
        self.config_digest = self._digest("CONFIG_DIGEST")
        self.build_digest = self._digest("BUILD_DIGEST")
        if self.config_digest != self.config.digest.hex():
            raise HostError("The board's configuration digest is not that of its configuration: it was built with another version")
        self.totals = dict.fromkeys(Counter, 0)
        self._last = self.raw_counters()

    def _digest(self, register: str) -> str:
        words = self.link.read_words(REG[register].address, REG[register].count)
        return np.array(words, "<u4").tobytes().hex()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the line, and end the board if it is a virtual one."""
        self._close()

    # State and counters

    def status(self) -> tuple[State, int, int, int]:
        """Return (state, fault code, program address of the fault, credit)."""
        state, fault, credit = self.link.read_words(REG["STATE"].address, 3)
        return State(state), fault & 0xFFFF, fault >> 16, credit

    def raw_counters(self) -> list[int]:
        """Return the counters as they are: 32 bits, wrapping."""
        return self.link.read_words(REG["COUNTER"].address, len(Counter))

    def _count(self, totals: dict[Counter, int]) -> None:
        """Add to `totals` what the wrapping counters gained since the last look."""
        raw = self.raw_counters()
        for counter in Counter:
            totals[counter] += (raw[counter] - self._last[counter]) & 0xFFFFFFFF
        self._last = raw

    # Program and memories

    def load(self, program: Program, *, scales: Sequence[int], tile_words: Sequence[int]) -> None:
        """Load a program with its tables, the scale registers and the tile's parameters (words; a sign is taken modulo 2**32)."""
        low = (1 << 32) - 1
        words = [part for i in program.instructions for part in (i.encode() & low, i.encode() >> 32)]
        self.stop()
        self.link.write_words(Window.PROGRAM.base, words)
        self.link.write_words(Window.REGIONS.base, [w for r in program.regions for w in r.to_words()])
        self.link.write_words(Window.VECTORS.base, [v.to_word() for v in program.vectors])
        self.link.write_words(REG["SCALE"].address, list(scales))
        self.link.write_words(REG["STRIDE"].address, [program.stride_words])
        self.write_tile(tile_words)

    def write_tile(self, words: Sequence[int]) -> None:
        """Write the emulated tile's parameters (64 words, those between READ_SIGMA and ROOT unused)."""
        words = [int(w) & 0xFFFFFFFF for w in words]
        self.link.write_words(Window.TILE.base, words[: TileParameter.READ_SIGMA + 1])
        self.link.write_words(Window.TILE.base + TileParameter.ROOT, words[TileParameter.ROOT :])

    def read_cells(self) -> np.ndarray:
        """Return all cells: int16 of shape (rows of all tiles, columns)."""
        return np.array(self._read_plane(Window.CELLS), np.uint32).astype(np.uint16).view(np.int16)

    def write_cells(self, cells: np.ndarray) -> None:
        """Write all cells."""
        self._write_plane(Window.CELLS, np.asarray(cells).astype(np.int16).view(np.uint16))

    def read_spread(self) -> np.ndarray:
        """Return the spread words: uint8 of shape (rows of all tiles, columns), zero where the board has none."""
        if not self.config.spread:
            return np.zeros((self.config.rows, self.config.tile_cols), np.uint8)
        return np.array(self._read_plane(Window.SPREAD), np.uint32).astype(np.uint8)

    def write_spread(self, spread: np.ndarray) -> None:
        """Write the spread words, if the board has any."""
        if self.config.spread:
            self._write_plane(Window.SPREAD, spread)

    def _read_plane(self, window: Window) -> list[list[int]]:
        rows = range(self.config.rows)
        return [self.link.read_words(window.base + (row << CELL_ROW_SHIFT), self.config.tile_cols) for row in rows]

    def _write_plane(self, window: Window, plane: np.ndarray) -> None:
        for row, words in enumerate(plane.tolist()):
            self.link.write_words(window.base + (row << CELL_ROW_SHIFT), words)

    def read_random(self) -> dict[Stream, list[int]]:
        """Return the state of every random stream."""
        streams = seed_states(self.config, 0)
        return {s: self.link.read_words(Window.RANDOM.base + (s << STREAM_SHIFT), len(states)) for s, states in streams.items()}

    def write_random(self, states: dict[Stream, Sequence[int]]) -> None:
        """Write the state of every random stream."""
        for stream in seed_states(self.config, 0):
            self.link.write_words(Window.RANDOM.base + (stream << STREAM_SHIFT), [int(w) for w in states[stream]])

    # Samples and runs

    def upload(self, records: np.ndarray, progress: Callable[[int, int], None] | None = None) -> None:
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
        self._samples = records
        self._slots = min(self.config.store_words // records.shape[1], 1 << 16)
        self._resident = len(records) <= self._slots
        chunk = max(1, 4096 // records.shape[1])
        for start in range(0, len(records) if self._resident else 0, chunk):
            self._store(start, records[start : start + chunk])
            if progress:
                progress(min(start + chunk, len(records)), len(records))

    @property
    def resident(self) -> bool:
        """Whether the data set fits the sample store."""
        return self._resident

    def _store(self, slot: int, records: np.ndarray) -> None:
        self.link.write_words(Window.STORE.base + slot * records.shape[1], records.ravel().tolist())

    def _provide(self, indices: np.ndarray) -> int:
        """Grant samples and return how many the board took; those that the store does not keep are sent first, into its slots in turn."""
        if self._resident:
            return self.link.grant(indices.tolist())
        assert self._samples is not None
        slot = self._streamed % self._slots
        part = indices[: min(self._slots - slot, MAX_GRANT)]
        self._store(slot, self._samples[part])
        taken = self.link.grant(range(slot, slot + len(part)))
        self._streamed += taken
        return taken

    def train(self, program: Program, order: np.ndarray, report: "Report | None" = None) -> None:
        """Train on samples in order; `totals` gain what the counters count.

        Raises
        ------
        StoppedError
            If `report` asked to stop: the samples done are counted, the others forgotten.
        """
        self._run(program, program.train_entry, 0, order, self.totals, report, None)

    def evaluate(self, program: Program, indices: np.ndarray, seed: int, report: "Report | None" = None) -> np.ndarray:
        """Return the predicted class of each sample (int64); training is not changed, and equal cells give equal answers.

        The read noise of evaluation starts from `seed` each time.
        """
        ring = RingReader(self.link, Window.RESULTS, self.config.result_depth, np.dtype("<u2"))
        return self._evaluate(program, indices, seed, report, ring)[:, 0].astype(np.int64)

    def evaluate_outputs(self, program: Program, indices: np.ndarray, seed: int, report: "Report | None" = None) -> np.ndarray:
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
        self, program: Program, indices: np.ndarray, seed: int, report: "Report | None", reader: RingReader | OutputReader
    ) -> np.ndarray:
        self.stop()
        if self.config.read_noise:
            bank = Window.RANDOM.base + (Stream.READ << STREAM_SHIFT) + EVALUATION
            self.link.write_words(bank, [seed_lane(seed, Stream.READ, EVALUATION)])
        self._run(program, program.evaluate_entry, EVALUATION, indices, dict.fromkeys(Counter, 0), report, reader)
        return reader.values

    def _run(
        self,
        program: Program,
        entry: int,
        bank: int,
        order: np.ndarray,
        totals: dict[Counter, int],
        report: "Report | None",
        reader: RingReader | OutputReader | None,
    ) -> None:
        if self._samples is None:
            raise RuntimeError("upload samples before a run")
        self.stop()
        self.link.write_words(REG["ENTRY"].address, [entry, bank])
        self._last = self.raw_counters()
        self.link.start()
        self._last[Counter.RESULTS] = 0
        before = dict(totals)
        limit = min(self.config.order_depth, losses_counted(program))
        if not self._resident:
            limit = min(limit, self._slots)
        if reader:
            limit = min(limit, reader.limit)
        begun, granted, done, rate, next_report = time.monotonic(), 0, 0, 0.0, 0.0
        while done < len(order):
            ahead = min(limit, max(FIRST_AHEAD, int(rate * AHEAD_S)))
            count = min(ahead - (granted - done), len(order) - granted)
            if count > 0:
                granted += self._provide(order[granted : granted + count])
            state, fault, at, _ = self.status()
            self._count(totals)
            done = totals[Counter.STEPS] - before[Counter.STEPS]
            if reader:
                reader.collect(done)
            if state is State.FAULT:
                raise HostError(f"The board stopped with fault {_fault(fault)} at program address {at}, after {done} samples of this run")
            now = time.monotonic()
            rate = done / (now - begun) if done else 0.0
            if report and (now >= next_report or done == len(order)):
                next_report = now + 0.05
                loss = (totals[Counter.LOSS] - before[Counter.LOSS]) / (2 << LOSS_FRAC) / max(1, done)
                if report(Progress(done, len(order), totals[Counter.HITS] - before[Counter.HITS], loss, rate)):
                    self.stop()
                    self._count(totals)
                    raise StoppedError(totals[Counter.STEPS] - before[Counter.STEPS])
            # Until half of the credit is used up, or all of it where there is no more to grant.
            spare = granted - done - (ahead // 2 if granted < len(order) else 0)
            if spare > 0:
                time.sleep(min(POLL_S, spare / rate) if rate else POLL_S / 10)
        self.stop()

    def stop(self) -> None:
        """Halt at the next sample boundary and wait for it.

        Raises
        ------
        HostError
            If the board does not stop.
        """
        self.link.halt()
        until = time.monotonic() + HALT_TIMEOUT_S
        while self.status()[0] in (State.TRAINING, State.PAUSED):
            if time.monotonic() > until:
                self.link.abort()
                raise HostError(f"The board did not stop within {HALT_TIMEOUT_S:.0f} s and was aborted: go on from the last checkpoint")
            time.sleep(0.001)


def losses_counted(program: Program) -> int:
    """Return how many samples may pass between two looks at LOSS, which wraps, if all outputs are as wrong as they can be."""
    config, network = program.config, program.network
    # A linear output may be as far off as a word can say, the others by two units.
    error = config.vector_max if network.output == "linear" else 2 * config.one
    largest = network.layers[-1] * error * error >> 2 * config.vector_frac - LOSS_FRAC
    return max(1, ((1 << 32) - 1) // max(1, largest))


Report = Callable[[Progress], bool]
"""Called with the progress of a run; answers True to stop it."""


def _fault(code: int) -> str:
    return Fault(code).name if code in set(Fault) else str(code)
