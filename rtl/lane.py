"""One lane of the emulated tile: a column's cells, its multiplier, its sum and the device model of its pulses."""

from amaranth.hdl import Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from firmware_py.config import Config, DeviceKind
from firmware_py.device import FACTOR_FRAC, SLOPE_SHIFT, STUCK, UPDATE_FRAC, parameter_bits
from firmware_py.registers import TileParameter

from .numbers import clamp, rshift
from .xorshift import gauss, xorshift

__all__ = ["STAGES", "Lane", "parameter_layout", "sum_bits"]

STAGES = 5
"""Clock edges from the cycle that takes a row of counts to the cycle that writes its cells."""


def parameter_layout(config: Config) -> data.StructLayout:
    """Return the layout of the device parameters that all lanes share; those that a build leaves out have no bits, and are zero."""
    bits = {p: parameter_bits(config, p) or 0 for p in TileParameter if p < TileParameter.ROOT}
    return data.StructLayout({p.name.lower(): signed(-n) if n < 0 else unsigned(n) for p, n in bits.items()})


def sum_bits(config: Config) -> int:
    """Return the bits of an analog sum down a whole column or along a whole row, without noise."""
    most = max(config.tile_rows, config.tile_cols)
    return (most * config.drive_max << (config.cell_bits - 1)).bit_length() + 1


class Lane(wiring.Component):
    """A column of all tiles.

    Takes one row a cycle; nothing stalls. `row` is presented in stage 0, its cell is there in stage 1. A read has its product after
    stage 1; `total` includes the product that is being added. A pulse passes through five stages and is written in the last:

    ======  ==========================================
    stage   what is computed
    ======  ==========================================
    1       slope * G; the spread word's step factor
    2       step; n * factor; the noise of n pulses
    3       n * factor * step
    4       the update, rounded; the cell's bounds
    5       the sum, clamped and written
    ======  ==========================================

    Parameters
    ----------
    config
        Device, spread, widths and depth.

    Members
    -------
    row, fetch
        Row of all tiles to read and whether to, stage 0. Holds what it read while `fetch` is low.
    count, pulse
        Signed pulse count of stage 0, and a valid bit for each of the stages 0 to 5; `size` is the magnitude in stage 1.
    write_row
        Row of stage 5.
    drive, keep, kept
        Drive of stage 1; `keep` stores `i_keep` (READT), and `kept` then drives instead.
    multiply, add, clear
        Stage 1 of a read, stage 2 of a READ, and a new sum.
    product, total
        Product after stage 1 and the sum down the column.
    host_cell, host_spread, host_state, host_root
        Write strobes with `host_data`, to `row` or to this lane's random state, or to entry `root_at` of the noise table.
    cell, spread, state, root
        What the host reads, a cycle after `row` or `root_at`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        rows, count = range(config.rows), signed(config.count_bits)
        super().__init__(
            {
                "parameters": In(parameter_layout(config)),
                "row": In(rows),
                "fetch": In(1),
                "write_row": In(rows),
                "pulse": In(STAGES + 1),
                "count": In(count),
                "size": Out(config.count_bits - 1),
                "drive": In(signed(config.drive_bits)),
                "i_keep": In(signed(config.drive_bits)),
                "keep": In(1),
                "kept": In(1),
                "multiply": In(1),
                "add": In(1),
                "clear": In(1),
                "product": Out(signed(config.drive_bits + config.cell_bits)),
                "total": Out(signed(sum_bits(config))),
                "host_data": In(32),
                "host_cell": In(1),
                "host_spread": In(1),
                "host_state": In(1),
                "host_root": In(1),
                "root_at": In(range(config.pulse_max + 1)),
                "cell": Out(signed(config.cell_bits)),
                "spread": Out(8),
                "state": Out(32, init=1),
                "root": Out(16),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        full = config.device is not DeviceKind.IDEAL
        par = self.parameters

        m.submodules.cells = cells = Memory(shape=signed(config.cell_bits), depth=config.rows, init=[])
        cell_out, cell_in = cells.read_port(), cells.write_port()
        m.d.comb += [
            cell_out.addr.eq(self.row),
            cell_out.en.eq(self.fetch),
            self.cell.eq(cell_out.data),
        ]

        # Stage 1: the one multiplier of cells serves drives and slopes.
        count1 = Signal(signed(config.count_bits))
        held = Signal.like(self.drive)
        factor_a, product = Signal(signed(16)), Signal(signed(16 + config.cell_bits))
        up1 = ~count1[-1]
        m.d.comb += self.size.eq(abs(count1))
        with m.If(self.pulse[0]):
            m.d.sync += count1.eq(self.count)
        with m.If(self.clear):
            m.d.sync += held.eq(0)
        with m.Elif(self.keep):
            m.d.sync += held.eq(self.i_keep)
        m.d.comb += factor_a.eq(Mux(self.kept, held, self.drive))
        if full:
            with m.If(self.pulse[1]):
                m.d.comb += factor_a.eq(Mux(up1, par.slope_up, par.slope_down))
        with m.If(self.multiply | (self.pulse[1] if full else 0)):
            m.d.sync += product.eq(factor_a * self.cell)
        m.d.comb += self.product.eq(product)

        total = Signal.like(self.total)
        m.d.comb += self.total.eq(Mux(self.add, total + self.product, total))
        with m.If(self.clear):
            m.d.sync += total.eq(0)
        with m.Elif(self.add):
            m.d.sync += total.eq(self.total)

        # Spread: the step factor of stage 1, the bound offset of stages 2 to 3.
        factor = Const(1 << FACTOR_FRAC, FACTOR_FRAC + 1)
        stuck1, offset2 = Const(0, 1), Signal(signed(16))
        if config.spread:
            m.submodules.spreads = spreads = Memory(shape=unsigned(8), depth=config.rows, init=[])
            spread_out, spread_in = spreads.read_port(), spreads.write_port()
            m.d.comb += [
                spread_out.addr.eq(self.row),
                spread_out.en.eq(self.fetch),
                self.spread.eq(spread_out.data),
                spread_in.addr.eq(self.row),
                spread_in.data.eq(self.host_data),
                spread_in.en.eq(self.host_spread),
            ]
            step_code, bound_code = self.spread[:4].as_signed(), self.spread[4:].as_signed()
            factor = ((1 << FACTOR_FRAC) + step_code * par.step_unit)[: FACTOR_FRAC + 1]
            stuck1 = bound_code == STUCK
            with m.If(self.pulse[1]):
                m.d.sync += offset2.eq(bound_code * par.bound_unit)

        # Stage 2.
        up2, weight2, cell2, moves2 = Signal(), Signal(config.count_bits + FACTOR_FRAC), Signal.like(self.cell), Signal()
        with m.If(self.pulse[1]):
            m.d.sync += [
                up2.eq(up1),
                weight2.eq(self.size * factor),
                cell2.eq(self.cell),
                moves2.eq((count1 != 0) & ~stuck1),
            ]

        # Stage 3. Parameters stay as they are through a PULSE: what depends on them alone needs no register.
        up3, weight3, cell3, moves3 = Signal(), Signal.like(weight2), Signal.like(cell2), Signal()
        with m.If(self.pulse[2]):
            m.d.sync += [up3.eq(up2), weight3.eq(weight2), cell3.eq(cell2), moves3.eq(moves2)]
        if full:
            step2 = Mux(up2, par.base_up, par.base_down) - (product >> SLOPE_SHIFT)
            step3 = Signal(17)
            with m.If(self.pulse[2]):
                m.d.sync += step3.eq(Mux(step2 < 0, 0, step2))
        else:
            step3 = Mux(up3, par.base_up, par.base_down)

        # Stage 4.
        up4, move4, cell4, moves4 = Signal(), Signal(len(step3) + len(weight3)), Signal.like(cell3), Signal()
        with m.If(self.pulse[3]):
            m.d.sync += [up4.eq(up3), move4.eq(weight3 * step3), cell4.eq(cell3), moves4.eq(moves3)]

        noise4 = self._noise(m) if full else Const(0, signed(1))
        change4 = Mux(up4, move4, -move4) + noise4

        # Stage 5.
        change5, cell5, moves5 = Signal(signed(len(move4) - UPDATE_FRAC + 2)), Signal.like(cell4), Signal()
        with m.If(self.pulse[4]):
            m.d.sync += [change5.eq(rshift(change4, UPDATE_FRAC)), cell5.eq(cell4), moves5.eq(moves4)]
        low5, high5 = self._bounds(m, offset2) if config.spread else (par.bound_down, par.bound_up)

        m.d.comb += [
            cell_in.addr.eq(Mux(self.pulse[5], self.write_row, self.row)),
            cell_in.data.eq(Mux(self.pulse[5], clamp(cell5 + change5, low5, high5), self.host_data)),
            cell_in.en.eq((self.pulse[5] & moves5) | self.host_cell),
        ]
        return m

    def _bounds(self, m: Module, offset2: Signal) -> tuple[Signal, Signal]:
        """Work out the cell's own bounds for stage 5 from its offset of stage 2."""
        shape = signed(self._config.cell_bits + 2)
        lows, highs = ([Signal(shape, name=f"{name}{stage}") for stage in (3, 4, 5)] for name in ("low", "high"))
        with m.If(self.pulse[2]):
            m.d.sync += [highs[0].eq(self.parameters.bound_up + offset2), lows[0].eq(self.parameters.bound_down - offset2)]
        for stage in (1, 2):
            with m.If(self.pulse[stage + 2]):
                m.d.sync += [highs[stage].eq(highs[stage - 1]), lows[stage].eq(lows[stage - 1])]
        return lows[2], highs[2]

    def _noise(self, m: Module) -> Signal:
        """Write noise: the lane's stream advances in stage 0, its number meets the root of the count in stage 3."""
        with m.If(self.host_state):
            m.d.sync += self.state.eq(self.host_data)
        with m.Elif(self.pulse[0]):
            m.d.sync += self.state.eq(xorshift(self.state))

        m.submodules.roots = roots = Memory(shape=unsigned(16), depth=self._config.pulse_max + 1, init=[])
        root_out, root_in = roots.read_port(), roots.write_port()
        m.d.comb += [
            root_out.addr.eq(Mux(self.pulse[1], self.size, self.root_at)),
            self.root.eq(root_out.data),
            root_in.addr.eq(self.root_at),
            root_in.data.eq(self.host_data),
            root_in.en.eq(self.host_root),
        ]
        number2, noise3, noise4 = Signal(signed(10)), Signal(signed(26)), Signal(signed(26))
        with m.If(self.pulse[1]):
            m.d.sync += number2.eq(gauss(self.state))
        with m.If(self.pulse[2]):
            m.d.sync += noise3.eq(number2 * self.root)
        with m.If(self.pulse[3]):
            m.d.sync += noise4.eq(noise3)
        return noise4
