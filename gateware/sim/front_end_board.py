"""The virtual board with a physical array: analog tile, front end, models of its chips, C++ behind them."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from backpulse.firmware_py import analog, physical
from backpulse.firmware_py.analog import FrontEnd, Lines
from backpulse.firmware_py.analog_profiles import front_end_of, lines
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import Config
from backpulse.gateware.front_end import slice_pins, student_pins
from backpulse.gateware.front_end.models import SLICE_VERILOG, STUDENT_VERILOG, SliceChips, StudentChips
from backpulse.gateware.front_end.slices import Slices
from backpulse.gateware.front_end.student import Student
from backpulse.gateware.sim.constants import camel, header, shared
from backpulse.gateware.sim.virtual_board import Model, build
from backpulse.gateware.sim.waves import Form
from backpulse.rtl.lib.ports import lead
from backpulse.rtl.tile.analog.signature import FrontEndSignature
from backpulse.rtl.tile.analog.tile import AnalogTile
from backpulse.rtl.tile.signature import TileSignature

FOLDER = Path(__file__).parent
CLOCK_KHZ = 25_000
"""What the tile takes its clock for: the serial clock of a slice is half of it."""
VERILOG = {FrontEnd.SLICES: SLICE_VERILOG, FrontEnd.STUDENT: STUDENT_VERILOG}
"""Models of chips."""
WAKE_S = 1e-4
"""From the converters' reset to their first frame: a simulated one waits for nothing."""


class VirtualFrontEnd(wiring.Component):
    """A front end with the models of its chips, and the array behind them.

    Parameters
    ----------
    kind
        Which one it is.
    slices
        How many, if of slices.

    Members
    -------
    As `FrontEndSignature`, and
    awake
        The tile works for itself: the clock must run.
    """

    def __init__(self, kind: FrontEnd, slices: int) -> None:
        if kind is FrontEnd.SLICES:
            times = replace(slice_pins.TIMES, wake=WAKE_S)
            self._front = Slices(slices=slices, clk_hz=CLOCK_KHZ * 1000, times=times)
            self._chips = SliceChips(slices)
        else:
            times = replace(student_pins.TIMES, wake=WAKE_S)
            self._front = Student(clk_hz=CLOCK_KHZ * 1000, times=times)
            self._chips = StudentChips()
        self.width_min = self._front.width_min
        super().__init__({**FrontEndSignature().members, "awake": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.front = front = self._front
        m.submodules.chips = chips = self._chips
        lead(m, FrontEndSignature(), wiring.flipped(self), front)
        wiring.connect(m, front.pins, chips.pins)
        m.submodules.world = Instance(
            "backpulse_array_world",
            p_LINES=len(chips.connected),
            i_clk=ClockSignal(),
            i_codes=chips.drive.as_value(),
            i_connected=chips.connected,
            i_convert=chips.sampling,
            i_awake=self.awake,
            o_samples=chips.sense.as_value(),
        )
        return m


class VirtualTile(wiring.Component):
    """An analog tile with a front end, for the virtual board alone.

    Parameters
    ----------
    config
        As of `AnalogTile`.
    found
        The array's lines.
    kind, slices
        As of `VirtualFrontEnd`.

    Members
    -------
    As `TileSignature`.
    """

    def __init__(self, config: Config, *, found: Lines, kind: FrontEnd, slices: int) -> None:
        self._front = VirtualFrontEnd(kind, slices)
        self._tile = AnalogTile(
            config, found, clk_khz=CLOCK_KHZ, width_min=self._front.width_min, front_end=kind
        )
        super().__init__(TileSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.tile = tile = self._tile
        m.submodules.front_end = front = self._front
        lead(m, self.signature, wiring.flipped(self), tile)
        lead(m, FrontEndSignature(), tile.front, front)
        m.d.comb += front.awake.eq(tile.busy)
        return m


def constants(count: int) -> str:
    """Return the C++ header of what the model of an array with so many lines takes from the project."""
    names = {
        **shared(),
        **{camel(name): getattr(physical, name) for name in physical.PLACES},
        "kWorldSizes": physical.SIZES,
        "kWorldNumbers": physical.NUMBERS,
        "kSampleOne": float(1 << (analog.SAMPLE_BITS - 1)),
        "kWholePulse": physical.WHOLE_PULSE,
        "kLeastPulse": physical.LEAST_PULSE,
        "kLines": count,
    }
    return "#define WORLD\n" + header(names)


def model_of(array: Array) -> Model:
    """Return what a virtual board with an array's front end has beside the gateware."""
    return Model(
        header=constants(lines(array).count),
        cpp=tuple(FOLDER / name for name in ("line_relaxation.h", "array_world.h", "array_world.cpp")),
        verilog=(FOLDER / "array_world.v", *VERILOG[kind_of(array)]),
    )


def kind_of(array: Array) -> FrontEnd:
    """Return an array's kind of front end."""
    return FrontEnd[front_end_of(array).kind.upper()]


def build_with_front_end(
    config: Config,
    array: Array,
    *,
    waves: Form | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the program of a virtual board with an analog tile, building it on first use.

    It serves all arrays of the same lines.

    Raises
    ------
    As `virtual_board.build`.
    """
    tile = partial(VirtualTile, found=lines(array), kind=kind_of(array), slices=front_end_of(array).slices)
    return build(config, tile=tile, model=model_of(array), waves=waves, progress=progress)
