"""What an analog tile should do, from the formulas of firmware_py: the codes of each drive, sense words, what was done."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from backpulse.firmware_py import analog
from backpulse.firmware_py.analog import LineCalibration, LineClass, Phase, Profile, Reference, Setting, drive_code, limited, sense_word
from backpulse.firmware_py.isa import Op
from cocotb_tests.analog_front import Codes

Samples = Callable[[Codes, int], Sequence[tuple[int, bool]]]


@dataclass(kw_only=True)
class AnalogModel:
    """A tile's lines, tables and limits.

    Members
    -------
    lines, sense_max
        Of the tile and its configuration.
    profiles, calibration
        By number; by line.
    code_limit, read_code_limit
        As the ARRAY window has them.
    """

    lines: analog.Lines
    sense_max: int
    profiles: dict[int, Profile] = field(default_factory=dict)
    calibration: list[LineCalibration] = field(default_factory=list)
    code_limit: int = 0
    read_code_limit: int = 0

    def _classes(self, rows: range, cols: range) -> list[LineClass]:
        """Return the class of each line, with the selected rows and physical columns."""
        lines = self.lines
        return [
            *(LineClass.SELECTED_ROW if i in rows else LineClass.OTHER_ROW for i in range(lines.rows)),
            *(LineClass.SELECTED_COL if i in cols else LineClass.OTHER_COL for i in range(lines.cols)),
            *(LineClass.SELECTED_GATE if i in rows else LineClass.OTHER_GATE for i in range(lines.gates)),
        ]

    def direct_codes(self, settings: Sequence[Setting], limit: int) -> Codes:
        """Return the codes of lines by their settings."""
        return tuple(
            None if setting.open else limited(setting.code + line.trim, limit)
            for setting, line in zip(settings, self.calibration, strict=True)
        )

    def _codes(self, profile: Profile, phase: Phase, classes: Sequence[LineClass], limit: int) -> list[int | None]:
        """Return the codes of lines by their classes."""
        return [*self.direct_codes([profile.setting(phase, line_class) for line_class in classes], limit)]

    def physical(self, col0: int, cols: int) -> range:
        """Return the physical columns of logical ones."""
        pieces = self.lines.pieces
        return range(pieces * col0, pieces * (col0 + cols))

    def read_codes(self, command: dict, drives: Sequence[int], phase: Phase) -> Codes:
        """Return the codes of all lines in a phase of a READ or READT."""
        profile, lines = self.profiles[command["profile"]], self.lines
        cols = self.physical(command["col0"], command["cols"])
        rows = range(command["row0"], command["row0"] + command["rows"])
        codes = self._codes(profile, phase, self._classes(rows, cols), self.read_code_limit)
        sign = -1 if phase is Phase.READ_NEGATIVE else 1
        for i, drive in enumerate(drives):
            if command["op"] == Op.READ:
                driven = {rows[i]: drive}
            elif lines.reference is Reference.PAIRS:
                driven = {lines.rows + cols[2 * i]: drive, lines.rows + cols[2 * i + 1]: -drive}
            else:
                driven = {lines.rows + cols[i]: drive}
            for line, word in driven.items():
                one = 0 if profile.unipolar and sign * word < 0 else sign * word
                codes[line] = drive_code(one, profile, self.calibration[line].trim, self.read_code_limit)
        return tuple(codes)

    def sense(self, command: dict, drives: Sequence[int], samples: Samples) -> tuple[list[Codes], list[dict]]:
        """Return the codes of each phase and the sense words of a READ or READT."""
        profile, lines = self.profiles[command["profile"]], self.lines
        phases = (Phase.READ, Phase.READ_NEGATIVE)[: 1 + profile.two_phase]
        sums, over = [0] * lines.count, [False] * lines.count
        driven = [self.read_codes(command, drives, phase) for phase in phases]
        for codes, sign in zip(driven, (1, -1), strict=False):
            for number in range(1 << profile.averages_log2):
                for line, (value, rail) in enumerate(samples(codes, number)):
                    sums[line] += sign * value
                    over[line] |= rail
        words = []
        cols = self.physical(command["col0"], command["cols"])
        for i in range(command["cols" if command["op"] == Op.READ else "rows"]):
            if command["op"] == Op.READT:
                sensed = [command["row0"] + i]
            else:
                sensed = [lines.rows + cols[lines.pieces * i + piece] for piece in range(lines.pieces)]
            tables = [self.calibration[line] for line in sensed]
            value, clamped = sense_word(
                [sums[line] for line in sensed],
                [table.gain for table in tables],
                profile,
                self.sense_max,
                offsets=[table.offset for table in tables],
                factor=0 if lines.reference is Reference.PAIRS else tables[0].factor,
                drives=sum(drives),
            )
            words.append({"value": value, "over": int(clamped or any(over[line] for line in sensed)), "last": 0})
        words[-1]["last"] = 1
        return driven, words

    def pulses(self, command: dict, counts: Sequence[Sequence[int]]) -> Iterator[tuple[Codes, int, int]]:
        """Yield the codes of each pulse, the number of cells that are done with it, and its row."""
        profile, lines = self.profiles[command["profile"]], self.lines
        for row, line in enumerate(counts, command["row0"]):
            for phase, sign in ((Phase.UP, 1), (Phase.DOWN, -1)):
                physical = [sign * n for n in line]
                if lines.reference is Reference.PAIRS:
                    physical = [sign * side * n for n in line for side in (1, -1)]
                for slot in range(1, max([*physical, 0]) + 1):
                    cols = [i for i, n in enumerate(physical) if n >= slot]
                    classes = self._classes(range(row, row + 1), range(0))
                    for col in cols:
                        classes[lines.rows + col] = LineClass.SELECTED_COL
                    codes = tuple(self._codes(profile, phase, classes, self.code_limit))
                    yield codes, 0 if lines.reference is Reference.PAIRS and phase is Phase.UP else len(cols), row
