"""The tile of a board with a front end: the analog tile, the front end, and the board's pins."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from typing import Any

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.hdl import Module
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

from backpulse.firmware_py.config import Config
from backpulse.gateware.front_end.circuit import Circuit
from backpulse.gateware.front_end.kits import KITS
from backpulse.rtl.lib.ports import lead
from backpulse.rtl.tile.analog.signature import FrontEndSignature
from backpulse.rtl.tile.analog.tile import AnalogTile
from backpulse.rtl.tile.signature import TileSignature

__all__ = ["BoardTile", "pins_resource", "pull_of"]

RESOURCE = "front_end"
CONNECTOR = ("gpio", 0)
"""The header, as amaranth-boards names it."""
_SAMPLED = ("sdo", "sdo_a", "sdo_b")
"""Inputs that the front end takes at its own time; others go through synchronisers."""


def pull_of(circuit: Circuit, net: str) -> str:
    """Return whether a net is held UP or DOWN by a resistor; DOWN for one that nothing holds."""
    supplies = [
        other
        for ref in circuit.of("10k")
        if net in (nets := circuit.pins(ref).values())
        for other in nets
        if other != net
    ]
    return "UP" if supplies == ["3V3"] else "DOWN"


def pins_resource(circuit: Circuit, pins: wiring.Signature) -> Resource:
    """Return the pins of a front end for amaranth's platform, as its circuit has them.

    Their pulls are those of the resistors, so that a line that is cut rests where it should.
    """
    header = circuit.header()
    subsignals = []
    for name, member in pins.members.items():
        nets = [name] if name in header else [f"{name}_{i}" for i in range(member.shape)]
        subsignals.append(
            Subsignal(
                name,
                Pins(
                    " ".join(header[net] for net in nets),
                    dir="o" if member.flow == Out else "i",
                    conn=CONNECTOR,
                ),
                Attrs(PULLMODE=pull_of(circuit, nets[0])),
            )
        )
    return Resource(RESOURCE, 0, *subsignals, Attrs(IO_TYPE="LVCMOS33"))


class BoardTile(wiring.Component):
    """An analog tile with the front end of a board; on no platform its pins are left alone.

    Parameters
    ----------
    config
        As of `AnalogTile`.
    kit
        Name of the front end.
    clk_hz
        Frequency of the clock.

    Members
    -------
    As `TileSignature`.
    """

    def __init__(self, config: Config, *, kit: str, clk_hz: int) -> None:
        self._kit = KITS[kit]
        self._front = self._kit.component(clk_hz=clk_hz)
        self._tile = AnalogTile(
            config,
            self._kit.lines,
            clk_khz=clk_hz // 1000,
            width_min=self._front.width_min,
            front_end=self._kit.kind,
        )
        super().__init__(TileSignature(config))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.tile = tile = self._tile
        m.submodules.front = front = self._front
        lead(m, self.signature, wiring.flipped(self), tile)
        lead(m, FrontEndSignature(), tile.front, front)
        if platform is not None:
            self._pins(m, platform)
        return m

    def _pins(self, m: Module, platform: Any) -> None:
        """Connect the front end with the platform's pins."""
        pins = self._front.pins
        platform.add_resources([pins_resource(self._kit.circuit(), pins.signature)])
        ports = platform.request(RESOURCE, 0, dir="-")
        for name, member in pins.signature.members.items():
            pin = getattr(pins, name)
            output = member.flow == Out
            buffer = io.Buffer("o" if output else "i", getattr(ports, name))
            m.submodules[f"pin_{name}"] = buffer
            if output:
                m.d.comb += buffer.o.eq(pin)
            elif name in _SAMPLED:
                m.d.comb += pin.eq(buffer.i)
            else:
                m.submodules[f"sync_{name}"] = FFSynchronizer(buffer.i, pin)
