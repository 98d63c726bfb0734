"""The analog tile's words: lines, profiles, calibration, direct operations; the formulas between drives, codes, samples, sense words.

The tile knows lines and profiles, and no chip. A line is a row, a column or a gate (a word line of 1T1R cells, the gate of three-terminal
ones); all are driven by a code and sensed by a sample. Codes and samples have 16 bits, whatever the converters have: full scale is full
scale of the front end. Times are clock cycles (ArrayWord.CLOCK_KHZ says of which clock).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from backpulse.firmware_py.formats import rshift, sat

CODE_BITS = 16
"""Bits of a code, signed: what a line is driven with. 0 is 0 V."""
SAMPLE_BITS = 16
"""Bits of a sample, signed: what a line senses, its current."""
AVERAGES_LOG2_MAX = 7
"""log2 of the most conversions that a phase adds up."""
SUM_BITS = SAMPLE_BITS + AVERAGES_LOG2_MAX + 1
"""Bits of a line's sum, signed: the samples of two phases."""
SCALE_BITS, SCALE_FRAC = 24, 8
"""Bits and fraction bits of ProfileWord.SCALE, unsigned: codes of one drive LSB."""
SENSE_SHIFT_MAX = 7
"""Largest ProfileWord.SENSE_SHIFT."""
GAIN_BITS, GAIN_FRAC = 18, 17
"""Bits and fraction bits of a line's gain, unsigned: sense LSB of one sample LSB."""
FACTOR_BITS = 20
"""Bits of a line's factor, signed, GAIN_FRAC fraction bits: sense LSB, at the conductance of zero, of an LSB of the sum of drives."""
OFFSET_BITS = 16
"""Bits of a line's offset, signed: its sample without a current, which reads of one phase take off."""
TRIM_BITS = 16
"""Bits of a line's trim, signed: added to each of its codes, so that code 0 is 0 V."""


class Reference(IntEnum):
    """What a read takes off for the conductance of zero; each has its logical columns."""

    CALIBRATED = 0
    """The sum of the drives times a factor of each sensed line."""
    PAIRS = 1
    """A logical column is two physical ones, 2c and 2c + 1: their difference. A READT drives them with opposite codes."""


class LineClass(IntEnum):
    """What a line is in a phase. Of a READ or READT the region's rows, columns and gates are selected."""

    SELECTED_ROW = 0
    OTHER_ROW = 1
    SELECTED_COL = 2
    OTHER_COL = 3
    SELECTED_GATE = 4
    OTHER_GATE = 5


class Phase(IntEnum):
    """What lines are driven for."""

    IDLE = 0
    """All lines are at rest: it has no codes."""
    READ = 1
    READ_NEGATIVE = 2
    UP = 3
    DOWN = 4


class ProfileWord(IntEnum):
    """Words of a profile, at PROFILE_WORDS * number in the TILE window; codes follow from CODES on. Meanings: PROFILE_MEANINGS."""

    FLAGS = 0
    SCALE = 1
    SENSE_SHIFT = 2
    SETTLE = 3
    WIDTH = 4
    GAP = 5
    DELAY = 6


PROFILE_MEANINGS = {
    ProfileWord.FLAGS: "see below",
    ProfileWord.SCALE: f"codes of a drive LSB in a read, {SCALE_BITS} bits, {SCALE_FRAC} of them fraction bits",
    ProfileWord.SENSE_SHIFT: f"bits by which a read's result is made larger, 0 to {SENSE_SHIFT_MAX}, where less voltage reads",
    ProfileWord.SETTLE: "cycles from the edge of the drives to the first conversion",
    ProfileWord.WIDTH: "cycles of a pulse",
    ProfileWord.GAP: "fewest cycles between two pulses",
    ProfileWord.DELAY: "cycles from the last pulse of a PULSE to its completion (write-read delay)",
}


class ProfileFlag(IntFlag):
    """Bits of ProfileWord.FLAGS."""

    VALID = 1
    """A command may name this profile; another is refused."""
    TWO_PHASE = 2
    """A read is the difference of one with the drives and one with their negatives."""
    UNIPOLAR = 4
    """Of two phases, the first drives positive drives alone, the second the others with their sizes."""


PROFILES = 16
PROFILE_WORDS = 64
CODES, PHASE_WORDS = 16, 8
"""A profile's codes lie at CODES + PHASE_WORDS * Phase + LineClass: bits 0 to 15 the code, bit CODE_OPEN: the line is not connected.
Those of a read's driven lines are not used: they come from the drives."""
CODE_OPEN = 16
AVERAGES_AT = 4
"""Position of log2 of the conversions in FLAGS."""

CALIBRATION = 1024
"""Offset of the calibration in the TILE window: LINE_WORDS words a line."""
LINE_WORDS = 4


class LineWord(IntEnum):
    """Words of a line's calibration. A row senses in READT alone and a column in READ, so each line has one of each."""

    TRIM = 0
    OFFSET = 1
    GAIN = 2
    FACTOR = 3


DIRECT_CODES = 2048
"""Offset of the codes of a direct operation, one a line, as those of a profile; they can be written."""
DIRECT_SAMPLES = 3072
"""Offset of what the last direct measurement or read sampled, one word a line: bits 0 to 30 its sum, signed; bit OVER_AT: one of its
samples was at a rail."""
OVER_AT = 31


class Direct(IntEnum):
    """What a write of ArrayWord.WORK starts: bits 0 to 3; bits 4 to 7: profile for times and averages; bits 8 to 31: pulses.

    The lines get the codes of DIRECT_CODES, clamped as all codes. WORK reads as it was written until all is done, then zero.
    """

    MEASURE = 1
    """Drive, settle, convert, back to rest."""
    PULSE = 2
    """So many pulses of the profile's width and gap."""


ARM_FIRST = int.from_bytes(b"arm1", "little")
ARM_SECOND = int.from_bytes(b"ARM2", "little")
"""What is written to ArrayWord.ARM, one right after the other, to switch the drivers on; any other word switches them off."""


class FrontEnd(IntEnum):
    """Front ends, ArrayWord.FRONT_END."""

    SLICES = 1
    STUDENT = 2


@dataclass(frozen=True, kw_only=True)
class Converters:
    """What drives and senses the lines of a kind of front end."""

    drive_bits: int
    sense_bits: int
    drive_volts: float
    """Of a full-scale code, at a line."""
    sense_volts: float
    """Of a full-scale sample, at an amplifier's output."""
    rest_volts: float = 0.0
    """Of an amplifier's output at rest, from the middle of its converter."""


CONVERTERS = {
    FrontEnd.SLICES: Converters(drive_bits=16, sense_bits=16, drive_volts=5.0, sense_volts=5.0),
    # Rest is the middle of 0 to 2.5 V of the DAC; the ADCs reach from 0 to 3.3 V.
    FrontEnd.STUDENT: Converters(drive_bits=12, sense_bits=12, drive_volts=1.25, sense_volts=1.65, rest_volts=1.25 - 1.65),
}


@dataclass(frozen=True, kw_only=True)
class Lines:
    """How many lines a tile has, and what its logical columns are.

    Lines are numbered rows, then physical columns, then gates.
    """

    rows: int
    cols: int
    """Physical columns."""
    gates: int = 0
    """0, or as many as rows: gate i belongs to row i."""
    reference: Reference = Reference.CALIBRATED

    def __post_init__(self) -> None:
        if self.reference is Reference.PAIRS and self.cols % 2:
            raise ValueError(f"Pairs need an even number of columns, not {self.cols}")
        if self.gates not in (0, self.rows):
            raise ValueError(f"There must be no gates or one a row, {self.rows}, not {self.gates}")

    @property
    def count(self) -> int:
        """All lines."""
        return self.rows + self.cols + self.gates

    @property
    def pieces(self) -> int:
        """Physical columns of a logical one."""
        return 2 if self.reference is Reference.PAIRS else 1

    @property
    def logical_cols(self) -> int:
        """Columns of the tile contract: Config.tile_cols."""
        return self.cols // self.pieces

    def to_word(self) -> int:
        """As ArrayWord.LINES: rows, columns, gates, reference, a byte each."""
        return self.rows | self.cols << 8 | self.gates << 16 | self.reference << 24

    @classmethod
    def from_word(cls, word: int) -> "Lines":
        """The inverse of `to_word`."""
        rows, cols, gates, reference = word.to_bytes(4, "little")
        return cls(rows=rows, cols=cols, gates=gates, reference=Reference(reference))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A line's code as the host writes it; `open`: the line is not connected."""

    code: int = 0
    open: bool = False

    def to_word(self) -> int:
        """As a word of a profile, or of DIRECT_CODES."""
        return self.code & (1 << CODE_BITS) - 1 | self.open << CODE_OPEN


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How to read and to pulse, in codes and cycles."""

    two_phase: bool = False
    unipolar: bool = False
    averages_log2: int = 0
    scale: int = 0
    sense_shift: int = 0
    settle: int = 0
    width: int = 0
    gap: int = 0
    delay: int = 0
    settings: dict[tuple[Phase, LineClass], Setting] = field(default_factory=dict)
    """Lines without one have code 0."""

    def to_words(self) -> list[int]:
        """All words of the profile's place in the TILE window."""
        words = [0] * PROFILE_WORDS
        flags = ProfileFlag.VALID | ProfileFlag.TWO_PHASE * self.two_phase | ProfileFlag.UNIPOLAR * self.unipolar
        words[ProfileWord.FLAGS] = flags | self.averages_log2 << AVERAGES_AT
        for word in ProfileWord:
            if word is not ProfileWord.FLAGS:
                words[word] = getattr(self, word.name.lower())
        for (phase, line_class), setting in self.settings.items():
            words[CODES + PHASE_WORDS * phase + line_class] = setting.to_word()
        return words

    def setting(self, phase: Phase, line_class: LineClass) -> Setting:
        """Return that of a class of lines in a phase."""
        return self.settings.get((phase, line_class), Setting())


@dataclass(frozen=True, kw_only=True)
class LineCalibration:
    """The words of a line's calibration."""

    trim: int = 0
    offset: int = 0
    gain: int = 0
    factor: int = 0

    def to_words(self) -> list[int]:
        """In the order of `LineWord`, as the TILE window has them."""
        return [getattr(self, word.name.lower()) & 0xFFFFFFFF for word in LineWord]


def limited(code: int, limit: int) -> int:
    """Return what is driven of a code: all sizes above the limit of the ARRAY window become that."""
    return sat(code, limit)


def drive_code(drive: int, profile: Profile, trim: int, limit: int) -> int:
    """Return the code of a driven line."""
    return limited(rshift(drive * profile.scale, SCALE_FRAC) + trim, limit)


def sense_word(
    sums: Sequence[int],
    gains: Sequence[int],
    profile: Profile,
    sense_max: int,
    *,
    offsets: Sequence[int] = (0, 0),
    factor: int = 0,
    drives: int = 0,
) -> tuple[int, bool]:
    """Return the sense word of a line's sum, or of those of a pair, and whether it was clamped.

    The result is rounded once. Two phases of which each has driven all drives have sensed twice of what one senses. The factor is that of
    a profile without SENSE_SHIFT: with less voltage, zero has less current too.

    Parameters
    ----------
    sums, gains, offsets
        Of the line, or of the two of a pair.
    factor, drives
        The line's factor and the sum of all drives; not of pairs.
    """
    doubled = profile.averages_log2 + (profile.two_phase and not profile.unipolar)
    levels = [total - (0 if profile.two_phase else offset << profile.averages_log2) for total, offset in zip(sums, offsets, strict=False)]
    scaled = [level * gain for level, gain in zip(levels, gains, strict=True)]
    difference = (scaled[0] - sum(scaled[1:]) << profile.sense_shift) - (factor * drives << doubled)
    value = rshift(difference, GAIN_FRAC + doubled)
    return sat(value, sense_max), abs(value) > sense_max
