"""One lane of the emulated tile: a column's cells, its multiplier, its sum and its model of pulses."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from itertools import pairwise

from amaranth.hdl import Const, Module, Mux, Signal, Value, ValueLike, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import FACTOR_FRAC, SLOPE_SHIFT, STUCK, UPDATE_FRAC
from backpulse.rtl.lib.numbers import clamp, rshift, times
from backpulse.rtl.lib.xorshift import gauss, xorshift
from backpulse.rtl.tile.layouts import parameter_layout, sum_bits

__all__ = ["STAGES", "Lane", "column_sum", "lane_members", "multiplier", "next_state"]

STAGES = 7
"""Clock edges from the cycle that takes a row of counts to the cycle that writes its cells."""


def lane_members(config: Config, stages: int) -> dict[str, wiring.Member]:
    """Return what all lanes have but for what the host reads: members of `Lane`, for so many stages."""
    rows, count = range(config.rows), signed(config.count_bits)
    return {
        "parameters": In(parameter_layout(config).size),
        "row": In(rows),
        "write_row": In(rows),
        "pulse": In(stages + 1),
        "count": In(count),
        "size": Out(config.count_bits - 1),
        "drive": In(signed(config.drive_bits)),
        "keep": In(1),
        "kept": In(1),
        "add": In(1),
        "clear": In(1),
        "product": Out(signed(config.drive_bits + config.cell_bits)),
        "total": Out(signed(sum_bits(config))),
        "host_data": In(32),
        "host_cell": In(1),
        "host_spread": In(1),
        "host_state": In(1),
    }


def multiplier(m: Module, lane: wiring.Component, cell: Value, *, bits: int) -> tuple[Signal, Signal]:
    """Add to a lane its one multiplier of cells.

    Multipliers lie far away: registers before and after them. Registers have no enables: nets with thousands
    of ends are slow.

    Parameters
    ----------
    m, lane
        The lane and its module.
    cell
        What the drive of stage 1 meets in stage 2.
    bits
        Of the factor.

    Returns
    -------
    tuple
        The factor of stage 1, a drive that others may take the place of, and the product after stage 2.
    """
    held = Signal.like(lane.drive)
    factor1 = Signal(signed(bits))
    factor2 = Signal.like(factor1)
    product = Signal(signed(bits + len(cell)), reset_less=True)
    m.d.cells += [
        held.eq(Mux(lane.keep, lane.drive, Mux(lane.clear, 0, held))),
        factor2.eq(factor1),
        product.eq(factor2 * cell),
    ]
    m.d.comb += [
        lane.product.eq(product),
        factor1.eq(Mux(lane.kept & ~lane.keep, held, lane.drive)),
    ]
    return factor1, product


def column_sum(m: Module, lane: wiring.Component) -> None:
    """Add to a lane the sum of its products down the column."""
    total = Signal.like(lane.total)
    m.d.comb += lane.total.eq(Mux(lane.add, (total + lane.product)[: len(total)].as_signed(), total))
    m.d.cells += total.eq(Mux(lane.clear, 0, lane.total))


def next_state(lane: wiring.Component) -> Value:
    """Return the next state of the lane's write stream: the host's, or in stage 2 of a pulse the next."""
    following = Mux(lane.pulse[2], xorshift(lane.state), lane.state)
    return Mux(lane.host_state, lane.host_data, following)


class Lane(wiring.Component):
    """A column of all tiles.

    Takes one row a cycle; nothing stalls, and what no valid bit goes with is of no account. `row` is
    presented in stage 0, its cell is there in stage 2. A read has its product after stage 2; `total` includes
    the product that is being added. A pulse passes through seven stages and is written in the last:

    ======  ==========================================
    stage   what is computed
    ======  ==========================================
    1       the cell leaves its memory
    2       slope * G; the spread word's step factor
    3       step; n * factor; the random number
    4       n * factor * step; the noise of n pulses
    5       the update, rounded; the cell's bounds
    6       the sum, clamped
    7       written
    ======  ==========================================

    The clock domain `cells` may rest while no row and no drive passes; `pulse`, with what only pulses need
    and all that the host writes, while no pulse does; neither while the host has an access.

    Parameters
    ----------
    config
        Device, spread, widths and depth.

    Members
    -------
    parameters
        Device parameters, a `parameter_layout`: without names of their own, as all lanes have the same.
    row
        Row of all tiles to read, stage 0.
    count, pulse
        Signed pulse count of stage 0, and a valid bit for each of the stages 0 to 7; `size` is the magnitude
        in stage 2.
    write_row
        Row to write, of stage 7 or the host's.
    drive, keep, kept
        Drive of stage 1; `keep` says that it is this lane's and stays (READT): while `kept` is high, what
        stays drives.
    add, clear
        Stage 3 of a READ, and a new sum.
    product, total
        Product after stage 2 and the sum down the column.
    host_cell, host_spread, host_state, host_root
        Write strobes with `host_data`, to `write_row` or to this lane's random state, or to entry `root_at`
        of the noise table.
    cell, spread, state, root
        What the host reads, two cycles after `row`, a cycle after `root_at`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                **lane_members(config, STAGES),
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
        par = data.View(parameter_layout(config), self.parameters)

        m.submodules.cells = cells = Memory(shape=signed(config.cell_bits), depth=config.rows, init=[])
        cell_out = cells.read_port(domain="cells")
        cell_in = cells.write_port(domain="pulse")
        m.d.comb += cell_out.addr.eq(self.row)
        # A large memory is half a cycle away; from here on the cell is a register.
        m.d.cells += self.cell.eq(cell_out.data)

        # The one multiplier of cells serves drives and slopes.
        count1 = Signal(signed(config.count_bits))
        count2 = Signal(signed(config.count_bits))
        up2 = ~count2[-1]
        size2 = Signal.like(self.size)
        m.d.pulse += [count1.eq(self.count), count2.eq(count1), size2.eq(abs(count1))]
        m.d.comb += self.size.eq(size2)
        factor1, product = multiplier(m, self, self.cell, bits=16)
        if full:
            with m.If(self.pulse[1]):
                m.d.comb += factor1.eq(self._directed(~count1[-1], par.slope_up, par.slope_down))
        column_sum(m, self)

        # Spread: the step factor of stage 2, the bound offset of stages 3 and 4.
        factor = Const(1 << FACTOR_FRAC, FACTOR_FRAC + 1)
        stuck2 = Const(0, 1)
        offset3 = Signal(signed(16))
        if config.spread:
            m.submodules.spreads = spreads = Memory(shape=unsigned(8), depth=config.rows, init=[])
            spread_out = spreads.read_port(domain="cells")
            spread_in = spreads.write_port(domain="pulse")
            m.d.comb += [
                spread_out.addr.eq(self.row),
                spread_in.addr.eq(self.write_row),
                spread_in.data.eq(self.host_data),
                spread_in.en.eq(self.host_spread),
            ]
            m.d.cells += self.spread.eq(spread_out.data)
            step_code, bound_code = self.spread[:4].as_signed(), self.spread[4:].as_signed()
            factor = ((1 << FACTOR_FRAC) + step_code * par.step_unit)[: FACTOR_FRAC + 1]
            stuck2 = bound_code == STUCK
            m.d.pulse += offset3.eq(bound_code * par.bound_unit)

        # Stage 3.
        up3 = Signal()
        weight3 = Signal(config.count_bits + FACTOR_FRAC)
        cell3 = Signal.like(self.cell)
        moves3 = Signal()
        m.d.pulse += [
            up3.eq(up2),
            weight3.eq(self.size * factor),
            cell3.eq(self.cell),
            moves3.eq((count2 != 0) & ~stuck2 & self.pulse[2]),
        ]

        # Stage 4.
        up4 = Signal()
        weight4 = Signal.like(weight3)
        cell4 = Signal.like(cell3)
        moves4 = Signal()
        m.d.pulse += [up4.eq(up3), weight4.eq(weight3), cell4.eq(cell3), moves4.eq(moves3)]
        step3 = self._directed(up3, par.base_up, par.base_down)
        step4 = Signal(17)
        if full:
            slope3 = step3 - (product >> SLOPE_SHIFT)
            step3 = Mux(slope3 < 0, 0, slope3)
        m.d.pulse += step4.eq(step3)

        # Stage 5.
        up5 = Signal()
        move5 = Signal(len(step4) + len(weight4))
        cell5 = Signal.like(cell4)
        moves5 = Signal()
        product4 = weight4 * step4
        if full and not config.spread:
            # The weight is a count, of few bits: adders leave multipliers to those who have none near.
            product4 = times(step4, weight4[FACTOR_FRAC:][: config.count_bits - 1]) << FACTOR_FRAC
        m.d.pulse += [up5.eq(up4), move5.eq(product4), cell5.eq(cell4), moves5.eq(moves4)]
        change5 = Mux(up5, move5, -move5)
        if full:
            change5 = change5 + self._noise(m)

        # Stage 6.
        change6 = Signal(signed(len(move5) - UPDATE_FRAC + 2))
        cell6 = Signal.like(cell5)
        moves6 = Signal()
        m.d.pulse += [change6.eq(rshift(change5, UPDATE_FRAC)), cell6.eq(cell5), moves6.eq(moves5)]
        low6, high6 = self._bounds(m, par, offset3)

        # Stage 7: to the memory, half a chip away.
        cell7 = Signal.like(cell6)
        moves7 = Signal()
        m.d.pulse += [cell7.eq(clamp(cell6 + change6, low6, high6)), moves7.eq(moves6)]
        m.d.comb += [
            cell_in.addr.eq(self.write_row),
            cell_in.data.eq(Mux(self.host_cell, self.host_data[: config.cell_bits].as_signed(), cell7)),
            cell_in.en.eq(moves7 | self.host_cell),
        ]
        return m

    def _directed(self, up: ValueLike, of_up: Value, of_down: Value) -> Value:
        """Return the parameter of a pulse's direction, if the device has a step of its own in each."""
        return Mux(up, of_up, of_down) if self._config.steps == 2 else of_up

    def _bounds(self, m: Module, par: data.View, offset3: Signal) -> tuple[Value, Value]:
        """Return a cell's bounds for stage 6: its own, those of all cells, or the ends of a cell word."""
        config = self._config
        if not config.bounds:
            word = signed(config.cell_bits)
            return Const(-config.cell_max - 1, word), Const(config.cell_max, word)
        if not config.spread:
            return Value.cast(par.bound_down), Value.cast(par.bound_up)
        shape = signed(config.cell_bits + 2)
        lows = [Signal(shape, name=f"low{stage}") for stage in (4, 5, 6)]
        highs = [Signal(shape, name=f"high{stage}") for stage in (4, 5, 6)]
        m.d.pulse += [
            highs[0].eq(par.bound_up + offset3),
            lows[0].eq(par.bound_down - offset3),
            *(late.eq(early) for bounds in (highs, lows) for early, late in pairwise(bounds)),
        ]
        return lows[2], highs[2]

    def _noise(self, m: Module) -> Signal:
        """Write noise for stage 5: the stream advances in stage 2, its number meets the root in stage 4."""
        m.submodules.roots = roots = Memory(shape=unsigned(16), depth=self._config.pulse_max + 1, init=[])
        root_out = roots.read_port(domain="pulse")
        root_in = roots.write_port(domain="pulse")
        m.d.comb += [
            root_out.addr.eq(Mux(self.pulse[2], self.size, self.root_at)),
            self.root.eq(root_out.data),
            root_in.addr.eq(self.root_at),
            root_in.data.eq(self.host_data),
            root_in.en.eq(self.host_root),
        ]
        number4 = Signal(signed(10))
        root4 = Signal(16)
        noise5 = Signal(signed(26))
        m.d.pulse += [
            self.state.eq(next_state(self)),
            number4.eq(gauss(self.state)),
            root4.eq(self.root),
            noise5.eq(number4 * root4),
        ]
        return noise5
