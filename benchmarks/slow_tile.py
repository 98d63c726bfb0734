"""An emulated tile that takes its time: what a tile with analog front ends is to the line and the trace."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from backpulse.firmware_py.config import Config
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.signature import TileSignature

COMMAND_CYCLES = 2_000
"""Cycles from a command to its completion: with the five commands of 64-32-10, a step takes 2,500 times as long as the four cycles of a bit
on the virtual board's line. So do steps of 2.5 ms on a line of 1 Mbaud."""


class SlowTile(wiring.Component):
    """The emulated tile, whose completions come `COMMAND_CYCLES` after their commands.

    Parameters
    ----------
    config
        Of the tile.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(TileSignature(config))

    def elaborate(self, platform: object) -> Module:
        """Put the emulated tile behind a counter."""
        m = Module()
        m.submodules.tile = tile = EmulatedTile(self._config)
        left = Signal(range(COMMAND_CYCLES + 1))
        for name in ("cmd", "drive", "counts", "sense", "short", "host"):
            connect(m, flipped(getattr(self, name)), getattr(tile, name))
        m.d.comb += [
            *(getattr(self, name).eq(getattr(tile, name)) for name in ("safe", "busy", "trip")),
            tile.abort.eq(self.abort),
            self.completion.payload.eq(tile.completion.payload),
            self.completion.valid.eq(tile.completion.valid & (left == 0)),
            tile.completion.ready.eq(self.completion.ready & (left == 0)),
            self.progress.eq(tile.progress | (left != 0)),
        ]
        with m.If(tile.cmd.valid & tile.cmd.ready):
            m.d.sync += left.eq(COMMAND_CYCLES)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return m
