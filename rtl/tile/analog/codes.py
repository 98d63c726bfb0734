"""Makes the codes of all lines: of a read's phase, of a pulse, or as the host wrote them."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import (
    CODE_BITS,
    CODES,
    FACTOR_BITS,
    LINE_WORDS,
    PHASE_WORDS,
    PROFILE_WORDS,
    PROFILES,
    SCALE_BITS,
    SCALE_FRAC,
    TRIM_BITS,
    Lines,
    LineWord,
    Phase,
    Reference,
)
from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.numbers import clamp, rshift
from backpulse.rtl.tile.analog.multiplier import LEFT_BITS, PRODUCT_BITS
from backpulse.rtl.tile.analog.signature import code_layout
from backpulse.rtl.tile.analog.tables import setting_layout

__all__ = ["CodeSource", "region_layout"]


def region_layout(config: Config) -> data.StructLayout:
    """Return the layout of the rows and columns of a command."""
    return data.StructLayout(
        {
            "row0": range(config.tile_rows),
            "rows": range(config.tile_rows + 1),
            "col0": range(config.tile_cols),
            "cols": range(config.tile_cols + 1),
        }
    )


class CodeSource(wiring.Component):
    """Gives one code a line, in order, a code a cycle; the first five cycles behind `start`.

    A set that has begun is finished; it waits for nobody while `on` is low. Each code is limited last.

    Parameters
    ----------
    config, lines
        Of the tile.

    Members
    -------
    start
        Strobe, while not `running`: a set. What it is of must be steady until the end of it:
    direct
        Of the codes that the host wrote. Otherwise, of a profile:
    profile, phase, scale
        Its number, its codes' phase, its codes of a drive LSB.
    rows_driven, cols_driven
        READ drives rows, READT columns; neither: a pulse.
    region
        Of a read: which lines are selected.
    unipolar
        Of a read: drives that are negative in this phase are not driven.
    row, selected, look
        Of a pulse: its row; whether the column that is looked at is selected, and that it was seen.
    limit
        Largest size of a code.
    on
        As of `FrontEndSignature`.
    running
        The set is not finished.
    o
        Codes.
    profile_at, profile_word, line_at, line_word, direct_at, direct_word, drive_at, drive
        Look-ups, answered in the cycle behind one with `en`.
    left, right, product
        Multiplications, answered two cycles with `en` later.
    en
        All goes on.
    """

    def __init__(self, config: Config, lines: Lines) -> None:
        self._config, self._lines = config, lines
        most = max(lines.rows, lines.logical_cols)
        super().__init__(
            {
                **dict.fromkeys(
                    ("start", "direct", "rows_driven", "cols_driven", "unipolar", "selected", "on"),
                    In(1),
                ),
                "profile": In(range(PROFILES)),
                "phase": In(Phase),
                "scale": In(SCALE_BITS),
                "region": In(region_layout(config)),
                "row": In(range(lines.rows)),
                "limit": In(CODE_BITS - 1),
                **dict.fromkeys(("running", "look", "en"), Out(1)),
                "o": Out(stream.Signature(code_layout())),
                "profile_at": Out(range(PROFILES * PROFILE_WORDS)),
                "profile_word": In(32),
                "line_at": Out(range(LINE_WORDS * lines.count)),
                "line_word": In(signed(FACTOR_BITS)),
                "direct_at": Out(range(lines.count)),
                "direct_word": In(setting_layout()),
                "drive_at": Out(range(most)),
                "drive": In(signed(config.drive_bits)),
                "left": Out(signed(LEFT_BITS)),
                "right": Out(signed(FACTOR_BITS)),
                "product": In(signed(PRODUCT_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        lines, region = self._lines, self.region
        pairs = int(lines.reference is Reference.PAIRS)
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready | ~self.on), self.en.eq(move)]

        # Stage 0: which line, and what it is in this set.
        giving = Signal()
        line = Signal(range(lines.count))
        kind = Signal(range(3))
        index = Signal(range(max(lines.rows, lines.cols, 2)))
        lengths = Array([lines.rows - 1, lines.cols - 1, max(lines.gates, 1) - 1])
        of_rows, of_cols = kind == 0, kind == 1
        pulses = ~self.rows_driven & ~self.cols_driven & ~self.direct
        logical = index >> pairs
        row_in = (index >= region.row0) & (index < region.row0 + region.rows)
        col_in = (logical >= region.col0) & (logical < region.col0 + region.cols)
        chosen = Signal()
        m.d.comb += [
            chosen.eq(
                Mux(of_cols, Mux(pulses, self.selected, col_in), Mux(pulses, index == self.row, row_in))
            ),
            self.look.eq(giving & move & of_cols & pulses),
        ]
        # Classes are in pairs, the selected one first.
        classes = Cat(~chosen, kind)
        last = line == lines.count - 1
        with m.If(giving & move):
            m.d.sync += [line.eq(line + 1), index.eq(index + 1)]
            with m.If(index == lengths[kind]):
                m.d.sync += [index.eq(0), kind.eq(kind + 1)]
            with m.If(last):
                m.d.sync += giving.eq(0)
        with m.If(self.start):
            m.d.sync += [giving.eq(1), line.eq(0), index.eq(0), kind.eq(0)]
        m.d.comb += [
            self.profile_at.eq(self.profile * PROFILE_WORDS + CODES + self.phase * PHASE_WORDS + classes),
            self.line_at.eq(line * LINE_WORDS + LineWord.TRIM),
            self.direct_at.eq(line),
            self.drive_at.eq(Mux(self.rows_driven, index - region.row0, logical - region.col0)),
        ]

        # Stage 1: what was looked up. Stages 2, 3: the product. Stage 4: the trim. Stage 5: the limit.
        way = data.StructLayout(
            {"driven": 1, "last": 1, "negate": 1, "trim": signed(TRIM_BITS), "word": setting_layout()}
        )
        full = Signal(4)
        way1, way2, way3 = (Signal(way, name=f"way{stage}") for stage in (1, 2, 3))
        word1 = Signal(setting_layout())
        sum4 = Signal(signed(PRODUCT_BITS - SCALE_FRAC + 1))
        open4 = Signal()
        last4 = Signal()
        drive = Signal(signed(self._config.drive_bits + 1))
        m.d.comb += [
            drive.eq(Mux(way1.negate, -self.drive, self.drive)),
            self.left.eq(self.scale),
            self.right.eq(Mux(self.unipolar & (drive < 0), 0, drive)),
            word1.eq(Mux(self.direct, self.direct_word.as_value(), self.profile_word)),
        ]
        with m.If(move):
            m.d.sync += [
                full.eq(Cat(giving, full)),
                way1.driven.eq(chosen & ((of_rows & self.rows_driven) | (of_cols & self.cols_driven))),
                way1.last.eq(last),
                way1.negate.eq((of_cols & index[0] & pairs) ^ (self.phase == Phase.READ_NEGATIVE)),
                way2.eq(way1),
                way2.trim.eq(self.line_word),
                way2.word.eq(word1),
                way3.eq(way2),
                sum4.eq(Mux(way3.driven, rshift(self.product, SCALE_FRAC), way3.word.code) + way3.trim),
                open4.eq(way3.word.open & ~way3.driven),
                last4.eq(way3.last),
                self.o.valid.eq(full[3]),
                self.o.p.code.eq(clamp(sum4, -self.limit, self.limit)),
                self.o.p.open.eq(open4),
                self.o.p.last.eq(last4),
            ]
        m.d.comb += self.running.eq(giving | full.any() | self.o.valid)
        return m
