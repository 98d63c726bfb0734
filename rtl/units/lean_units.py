"""The units of a lean machine between vector memory and the tile."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op, Unit, require
from backpulse.rtl.units.lean_arithmetic import CONTROLS, LeanArithmetic
from backpulse.rtl.units.lean_planner import LeanPlanner
from backpulse.rtl.units.multiplier import CLIENTS
from backpulse.rtl.units.reader import auto_range, to_drive
from backpulse.rtl.units.signature import UnitsSignature

__all__ = ["LeanUnits"]


require(
    "units of lean machines", (Op.READ, Op.READT, Op.PULSE), *set(Unit) - {Unit.ARITHMETIC, Unit.SEQUENCER}
)


class LeanUnits(wiring.Component):
    """Drives, the arithmetic and the planner, whose multipliers they share.

    Parameters
    ----------
    config
        Configuration of the machine, which is `lean`.

    Members
    -------
    As `UnitsSignature`. The words of `a` and `b` must be zero while they are not valid.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(UnitsSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        c, ins = self._config, self.ins
        m.submodules.arithmetic = unit = LeanArithmetic(c)
        m.submodules.planner = planner = LeanPlanner(c)
        for name in CLIENTS:
            connect(m, getattr(unit, name), getattr(planner, name))
        connect(m, flipped(self.host), planner.host)
        connect(m, planner.o_counts, flipped(self.counts))

        # The route of elements is registered before they come.
        reads = Signal()
        pulse = Signal()
        m.d.sync += [reads.eq(ins.reader), pulse.eq(ins.planner)]
        second, negative = self.a.p.second, self.a.p.word[c.vector_bits - 1]
        shift = Signal(signed(5))
        right = Signal(range(c.range_max - c.range_min + 1))
        steady = Signal()
        drives = reads & ~second
        driving = drives & steady
        m.d.comb += [
            self.drive.valid.eq(self.a.valid & driving),
            unit.i_a.valid.eq(self.a.valid & ~drives & ~pulse),
            planner.i_column.valid.eq(self.a.valid & pulse & ~second),
            planner.i_row.valid.eq(self.a.valid & pulse & second),
            self.a.ready.eq(
                (self.drive.ready & driving)
                | (unit.i_a.ready & ~drives & ~pulse)
                | (pulse & Mux(second, planner.i_row.ready, planner.i_column.ready))
            ),
            unit.i_a.payload.eq(self.a.payload),
            planner.i_column.payload.eq(negative),
            planner.i_row.payload.eq(negative),
        ]
        connect(m, flipped(self.b), unit.i_b)
        connect(m, flipped(self.sense), unit.i_sense)

        drive, beyond = to_drive(m, c, unit.size, negative, right)
        m.d.comb += self.drive.payload.eq(drive)
        saturated = Signal(2)  # a register, as nobody waits for the count
        m.d.sync += saturated.eq(unit.saturated + (self.drive.valid & self.drive.ready & beyond))

        # In the third cycle the magnitude is known: the planner's command goes out. In the fourth the range
        # is, and drives do.
        begun = Signal()
        known = Signal()
        planned = Signal()
        wanted = auto_range(c, self.magnitude, ins.auto_range)
        m.d.sync += [
            begun.eq(self.begin),
            known.eq((begun | known) & ~self.finished),
            steady.eq(known & ~self.finished),
            shift.eq(wanted),
            right.eq(c.range_max - wanted),
            planned.eq((planned | (planner.cmd.valid & planner.cmd.ready)) & ~self.finished),
        ]
        m.d.comb += [
            planner.cmd.valid.eq(known & pulse & ~planned),
            *(planner.cmd.p[name].eq(ins[name]) for name in ("rows", "col0", "cols")),
            *(getattr(planner, name).eq(ins[name]) for name in ("scale_log2", "stochastic")),
            planner.exponent.eq(self.exponent),
            planner.magnitude.eq(self.magnitude),
            planner.scaled.eq(unit.scaled),
            planner.clear.eq(self.clear),
            *(
                getattr(unit, name).eq(ins[name])
                for name in (*CONTROLS, "function", "accumulate", "backward", "scale_log2")
            ),
            unit.shift.eq(shift),
            unit.clear.eq(self.clear),
            unit.take.eq(planner.i_column.valid & planner.i_column.ready),
            unit.mantissa.eq(self.mantissa),
            unit.exponent.eq(self.exponent),
            unit.lose.eq(planner.lose),
        ]
        names = (
            "w_en",
            "w_data",
            "w_final",
            "norm",
            "norm_en",
            "loss",
            "loss_en",
            "hit",
            "result",
            "result_en",
            "over",
        )
        m.d.comb += [
            *(getattr(self, name).eq(getattr(unit, name)) for name in names),
            *(
                getattr(self, name).eq(getattr(planner, name))
                for name in ("up", "down", "clipped", "settled")
            ),
            self.w_addr.eq(ins.w_addr + unit.index),
            self.written.eq(unit.done),
            self.saturated.eq(saturated),
        ]
        return m
