"""An analog tile over the line: its limits, profiles and calibration, and direct operations on its lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.analog import (
    ARM_FIRST,
    ARM_SECOND,
    AVERAGES_AT,
    AVERAGES_LOG2_MAX,
    CALIBRATION,
    CODE_BITS,
    CODE_OPEN,
    CONVERTERS,
    DIRECT_CODES,
    DIRECT_SAMPLES,
    GAIN_FRAC,
    LINE_WORDS,
    OVER_AT,
    PROFILE_WORDS,
    SAMPLE_BITS,
    SCALE_FRAC,
    Direct,
    Lines,
    LineWord,
    ProfileWord,
)
from backpulse.firmware_py.registers import ArrayWord, Capability, TileState, Window
from backpulse.host.board import Board
from backpulse.host.commands import check, writes
from backpulse.host.errors import HostError, InputError, NoProgressError
from backpulse.host.stop import Stop
from backpulse.host.tile import facts_text, tripped

CHUNK_S = 0.25
"""Most time of pulses that the host asks for in one go: so long a board pulses on whose host is gone."""
PATIENCE_S = 5.0
"""Time beyond that of its pulses in which direct work must end."""
CONVERSION_S = 100e-6
"""Time of a conversion of all lines and of its frames that limits allow for."""
POLL_S = 0.002
_SIGNED = {LineWord.TRIM, LineWord.OFFSET, LineWord.FACTOR}
_AVERAGES = AVERAGES_LOG2_MAX << AVERAGES_AT


@dataclass(frozen=True)
class Samples:
    """What lines sense in a direct measurement.

    Parameters
    ----------
    values : ndarray
        Mean samples: float64 of shape (lines).
    over : ndarray
        Whether a converter was at its rail: bool of the same shape.
    """

    values: np.ndarray
    over: np.ndarray


class AnalogTile:
    """A board's analog tile.

    Parameters
    ----------
    board : Board

    Attributes
    ----------
    lines : Lines
    clock_khz : int
    width_min : int
        Fewest cycles of a pulse.

    Raises
    ------
    InputError
        If the board's array has no direct operations.
    """

    def __init__(self, board: Board) -> None:
        if Capability.DIRECT not in board.capabilities:
            raise InputError(
                f"This needs direct operations on lines, which this board ({facts_text(board.facts)}) does not have: "
                "give one with an analog tile; no line was driven"
            )
        self.board = board
        words = self.words
        if not words[ArrayWord.FRONT_END]:
            raise InputError("The board has no front end behind its analog tile: build it with one; no line was driven")
        self.front_end = words[ArrayWord.FRONT_END]
        self.lines = Lines.from_word(words[ArrayWord.LINES])
        self.clock_khz, self.width_min = words[ArrayWord.CLOCK_KHZ], words[ArrayWord.WIDTH_MIN]

    # Words

    @property
    def words(self) -> list[int]:
        """The words of the ARRAY window as they stand."""
        return self.board.link.read_words(Window.ARRAY.base, max(ArrayWord) + 1)

    def set_word(self, word: ArrayWord, value: int) -> None:
        """Write a word of the ARRAY window."""
        self.board.link.write_words(Window.ARRAY.base + word, [value])

    def profile(self, number: int) -> list[int]:
        """Return the words of a profile, but for those behind its codes."""
        return self.board.link.read_words(Window.TILE.base + PROFILE_WORDS * number, PROFILE_WORDS)

    def write_profile(self, number: int, words: list[int]) -> None:
        """Write a profile."""
        self.board.link.write_words(Window.TILE.base + PROFILE_WORDS * number, words)

    def calibration(self) -> dict[LineWord, np.ndarray]:
        """Return the calibration that the board has: int64 of shape (lines) by name."""
        words = np.array(self.board.link.read_words(Window.TILE.base + CALIBRATION, LINE_WORDS * self.lines.count), np.uint32)
        table = words.reshape(-1, LINE_WORDS)
        return {at: table[:, at].view(np.int32).astype(np.int64) if at in _SIGNED else table[:, at].astype(np.int64) for at in LineWord}

    def write_calibration(self, tables: dict[LineWord, np.ndarray], number: int) -> None:
        """Write a calibration, and the number by which ArrayWord.CALIBRATION names it."""
        words = np.column_stack([np.asarray(tables[at], np.int64) for at in LineWord]) & 0xFFFFFFFF
        self.set_word(ArrayWord.CALIBRATION, 0)  # of what is broken off nobody shall think that it is whole
        self.board.write([(Window.TILE.base + CALIBRATION, words.ravel().astype(np.uint32))])
        self.set_word(ArrayWord.CALIBRATION, number)

    # Drivers

    def arm(self) -> None:
        """Switch the drivers on: two words, and nothing between.

        Raises
        ------
        HostError
            If they stay off.
        """
        self.board.check_tripped()
        at = Window.ARRAY.base + ArrayWord.ARM
        requests = [*writes(at, [ARM_FIRST]), *writes(at, [ARM_SECOND])]
        self.board.link.exchange(requests)
        check(requests)
        self.board.check_tripped()
        state = self.board.tile_state()[0]
        if TileState.ARMED not in state:
            open_ = TileState.INTERLOCK not in state
            raise HostError(
                "The array could not be armed" + (", as the circuit of its interlock is open" if open_ else ""),
                "close lid and switches" if open_ else "look at the front end's supplies and cables",
            )
        self._until_ready()

    def _until_ready(self) -> None:
        """Wait until the front end has set itself up: before that, and unarmed, direct work ends at once and has done nothing."""
        for _ in range(int(PATIENCE_S / POLL_S) + 1):
            state = self.board.tile_state()[0]
            if TileState.TRIPPED in state or TileState.ARMED not in state:
                self.board.check_ready()
            elif TileState.BUSY not in state:
                return
            self.board.link.wait(POLL_S)
        self.board.disarm()
        raise NoProgressError(f"The front end was not ready within {PATIENCE_S:.0f} s of being armed, and was disarmed")

    def coarse(self, number: int) -> float:
        """Return the sense words that converters' steps take from a read of a profile or add to it, at most: of one driven line."""
        words, tables, one = self.profile(number), self.calibration(), 1 << GAIN_FRAC
        converters = {int(kind): found for kind, found in CONVERTERS.items()}.get(self.front_end)
        if not converters:  # of a kind that this version does not know
            return 0.0
        sensed = tables[LineWord.GAIN].max() / one * (1 << SAMPLE_BITS - converters.sense_bits) * (1 << words[ProfileWord.SENSE_SHIFT])
        # A driven line's step in drive LSB, through a cell at zero, or at one unit where that is taken off.
        drive = (1 << CODE_BITS - converters.drive_bits) * (1 << SCALE_FRAC) / max(1, words[ProfileWord.SCALE])
        cell = max(1.0, tables[LineWord.FACTOR].max() / one)
        return (self.lines.pieces * sensed + cell * drive) / 2

    # Direct operations

    def measure(self, codes: np.ndarray, *, connected: np.ndarray | None = None, profile: int = 0) -> Samples:
        """Drive lines, let them settle, sample all of them, and bring them back to rest.

        Parameters
        ----------
        codes : ndarray
            Integers of shape (lines); the tile adds each line's trim.
        connected : ndarray, optional
            Which lines are: bool of shape (lines); by default all.
        profile : int
            For times and averages.

        Raises
        ------
        FaultError
            If the array trips.
        """
        averages = 1 << (self.profile(profile)[ProfileWord.FLAGS] >> AVERAGES_AT & AVERAGES_LOG2_MAX)
        self._codes(codes, connected)
        self._work(Direct.MEASURE | profile << 4, 0.0)
        words = np.array(self.board.link.read_words(Window.TILE.base + DIRECT_SAMPLES, self.lines.count), np.int64)
        sums = words & ((1 << OVER_AT) - 1)
        sums -= sums >> OVER_AT - 1 << OVER_AT
        return Samples(sums / averages, (words >> OVER_AT & 1).astype(bool))

    def pulse(self, codes: np.ndarray, count: int, *, profile: int = 0) -> None:
        """Give lines so many pulses of a profile's width and gap.

        Raises
        ------
        FaultError
            If the array trips.
        """
        words = self.profile(profile)
        seconds = (words[ProfileWord.WIDTH] + words[ProfileWord.GAP]) / (1000 * self.clock_khz)
        self._codes(codes, None)
        most = max(1, int(CHUNK_S / max(seconds, 1e-9)))
        while count > 0:
            some = min(count, most, (1 << 24) - 1)
            before = self.words[ArrayWord.PULSES]
            self._work(Direct.PULSE | profile << 4 | some << 8, some * seconds)
            if (given := (self.words[ArrayWord.PULSES] - before) & 0xFFFFFFFF) != some:
                raise HostError(f"The array gave {given:,} of {some:,} pulses that it was asked for", "look at its state: `backpulse info`")
            count -= some

    @contextmanager
    def averaging(self, profile: int) -> Iterator[None]:
        """Let the measurements of the body take as many conversions as can be, with the times of a profile."""
        at = Window.TILE.base + PROFILE_WORDS * profile + ProfileWord.FLAGS
        link = self.board.link
        flags = link.read_words(at, 1)[0]
        limit = self.words[ArrayWord.READ_LIMIT]
        link.write_words(at, [flags & ~_AVERAGES | self.most_averages(profile, limit) << AVERAGES_AT])
        try:
            yield
        finally:
            with self.board.heeding(Stop()):
                link.write_words(at, [flags])

    def most_averages(self, profile: int, limit: int) -> int:
        """Return log2 of the most conversions for which a limit, in cycles, lets lines of a profile's times be away from rest."""
        room = limit - self.profile(profile)[ProfileWord.SETTLE]
        cycles = CONVERSION_S * 1000 * self.clock_khz
        return next((k for k in range(AVERAGES_LOG2_MAX, 0, -1) if cycles * (1 << k) <= room), 0)

    def _codes(self, codes: np.ndarray, connected: np.ndarray | None) -> None:
        words = np.asarray(codes, np.int64) & ((1 << CODE_BITS) - 1)
        if connected is not None:
            words |= np.where(connected, 0, 1 << CODE_OPEN)
        self.board.write([(Window.TILE.base + DIRECT_CODES, words.astype(np.uint32))])

    def _work(self, word: int, seconds: float) -> None:
        """Start direct work, and wait until it is done."""
        self._until_ready()
        link, at = self.board.link, Window.ARRAY.base + ArrayWord.WORK
        link.write_words(at, [word])
        for _ in range(int((seconds + PATIENCE_S) / POLL_S) + 1):
            if not link.read_words(at, 1)[0]:
                break
            link.wait(POLL_S)
        else:
            self.board.disarm()
            raise NoProgressError(f"The array has not ended direct work within {seconds + PATIENCE_S:.1f} s, and was disarmed")
        state, trip = self.board.tile_state()
        if TileState.TRIPPED in state:
            raise tripped(trip)
