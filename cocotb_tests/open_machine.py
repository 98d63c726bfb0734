"""A machine whose tile is the bench: the streams of the tile are ports of the design."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from backpulse.firmware_py.config import Config
from backpulse.gateware.chip.top import Machine
from backpulse.rtl.tile.signature import TileSignature
from cocotb_tests.mutants import through


class Pins(wiring.Component):
    """A tile that leads all of its ports on to `outer`."""

    def __init__(self, config: Config) -> None:
        super().__init__(TileSignature(config))
        self.outer = TileSignature(config).flip().create(path=("outer",))

    def elaborate(self, platform) -> Module:
        """Return nothing but wires."""
        m = Module()
        connect(m, flipped(self), flipped(self.outer))
        return m


class OpenMachine(wiring.Component):
    """A machine with one more port: `pins`, to its tile."""

    def __init__(self, config: Config) -> None:
        self._pins = Pins(config)
        self._machine = Machine(config, tile=lambda _: self._pins)
        super().__init__({**self._machine.signature.members, "pins": In(TileSignature(config))})

    def elaborate(self, platform) -> Module:
        """Return the machine in a shell."""
        m = Module()
        m.submodules.machine = machine = self._machine
        through(m, self, machine)
        connect(m, flipped(self.pins), self._pins.outer)
        return m
