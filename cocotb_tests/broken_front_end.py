"""A virtual board's analog tile with one fault of timer, interlock, scaling, order or sign: all in one virtual board.

Which fault it is, is written to the word of `broken_tiles`, once, before the bench begins.
"""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib import wiring

from backpulse.firmware_py.analog import FrontEnd, Lines
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import ARRAY_WORDS, Window
from backpulse.gateware.sim.front_end_board import VirtualTile
from backpulse.rtl.tile.signature import TileSignature, window_code
from cocotb_tests import broken_analog
from cocotb_tests.mutants import Mutants, through

FAULTS = {
    "long pulse": 16,
    "no gap": 16,
    "early": 16,
    "cut pulse counts": 16,
    "armed by one word": 15,
    "trip forgets": 15,
    "failure unheard": 19,
    "budget": 18,
    "width limit": 16,
    "offset": 21,
    "factor": 21,
    "truncated": 21,
    "over is silent": 21,
    "order": 21,
    "row": 3,
    "second phase": 21,
    "polarity": 10,
    "slots": 18,
    "code limit": 17,
}
"""Faults of the analog tile, and a check over the line that sees each. One alone it cannot see: a gate that falls a cycle after the drivers
("gate opens late"), which the front end has disconnected then; that the tile's own bench does (`analog_faults_bench`)."""


class BrokenFrontEnd(wiring.Component):
    """A virtual board's analog tile with faults; parameters as of `VirtualTile`."""

    def __init__(self, config: Config, *, found: Lines, kind: FrontEnd, slices: int) -> None:
        self._mutants = Mutants(VirtualTile(config, found=found, kind=kind, slices=slices), tuple(broken_analog.FAULTS))
        super().__init__(TileSignature(config))

    def number(self, fault: str) -> int:
        """Return what is written for a fault; "none" is 0."""
        return self._mutants.number(fault)

    def elaborate(self, platform: object) -> Module:
        """Return the tile, and what takes the number of the fault."""
        m = Module()
        mutants, host = self._mutants, self.host
        fault = Signal.like(mutants.mutant)
        written = Signal()
        mine = Signal()
        with broken_analog.broken(mutants):
            m.submodules.mutants = Fragment.get(mutants, platform)
        through(m, self, mutants, but=("mutant",))
        of_array = host.window == window_code(Window.ARRAY)
        m.d.comb += [
            mutants.mutant.eq(fault),
            mine.eq(host.request & host.write & of_array & (host.addr == ARRAY_WORDS - 1)),
        ]
        m.d.sync += written.eq(mine & ~written)
        with m.If(mine):
            m.d.comb += [mutants.host.request.eq(0), host.ack.eq(written), host.error.eq(0)]
            m.d.sync += fault.eq(host.w_data)
        return m
