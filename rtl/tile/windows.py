"""The host's windows on cells, spread words, random states and parameters: the tile's and the planner's."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.registers import ARRAY_WORDS, STREAM_SHIFT, WINDOW_SHIFT, Stream, Window
from backpulse.rtl.lib.ports import HostPort
from backpulse.rtl.tile.signature import HostSignature, window_code

__all__ = ["TileWindows", "tile_windows"]


def tile_windows(config: Config) -> dict[Window, int]:
    """Return the windows of the tile, with the width of their offsets.

    The rounding streams in RANDOM are the planner's. A lean machine has no ARRAY: its tile is a part of it.
    """
    windows: dict[Window, int] = dict.fromkeys(
        (Window.CELLS, Window.SPREAD, Window.RANDOM, Window.TILE), WINDOW_SHIFT
    )
    if config.device is DeviceKind.TABLE:
        windows[Window.TABLE] = WINDOW_SHIFT
    return windows if config.lean else {Window.ARRAY: (ARRAY_WORDS - 1).bit_length(), **windows}


class TileWindows(wiring.Component):
    """Merges windows into the tile's port, and the planner's for rounding streams, without delay.

    Parameters
    ----------
    config
        Of the machine: which windows there are.

    Members
    -------
    cells, spread, random, tile, array, table
        The windows, as the machine has them; at most one has a request at a time.
    o_tile, o_rounding
        Port of the tile; port of the planner, one address a lane.
    """

    def __init__(self, config: Config) -> None:
        self._windows = tile_windows(config)
        windows = {window.name.lower(): In(HostPort(bits)) for window, bits in self._windows.items()}
        super().__init__(
            {**windows, "o_tile": Out(HostSignature()), "o_rounding": Out(HostPort(STREAM_SHIFT))}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # Where all windows carry the same address and data, only the request is left to choose.
        for o in (self.o_tile, self.o_rounding):
            self._forward(m, self.tile, o)
        for window in self._windows:
            i = getattr(self, window.name.lower())
            rounding = i.addr[STREAM_SHIFT:] == Stream.ROUNDING if window is Window.RANDOM else 0
            with m.If(i.request & rounding):
                self._forward(m, i, self.o_rounding)
                m.d.comb += self.o_rounding.request.eq(1)
            with m.Elif(i.request):
                self._forward(m, i, self.o_tile)
                m.d.comb += [self.o_tile.request.eq(1), self.o_tile.window.eq(window_code(window))]
            # One window at most has a request: an answer is for it.
            m.d.comb += [
                i.ack.eq(i.request & (self.o_rounding.ack | self.o_tile.ack)),
                i.r_data.eq(Mux(self.o_rounding.ack, self.o_rounding.r_data, self.o_tile.r_data)),
                i.error.eq(Mux(self.o_rounding.ack, self.o_rounding.error, self.o_tile.error)),
            ]
        return m

    @staticmethod
    def _forward(m: Module, i, o) -> None:
        m.d.comb += [o.addr.eq(i.addr), o.w_data.eq(i.w_data), o.write.eq(i.write)]
