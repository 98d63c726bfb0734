"""A tile whose words are an emulated tile's and whose time is an analog tile's: what a real array is to the controller."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from dataclasses import replace

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from backpulse.firmware_py.analog import FrontEnd, Lines
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.registers import Window
from backpulse.gateware.front_end import dac81416
from backpulse.gateware.front_end.crc8 import BITS as CRC_BITS
from backpulse.gateware.front_end.slice_pins import TIMES
from backpulse.rtl.tile.analog.signature import FrontEndSignature
from backpulse.rtl.tile.analog.tile import AnalogTile
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.signature import TileSignature, window_code

CLK_HZ = 50_000_000
"""Of boards with slices."""
TABLES, WORDS, BUSY = 1 << 13, 1 << 14, 1 << 15
"""Offsets in the TILE window: the analog tile's tables, its words of ARRAY, the cycles in which array or front end are busy."""


def cycles(seconds: float) -> int:
    """Return a time in cycles."""
    return round(seconds * CLK_HZ)


LOAD = dac81416.CHANNELS * (2 * (dac81416.WORD_BITS + CRC_BITS) + 4) + TIMES.cycles("latch", CLK_HZ)
"""A frame a channel at 25 MHz, four cycles between two of them, and the latch; all slices at once."""
CONVERT = cycles(8e-6 + 6e-6)
"""A burst, and its readback."""
SETTLE, WIDTH = cycles(15e-6), cycles(10e-6)


class TimedFront(wiring.Component):
    """A front end that takes its time, senses nothing, and counts the cycles in which it or the array is busy.

    As slices do, it takes codes while the gate is high, too, and sends them when it has all and the gate is low. Neither taking them nor
    giving samples counts as busy.

    Parameters
    ----------
    lines
        How many lines there are.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        super().__init__({"front": Out(FrontEndSignature()), "busy": Out(32)})

    def elaborate(self, platform: object) -> Module:
        """Return counters of what takes how long."""
        m, front = Module(), self.front
        taken = Signal()
        loading = Signal(range(LOAD + 1))
        converting = Signal(range(CONVERT + 1))
        line = Signal(range(self._lines + 1), init=self._lines)
        since = Signal(range(SETTLE + 1))
        count = Signal()
        m.d.comb += [
            front.closed.eq(1),
            front.ready.eq(front.on),
            front.codes.ready.eq(~taken & (loading == 0)),
            front.samples.valid.eq((line != self._lines) & (converting == 0)),
            front.samples.payload.last.eq(line == self._lines - 1),
            count.eq((loading != 0) | (converting != 0) | (front.gate & (since != SETTLE))),
        ]
        with m.If(front.codes.valid & front.codes.ready):
            m.d.sync += [front.loaded.eq(0), taken.eq(front.codes.payload.last)]
        with m.If(taken & ~front.gate):
            m.d.sync += [taken.eq(0), loading.eq(LOAD)]
        with m.If(loading != 0):
            m.d.sync += loading.eq(loading - 1)
            with m.If(loading == 1):
                m.d.sync += front.loaded.eq(1)
        with m.If(front.convert):
            m.d.sync += [converting.eq(CONVERT), line.eq(0)]
        with m.Elif(converting != 0):
            m.d.sync += converting.eq(converting - 1)
        with m.Elif(line != self._lines):
            m.d.sync += line.eq(line + 1)
        m.d.sync += since.eq(Mux(front.gate, since + (since != SETTLE), 0))
        m.d.sync += self.busy.eq(self.busy + count)
        return m


class TimedTile(wiring.Component):
    """Gives each command to both tiles, and takes the words of one when the other has its own.

    Parameters
    ----------
    config
        Of the emulated tile.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(TileSignature(config))

    def elaborate(self, platform: object) -> Module:
        """Join the streams of the two; the host has the emulated tile's windows, and the analog tile's beyond TABLES."""
        m, c = Module(), self._config
        lines = Lines(rows=c.tile_rows, cols=c.tile_cols)
        real = replace(c, device=DeviceKind.REAL, spread=0, read_noise=0, tiles=1)
        m.submodules.emulated = emulated = EmulatedTile(c)
        m.submodules.analog = analog = AnalogTile(real, lines, clk_khz=CLK_HZ // 1000, width_min=1, front_end=FrontEnd.SLICES)
        m.submodules.front = front = TimedFront(lines.count)
        connect(m, analog.front, front.front)
        for name in ("cmd", "drive", "counts"):
            outer, one, other = (getattr(part, name) for part in (self, emulated, analog))
            m.d.comb += [
                outer.ready.eq(one.ready & other.ready),
                one.valid.eq(outer.valid & other.ready),
                other.valid.eq(outer.valid & one.ready),
                one.payload.eq(outer.payload),
                other.payload.eq(outer.payload),
            ]
        for name in ("sense", "completion"):
            outer, one, other = (getattr(part, name) for part in (self, emulated, analog))
            m.d.comb += [
                outer.valid.eq(one.valid & other.valid),
                one.ready.eq(outer.ready & other.valid),
                other.ready.eq(outer.ready & one.valid),
                outer.payload.eq(one.payload),
            ]
        m.d.comb += [
            *(getattr(self, name).eq(getattr(analog, name)) for name in ("safe", "progress")),
            self.busy.eq(emulated.busy | analog.busy),
            self.trip.eq(analog.trip),
            emulated.abort.eq(self.abort),
            analog.abort.eq(self.abort),
        ]
        host, of_tile = self.host, self.host.window == window_code(Window.TILE)
        connect(m, flipped(host), emulated.host)
        m.d.comb += [getattr(analog.host, name).eq(getattr(host, name)) for name in ("write", "w_data")]
        offset = host.addr[: TABLES.bit_length() - 1]
        answered = Signal()
        m.d.sync += answered.eq(host.request & ~answered)
        with m.If(of_tile & (host.addr >= TABLES)):
            m.d.comb += [
                emulated.host.request.eq(0),
                analog.host.request.eq(host.request),
                analog.host.addr.eq(offset),
                analog.host.window.eq(window_code(Window.TILE)),
                *(getattr(host, name).eq(getattr(analog.host, name)) for name in ("ack", "r_data", "error")),
            ]
            with m.If(host.addr >= WORDS):
                m.d.comb += analog.host.window.eq(window_code(Window.ARRAY))
            with m.If(host.addr >= BUSY):
                m.d.comb += [
                    analog.host.request.eq(0),
                    host.ack.eq(answered),
                    host.r_data.eq(front.busy),
                    host.error.eq(0),
                ]
        return m
