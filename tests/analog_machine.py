"""A machine with an analog tile, as a host sees it: its words, and direct operations on a physical array by nodal analysis.

It answers what the words of `backpulse.firmware_py.analog` ask for, and keeps count of what was driven. It executes no program.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from backpulse.firmware_py import physical as places
from backpulse.firmware_py.analog import (
    ARM_FIRST,
    ARM_SECOND,
    AVERAGES_AT,
    AVERAGES_LOG2_MAX,
    CALIBRATION,
    CODE_OPEN,
    DIRECT_CODES,
    DIRECT_SAMPLES,
    LINE_WORDS,
    OVER_AT,
    PROFILE_WORDS,
    PROFILES,
    Direct,
    FrontEnd,
    ProfileFlag,
    ProfileWord,
)
from backpulse.firmware_py.analog_profiles import config_of, front_end_of, lines
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.framing import LONG_PAYLOAD
from backpulse.firmware_py.machine import BusError, GoldenMachine
from backpulse.firmware_py.physical import nodal, physical
from backpulse.firmware_py.real import real_machine
from backpulse.firmware_py.registers import ArrayWord, Capability, Cause, TileKind, TileState, Window
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.host.board import Board
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort

CLOCK_KHZ = 25_000
SETTINGS = (
    ArrayWord.LIMIT,
    ArrayWord.READ_LIMIT,
    ArrayWord.CODE_LIMIT,
    ArrayWord.READ_CODE_LIMIT,
    ArrayWord.SDO_DELAY,
    ArrayWord.CALIBRATION,
    ArrayWord.BUDGET,
)
FACTS = TileFacts(
    kind=TileKind.ANALOG,
    capabilities=Capability.ARM | Capability.DIRECT | Capability.TRIPS | Capability.BUDGET | Capability.WORK | Capability.TWO_PHASE,
    profiles=PROFILES,
    safe_cycles=8,
)


class Analog:
    """The words of an analog tile, and the array behind them.

    `measured` and `pulsed` hold the codes of each measurement that drove a line, and of each pulse, clamped as they were; `g` are the
    conductances of its cells, in units of the array, and `move` what a pulse does to them.
    """

    def __init__(self, array: Array) -> None:
        self.array, self.lines = array, lines(array)
        self.tables = physical(array, CLOCK_KHZ)
        self.g = self.tables.conductances()
        self.words = {int(word): 0 for word in SETTINGS} | {int(ArrayWord.BUDGET): 0xFFFFFFFF}
        self.tile = dict.fromkeys(range(DIRECT_SAMPLES + 256), 0)
        self.half, self.armed, self.closed, self.trip = False, False, True, Cause.NONE
        self.measured: list[np.ndarray] = []
        self.pulsed: list[np.ndarray] = []
        self.profile_of: list[int] = []
        self.switches = True
        self.move = lambda g, volts: g
        self.told = lambda: None
        self.width_min = 1
        self.given = self.busy = 0

    def read(self, offset: int) -> int:
        if offset >= 64:
            raise BusError
        state = (TileState.ARMED if self.armed else TileState.SAFE) | (TileState.INTERLOCK if self.closed else TileState(0))
        self.busy = max(0, self.busy - (offset == ArrayWord.STATE))
        state |= TileState.BUSY if self.busy else TileState(0)
        state |= TileState.TRIPPED if self.trip else TileState(0)
        fixed = {
            **FACTS.words(),
            ArrayWord.STATE: state,
            ArrayWord.TRIP: self.trip,
            ArrayWord.ARM: self.armed,
            ArrayWord.CLOCK_KHZ: CLOCK_KHZ,
            ArrayWord.WIDTH_MIN: self.width_min,
            ArrayWord.FRONT_END: FrontEnd[front_end_of(self.array).kind.upper()],
            ArrayWord.LINES: self.lines.to_word(),
            ArrayWord.TEMPERATURE: 25,
            ArrayWord.PULSES: self.given,
        }
        return int((self.words | fixed).get(offset, 0))

    def write(self, offset: int, word: int) -> None:
        half, self.half = self.half, False
        if offset == ArrayWord.ARM:
            self.half = word == ARM_FIRST
            self.given, self.busy = 0, 5  # looks at it until the front end is ready
            self.armed = half and word == ARM_SECOND and self.closed and not self.trip
        elif offset in self.words:
            self.words[offset] = word
        elif offset == ArrayWord.TRIP:
            self.trip = Cause.NONE
        elif offset == ArrayWord.WORK:
            self.work(word)
        else:
            raise BusError

    def write_tile(self, offset: int, word: int) -> None:
        self.half = False
        if offset not in self.tile:
            raise BusError
        self.tile[offset] = word

    def work(self, word: int) -> None:
        """Do direct work at once."""
        if not self.armed or self.busy:
            return  # done at once, and nothing done
        profile = word >> 4 & 15
        words = [self.tile[PROFILE_WORDS * profile + at] for at in range(8)]
        assert words[ProfileWord.FLAGS] & ProfileFlag.VALID
        direct = [self.tile[DIRECT_CODES + line] for line in range(self.lines.count)]
        codes = (np.array(direct) & 0xFFFF).astype(np.uint16).view(np.int16).astype(int)
        codes = codes + np.array([self.tile[CALIBRATION + LINE_WORDS * line] for line in range(self.lines.count)], np.uint32).view(np.int32)
        limit = self.words[ArrayWord.READ_CODE_LIMIT if word & 15 == Direct.MEASURE else ArrayWord.CODE_LIMIT]
        codes = np.clip(codes, -limit, limit)
        connected = np.array([not one >> CODE_OPEN & 1 for one in direct]) | (not self.switches)
        volts = codes * self.tables.numbers[places.VOLTS_OF_CODE] + self.tables.offset
        if word & 15 == Direct.PULSE:
            self.given += word >> 8
            for _ in range(word >> 8):
                self.pulsed.append(codes)
                self.profile_of.append(profile)
                self.g = self.move(self.g, volts[: self.lines.rows, None] - volts[None, self.lines.rows :])
            self.told()
            return
        assert word & 15 == Direct.MEASURE
        if any(direct) and connected.any():
            self.measured.append(codes)
        currents = np.concatenate(
            nodal(self.array, self.g, connected=connected).currents(volts[: self.lines.rows], volts[self.lines.rows :])
        )
        output = volts - currents * self.tables.feedback + self.tables.numbers[places.REST_VOLTS]
        samples = -np.rint(output / self.tables.numbers[places.VOLTS_OF_SAMPLE]).astype(int)
        averages = 1 << (words[ProfileWord.FLAGS] >> AVERAGES_AT & AVERAGES_LOG2_MAX)
        for line, sample in enumerate(samples.tolist()):
            inside = min(max(sample, -32768), 32767)
            self.tile[DIRECT_SAMPLES + line] = averages * inside & (1 << OVER_AT) - 1 | (abs(sample) >= 32767) << OVER_AT
        self.told()


def tables_of(analog: Analog) -> np.ndarray:
    """Return the calibration that a tile holds: words of shape (lines, LINE_WORDS)."""
    return np.array([analog.tile[CALIBRATION + at] for at in range(LINE_WORDS * analog.lines.count)]).reshape(-1, LINE_WORDS)


def analog_machine(array: Array) -> tuple[GoldenMachine, Analog]:
    """Return a golden machine with the words of an analog tile, and these."""
    config = config_of(array, IDEAL)
    machine = real_machine(config, PRESETS[array.device], array.seed, facts=FACTS, payload=LONG_PAYLOAD)
    analog = Analog(array)
    machine._readers[Window.ARRAY], machine._writers[Window.ARRAY] = analog.read, analog.write
    machine._readers[Window.TILE], machine._writers[Window.TILE] = analog.tile.__getitem__, analog.write_tile
    return machine, analog


@contextmanager
def analog_board(array: Array) -> Iterator[tuple[Board, Analog]]:
    """Yield a board with an analog tile, and the tile, where a test may look inside."""
    machine, analog = analog_machine(array)
    link = Link(GoldenPort(machine), patience_s=5.0)
    try:
        yield Board(link, link.close), analog
    finally:
        link.close()


def array_of(reference: str = "calibrated", **more: object) -> Array:
    """Return an array of one slice with errors in its front end; tables by name change it."""
    front = {"kind": "slices", "offset_mv": 2.0, "gain_error": 0.01}
    return Array.model_validate({"name": "die 7", "read": {"reference": reference}, "front_end": front} | more)
