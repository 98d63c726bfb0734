"""What a Backpulse machine is: its tiles, number formats and memory depths, in one frozen record."""

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any

ABI_VERSION = 4
"""Version of the register map, the instruction words and their meaning."""


LEAN_COLS = 4
"""Columns of a lean configuration."""


class DeviceKind(IntEnum):
    """What a tile's cells are: a device model that an emulated tile carries, or devices of which nobody knows the state."""

    IDEAL = 0
    LINEAR_STEP = 1
    REAL = 2
    TABLE = 3


def _field(default: int, low: int, high: int, *, meaning: bool = True) -> Any:
    """A configuration field with its allowed range; `meaning` fields are part of the configuration digest."""
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a bitstream, the golden model and the host must agree on.

    Raises
    ------
    ValueError
        If a field is outside its range; the message names the field, the value and the range.
    """

    tile_rows: int = _field(128, 1, 512)
    """Rows of one tile."""
    tile_cols: int = _field(32, 1, 256)
    """Columns of one tile, and so lanes."""
    tiles: int = _field(1, 1, 1024)
    """Tiles on the board."""
    device: DeviceKind = field(default=DeviceKind.LINEAR_STEP, metadata={"low": 0, "high": max(DeviceKind), "meaning": True})
    """What the tiles' cells are."""
    spread: int = _field(1, 0, 1)
    """1 if each cell has a spread word (its step, its bounds, whether it is stuck)."""
    read_noise: int = _field(1, 0, 1)
    """1 if the emulated tiles can add read noise."""

    vector_bits: int = _field(16, 12, 16)
    """Bits of an activation, error or pre-activation."""
    vector_frac: int = _field(12, 10, 12)
    """Fraction bits of activations and errors."""
    pre_frac: int = _field(10, 8, 12)
    """Fraction bits of pre-activations."""
    acc_bits: int = _field(24, 20, 32)
    """Bits of a partial sum in vector memory."""
    drive_bits: int = _field(8, 4, 8)
    """Bits of a drive word."""
    sense_bits: int = _field(10, 6, 12)
    """Bits of a sense word."""
    sense_scale_log2: int = _field(2, 0, 4)
    """log2 of the sense full scale in device units at full drive."""
    cell_bits: int = _field(16, 11, 16)
    """Bits of a cell's conductance."""
    cell_frac: int = _field(14, 10, 14)
    """Fraction bits of a cell's conductance, in device units."""
    pulse_max: int = _field(31, 1, 31)
    """Most pulses a cell gets in one PULSE."""
    steps: int = _field(2, 1, 2)
    """2 if the device's step has parameters of its own in each direction, 1 if those of the way up are for both."""
    bounds: int = _field(1, 0, 1)
    """1 if the device's bounds are parameters, 0 if they are the ends of a cell word, -1 and 1 device units."""
    prefetch: int = _field(1, 0, 1)
    """1 if an instruction is fetched while the one before executes, 0 if each costs the cycles of its fetching."""
    lean: int = _field(0, 0, 1)
    """1 for a small part: units with shared multipliers, which have the sigmoid alone, and four columns of the ideal device."""

    program_words: int = _field(256, 8, 4096, meaning=False)
    """Instructions that the program memory holds."""
    regions: int = _field(256, 2, 4096, meaning=False)
    """Entries of the region table (the instruction word names up to 4096)."""
    vectors: int = _field(64, 8, 64, meaning=False)
    """Entries of the vector table."""
    vector_words: int = _field(1024, 64, 65536, meaning=False)
    """Words of vector memory."""
    page_bytes: int = _field(1024, 16, 65536, meaning=False)
    """Bytes of one of the two sample pages."""
    store_words: int = _field(65536, 64, 1 << 20, meaning=False)
    """32-bit words of the sample store."""
    order_depth: int = _field(1024, 16, 65536, meaning=False)
    """Samples that can be granted ahead."""
    result_depth: int = _field(512, 16, 65536, meaning=False)
    """Predictions that the result ring keeps."""
    output_depth: int = _field(4096, 0, 65536, meaning=False)
    """Output words that the output ring keeps, 0 for no such ring."""
    trace_words: int = _field(16384, 0, 32768, meaning=False)
    """32-bit words that the ring of trace records keeps, 0 for no such ring."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"Configuration field {f.name} must be an integer from {low} to {high}, not {value!r}")
        object.__setattr__(self, "device", DeviceKind(self.device))
        if self.spread and self.device not in (DeviceKind.LINEAR_STEP, DeviceKind.TABLE):
            raise ValueError("Configuration field spread must be 0 but for the linear-step and the table device, not 1")
        if self.device is DeviceKind.TABLE and (self.steps != 2 or not self.bounds):
            raise ValueError("Configuration fields steps and bounds must be 2 and 1 for the table device, which has a table a direction")
        if self.read_noise and self.device is DeviceKind.REAL:
            raise ValueError("Configuration field read_noise must be 0 for real devices, which have their own, not 1")
        if not self.bounds and (self.cell_bits != self.cell_frac + 1 or self.spread):
            raise ValueError("Configuration field bounds must be 1 but for cells of cell_frac + 1 bits without spread")
        if self.lean:
            if self.device is not DeviceKind.IDEAL or self.read_noise or self.tile_cols != LEAN_COLS:
                raise ValueError(f"Configuration field lean must be 0 but for {LEAN_COLS} columns of the ideal device without read noise")
            for name, value in _OF_LEAN.items():
                if getattr(self, name) != value:
                    raise ValueError(f"Configuration field {name} must be {value} if lean, not {getattr(self, name)}")
        elif self.cell_bits < 12:
            raise ValueError(f"Configuration field cell_bits must be at least 12 unless lean, not {self.cell_bits}")
        for name in ("order_depth", "result_depth", "output_depth", "trace_words", "vector_words", "page_bytes"):
            value = getattr(self, name)
            if value & (value - 1) or value == 1:  # rings are read two words at a time
                raise ValueError(f"Configuration field {name} must be a power of two, not {value}")
        if self.vector_frac < self.drive_frac:
            raise ValueError("Configuration field vector_frac must be at least drive_bits - 1")
        if not 0 <= self.sense_frac <= min(self.pre_frac, self.vector_frac):
            raise ValueError("Configuration field sense_bits must leave 0 to pre_frac fraction bits of a sense word")

    @property
    def vector_max(self) -> int:
        """Largest vector word."""
        return (1 << (self.vector_bits - 1)) - 1

    @property
    def drive_frac(self) -> int:
        """Fraction bits of a drive: full drive is 2**drive_frac."""
        return self.drive_bits - 1

    @property
    def drive_max(self) -> int:
        """Largest drive word."""
        return (1 << self.drive_frac) - 1

    @property
    def drive_shift(self) -> int:
        """Bits that a vector word loses on its way to a drive."""
        return self.vector_frac - self.drive_frac

    @property
    def unit(self) -> int:
        """The unit as a vector word: the largest drive, 127/128 by default."""
        return self.drive_max << self.drive_shift

    @property
    def one(self) -> int:
        """1.0 as a vector word (no activation reaches it)."""
        return 1 << self.vector_frac

    @property
    def range_min(self) -> int:
        """Smallest auto-range shift."""
        return self.vector_frac - (self.vector_bits - 1)

    @property
    def range_max(self) -> int:
        """Largest auto-range shift."""
        return self.vector_frac - 1

    @property
    def sense_max(self) -> int:
        """Largest sense word."""
        return (1 << (self.sense_bits - 1)) - 1

    @property
    def sense_frac(self) -> int:
        """Fraction bits of a sense word, in device units at full drive."""
        return self.sense_bits - 1 - self.sense_scale_log2

    @property
    def sense_shift(self) -> int:
        """Bits that the analog sum loses in the converter."""
        return self.cell_frac + self.drive_frac - self.sense_frac

    @property
    def forward_shift(self) -> int:
        """Bits from a sense word to a pre-activation, at weight_scale 1."""
        return self.pre_frac - self.sense_frac

    @property
    def backward_shift(self) -> int:
        """Bits from a sense word to an error, at weight_scale 1."""
        return self.vector_frac - self.sense_frac

    @property
    def cell_max(self) -> int:
        """Largest cell word."""
        return (1 << (self.cell_bits - 1)) - 1

    @property
    def count_bits(self) -> int:
        """Bits of a signed pulse count."""
        return self.pulse_max.bit_length() + 1

    @property
    def longest(self) -> int:
        """Most elements of a vector, and largest offset in one: no memory of vectors holds more."""
        return max(self.vector_words, self.page_bytes)

    @property
    def index_bits(self) -> int:
        """Bits of an element's index in a vector or region, one less than the offsets that may be taken off it included."""
        return (max(self.longest, self.tile_rows, self.tile_cols) + self.longest - 2).bit_length()

    @property
    def stride_bits(self) -> int:
        """Bits of STRIDE: no page holds more words."""
        return (self.page_bytes // 4).bit_length()

    @property
    def stride_mask(self) -> int:
        """Those bits."""
        return (1 << self.stride_bits) - 1

    @property
    def rows(self) -> int:
        """Rows of all tiles together: the depth of the lanes' memories."""
        return self.tile_rows * self.tiles

    def to_words(self) -> list[int]:
        """The fields in order, as the 32-bit words of the identity block."""
        return [int(getattr(self, f.name)) for f in fields(self)]

    @classmethod
    def from_words(cls, words: list[int]) -> "Config":
        """Read a configuration back from the words of an identity block.

        Raises
        ------
        ValueError
            If the count of words or a value does not fit this version.
        """
        names = [f.name for f in fields(cls)]
        if len(words) != len(names):
            raise ValueError(f"A configuration has {len(names)} words, not {len(words)}")
        values: dict[str, Any] = dict(zip(names, words, strict=True))
        return cls(**values)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what the machine means: two machines with one digest give the same bits (32 bytes)."""
        meaning = {f.name: int(getattr(self, f.name)) for f in fields(self) if f.metadata["meaning"]}
        text = json.dumps({"abi": ABI_VERSION, **meaning}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


CONFIG_WORDS = len(fields(Config))
"""Words of a configuration in the identity block."""

HIGHEST: dict[str, int] = {f.name: f.metadata["high"] for f in fields(Config)}
"""Highest allowed value of each field."""
DEFAULT = Config()
"""128 x 32 with the full device model."""
_OF_LEAN = {"steps": 1, "bounds": 0, "prefetch": 0, "output_depth": 0, "trace_words": 0}
"""What a lean configuration has of other fields."""
IDEAL = replace(DEFAULT, device=DeviceKind.IDEAL, spread=0, read_noise=0)
"""The same array with the ideal device: the smallest and fastest build of that size."""
LEAN = replace(IDEAL, tile_cols=LEAN_COLS, cell_bits=DEFAULT.cell_frac + 1, lean=1, **_OF_LEAN)
"""A machine for small parts."""
SMALL = replace(DEFAULT, tile_rows=32, tile_cols=16, tiles=8)
"""Several small tiles: what the tests split layers over."""

TABLE = replace(DEFAULT, device=DeviceKind.TABLE)
"""The default array with the table device."""

PRESETS = {"default": DEFAULT, "ideal": IDEAL, "small": SMALL, "table": TABLE}
"""Configurations by name."""
