"""The leak of the table device: how long ago each row was visited, and what its cells lose for that."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import TableParameter
from backpulse.firmware_py.table_device import LEAK_FRAC, LEAKS, PERIOD_MASK, TABLE_BITS

__all__ = ["Leak"]


class Leak(wiring.Component):
    """Says of each row that enters what it loses, three cycles later, and keeps that it was visited.

    Parameters
    ----------
    config
        Rows.

    Members
    -------
    aging
        Strobe: a sample begins to be trained with. A period may end by that until four cycles later.
    period
        LEAK_PERIOD.
    row, enter
        A row enters, stage 0.
    leaks, loss
        Stage 3: it has to leak, by `loss`.
    host_age, host_loss, host_visited
        Write strobes with `host_data`: AGE, an entry of LEAK at `loss_at`, a row's last visit at `row`.
    age, loss, visited
        What the host reads: a cycle after `loss_at`, a cycle after `row`.
    """

    def __init__(self, config: Config) -> None:
        rows, self._bits = range(config.rows), PERIOD_MASK.bit_length()
        self._rows = config.rows
        super().__init__(
            {
                "aging": In(1),
                "period": In(TABLE_BITS[TableParameter.LEAK_PERIOD]),
                "row": In(rows),
                "enter": In(1),
                "leaks": Out(1),
                "loss": Out(LEAK_FRAC),
                "host_data": In(32),
                "host_age": In(1),
                "host_loss": In(1),
                "host_visited": In(1),
                "loss_at": In(range(LEAKS)),
                "age": Out(TABLE_BITS[TableParameter.AGE]),
                "visited": Out(self._bits),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.visits = visits = Memory(shape=unsigned(self._bits), depth=self._rows, init=[])
        m.submodules.losses = losses = Memory(shape=unsigned(LEAK_FRAC), depth=LEAKS, init=[])
        visit_out = visits.read_port()
        visit_in = visits.write_port()
        loss_out = losses.read_port()
        loss_in = losses.write_port()

        with m.If(self.host_age):
            m.d.sync += self.age.eq(self.host_data)
        with m.Elif(self.aging):
            m.d.sync += self.age.eq(self.age + 1)
        period = Signal(self._bits)
        m.d.sync += period.eq(self.age >> self.period)

        enter1 = Signal()
        row1 = Signal.like(self.row)
        enter2 = Signal()
        passed2 = Signal(self._bits)
        leaks3 = Signal()
        m.d.sync += [
            enter1.eq(self.enter),
            row1.eq(self.row),
            enter2.eq(enter1),
            passed2.eq(period - visit_out.data),
            leaks3.eq(enter2 & (passed2 != 0)),
        ]
        m.d.comb += [
            visit_out.addr.eq(self.row),
            visit_in.addr.eq(Mux(enter1, row1, self.row)),
            visit_in.data.eq(Mux(enter1, period, self.host_data)),
            visit_in.en.eq(enter1 | self.host_visited),
            loss_out.addr.eq(Mux(enter2, _entry(passed2), self.loss_at)),
            loss_in.addr.eq(self.loss_at),
            loss_in.data.eq(self.host_data),
            loss_in.en.eq(self.host_loss),
            self.leaks.eq(leaks3),
            self.loss.eq(loss_out.data),
            self.visited.eq(visit_out.data),
        ]
        return m


def _entry(periods: Value) -> Value:
    """Return the entry of LEAK for so many periods: the last one is for more, too."""
    return Mux(periods < LEAKS, periods[: (LEAKS - 1).bit_length()], LEAKS - 1)
