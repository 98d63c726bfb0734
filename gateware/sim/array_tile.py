"""The virtual board with an array model behind the tile contract: C++ beside the compiled gateware."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from amaranth.hdl import ClockSignal, Instance, Module, Signal, Value, ValueLike
from amaranth.lib import wiring

from backpulse.firmware_py import device, wired
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.real import array_machine, inside_config, real_config, real_facts
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    STREAM_SHIFT,
    TILE_WORDS,
    Stream,
    Window,
)
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.firmware_py.wired import Wired
from backpulse.gateware.sim.constants import camel, header, shared
from backpulse.gateware.sim.virtual_board import Model, build
from backpulse.gateware.sim.waves import Form
from backpulse.rtl.tile.signature import Status, TileSignature, command_layout, window_code
from backpulse.rtl.tile.status import TileStatus

FOLDER = Path(__file__).parent
NO_PARAMETER = 99
"""What stands for the bits of a TILE word that there is not."""


class ArrayTile(wiring.Component):
    """All tiles of a configuration, whose inside is the C++ of `array_tile.cpp`; for the virtual board alone.

    A read is answered a cycle after its last drive, a PULSE completes a cycle after its last row.

    Parameters
    ----------
    config
        Size, formats and device.
    facts
        What it says of itself.

    Members
    -------
    As `TileSignature`.
    """

    def __init__(self, config: Config, *, facts: TileFacts) -> None:
        self._config, self._facts = config, facts
        super().__init__(TileSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.status = status = TileStatus(self._facts)
        wiring.connect(m, wiring.flipped(self.host), status.bus)
        inner, cmd, completion = status.inner, self.cmd, self.completion.payload
        idle = Signal()
        ready = Signal()
        value = Signal(32)
        tag = Signal(32)
        pulses = Signal(32)
        how = Signal(Status)
        m.submodules.model = Instance(
            "backpulse_array_tile",
            p_COUNTS_BITS=len(Value.cast(self.counts.payload)),
            i_clk=ClockSignal(),
            i_cmd_valid=cmd.valid,
            i_cmd=_wide(m, cmd.payload, 64),
            i_drive_valid=self.drive.valid,
            i_drive=_wide(m, self.drive.payload, 32),
            i_counts_valid=self.counts.valid,
            i_counts=Value.cast(self.counts.payload),
            i_sense_ready=self.sense.ready,
            i_completion_ready=self.completion.ready,
            i_abort=self.abort,
            i_request=inner.request,
            i_window=_wide(m, inner.window, 32),
            i_addr=_wide(m, inner.addr, 32),
            i_write=inner.write,
            i_w_data=inner.w_data,
            o_idle=idle,
            o_cmd_ready=ready,
            o_drive_ready=self.drive.ready,
            o_counts_ready=self.counts.ready,
            o_sense_valid=self.sense.valid,
            o_sense=value,
            o_sense_over=self.sense.payload.over,
            o_sense_last=self.sense.payload.last,
            o_completion_valid=self.completion.valid,
            o_tag=tag,
            o_pulses=pulses,
            o_status=Value.cast(how),
            o_ack=inner.ack,
            o_r_data=inner.r_data,
            o_error=inner.error,
        )
        m.d.comb += [
            cmd.ready.eq(ready & ~self.abort),
            self.sense.payload.value.eq(value),
            completion.tag.eq(tag),
            completion.asked.eq(pulses),
            completion.done.eq(pulses),
            completion.status.eq(how),
            self.safe.eq(idle),
            self.trip.eq(status.trip),
            status.safe.eq(idle),
            status.idle.eq(idle),
        ]
        return m


def _wide(m: Module, value: ValueLike, bits: int) -> Signal:
    """Return a value extended to some bits."""
    wide = Signal(bits)
    m.d.comb += wide.eq(value)
    return wide


def constants(config: Config, profiles: int, *, real: bool = False) -> str:
    """Return the C++ header of what the model takes from the project: formats, constants, places, codes.

    Where the devices are to be `real`, the configuration is that of what is inside, out of the host's reach.
    """
    names = shared() | {
        "kRows": config.rows,
        "kTileRows": config.tile_rows,
        "kTileCols": config.tile_cols,
        "kTiles": config.tiles,
        "kSpread": config.spread,
        "kReadNoise": config.read_noise,
        "kWriteStream": int(config.device is DeviceKind.LINEAR_STEP),
        "kCellBits": config.cell_bits,
        "kCountBits": config.count_bits,
        "kSenseMax": config.sense_max,
        "kSenseShift": config.sense_shift,
        "kCellRowShift": CELL_ROW_SHIFT,
        "kStreamShift": STREAM_SHIFT,
        "kStreamRead": int(Stream.READ),
        "kStreamWrite": int(Stream.WRITE),
        "kCells": window_code(Window.CELLS),
        "kSpreadWords": window_code(Window.SPREAD),
        "kRandom": window_code(Window.RANDOM),
        "kTileWindow": window_code(Window.TILE),
        "kOpRead": int(Op.READ),
        "kOpReadT": int(Op.READT),
        "kOpPulse": int(Op.PULSE),
        "kOk": Status.OK.value,
        "kAborted": Status.ABORTED.value,
        "kRefused": Status.REFUSED.value,
        "kProfiles": profiles,
        "kReal": int(real),
        "kNoParameter": NO_PARAMETER,
        **{camel(name): getattr(wired, name) for name in wired.PLACES},
        "kReadT": wired.READT,
        "kSizes": wired.SIZES,
        "kNumbers": wired.NUMBERS,
        "kLineFields": wired.LINE_FIELDS,
    }
    bits = [device.parameter_bits(config, offset) for offset in range(TILE_WORDS)]
    twins = [next(iter(device.twins(config, offset)), 0) for offset in range(TILE_WORDS)]
    fixed = device.fixed_words(config)
    tables = {
        "kCommandBits": [field.width for _, field in command_layout(config)],
        "kParameterBits": [NO_PARAMETER if b is None else b for b in bits],
        "kTwin": twins,
        "kFixedWords": [fixed.get(offset, 0) for offset in range(TILE_WORDS)],
    }
    return header(names, tables)


def tables(array: Wired) -> bytes:
    """Return what the C++ model loads: the numbers of lines, and the tables as they lie in memory."""
    parts = (np.array(array.g.shape), *(getattr(array, name) for name in wired.TABLES))
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def array_tables(array: Array, config: Config) -> bytes:
    """Return what the C++ model loads for an array: its tables, and of real devices what is inside.

    Raises
    ------
    ValueError
        If the array names lines or cells that the tiles do not have.
    """
    lines = tables(wired.wired(array, config))
    if array.kind != "real":
        return lines
    inside = array_machine(array, config).memory
    parts = (inside.cells, inside.spread, inside.write, inside.read.astype("<u4"), inside.tile.astype("<i8"))
    return lines + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def build_with_array(
    config: Config,
    array: Array,
    *,
    waves: Form | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the program of a virtual board with an array model, building it on first use.

    It serves all arrays of the same kind and capabilities.

    Raises
    ------
    As `virtual_board.build`.
    """
    facts, real = wired.facts(array), array.kind == "real"
    inside = config
    if real:
        config, inside, facts = real_config(config), inside_config(config, array.inside), real_facts(facts)
    model = Model(
        header=constants(inside, facts.profiles, real=real),
        cpp=(FOLDER / "line_relaxation.h", FOLDER / "array_model.h", FOLDER / "array_tile.cpp"),
        verilog=(FOLDER / "array_tile.v",),
    )
    return build(config, tile=partial(ArrayTile, facts=facts), model=model, waves=waves, progress=progress)
