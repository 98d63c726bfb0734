"""The contract with the analog world: a tile's streams, and the host's port to what is in a tile."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false

from amaranth.hdl import signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import FIELDS

__all__ = [
    "HostSignature",
    "Status",
    "TileSignature",
    "command_layout",
    "completion_layout",
    "counts_layout",
    "sense_layout",
]


class Status(enum.Enum, shape=2):
    """How a command ended."""

    OK = 0
    ABORTED = 1
    REFUSED = 2


def command_layout(config: Config) -> data.StructLayout:
    """Return the layout of a command: READ, READT or PULSE of a rectangle of one tile, sides at least 1."""
    return data.StructLayout(
        {
            "op": FIELDS["op"][1],
            "tile": _bits(config.tiles - 1),
            "row0": _bits(config.tile_rows - 1),
            "rows": _bits(config.tile_rows),
            "col0": _bits(config.tile_cols - 1),
            "cols": _bits(config.tile_cols),
            "profile": 4,
            "bank": 1,
            "tag": 4,
        }
    )


def sense_layout(config: Config) -> data.StructLayout:
    """Return the layout of a sense word: `over` if the converter clamped it, `last` if it is the last."""
    return data.StructLayout({"value": signed(config.sense_bits), "over": 1, "last": 1})


def counts_layout(config: Config) -> data.ArrayLayout:
    """Return the layout of a row of pulse counts, one a column of the tile; positive is potentiation."""
    return data.ArrayLayout(signed(config.count_bits), config.tile_cols)


def completion_layout(config: Config) -> data.StructLayout:
    """Return the layout of a completion: pulses asked for and applied by the command with this tag."""
    most = config.tile_rows * config.tile_cols * config.pulse_max
    return data.StructLayout({"tag": 4, "asked": _bits(most), "done": _bits(most), "status": Status})


class HostSignature(wiring.Signature):
    """A slave port for the host, one word at a time.

    `request` is held with its operands until `ack`, which is high for one cycle; `r_data` and `error` are
    valid in that cycle. A slave acknowledges every request, in any state: with `error` if the address is
    wrong or a command is executing, and then nothing has changed.

    Members
    -------
    addr
        Offset in the window, in words.
    window
        The low two bits of `firmware_py.registers.Window`, for CELLS, SPREAD, RANDOM, TILE.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "addr": Out(28),
                "window": Out(2),
                "w_data": Out(32),
                "write": Out(1),
                "request": Out(1),
                "ack": In(1),
                "r_data": In(32),
                "error": In(1),
            }
        )


class TileSignature(wiring.Signature):
    """A tile, seen from the tile.

    A command is followed by its data, and ends with one completion; the next command is taken after that.
    Nothing depends on time: any latency is allowed on every stream.

    - READ: `drive` brings one word a row of the region, in order; `sense` answers one word a column, in
      order.
    - READT: `drive` brings one word a column; `sense` answers one word a row.
    - PULSE: `counts` brings one row of counts a row of the region, in order; lanes outside the region are
      zero.

    `abort` ends the executing command at a row boundary: a row that has begun is finished, sense words not
    yet taken are dropped, no data is taken after its first cycle, and the completion says ABORTED with the
    pulses asked for and applied until then. A command is not taken while `abort` is high. A tile that does
    not know an operation completes it as REFUSED and takes no data.

    Members
    -------
    cmd, drive, counts
        Streams into the tile.
    sense, completion
        Streams out of it. The completion of a read may come while its last sense words still wait.
    abort
        Level or strobe.
    safe
        No driver is on: no command is executing. On an emulated tile `abort` leads to it within 8 cycles.
    host
        Cells, spread words, random states, parameters. While a command is executing it answers `error`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(
            {
                "cmd": In(stream.Signature(command_layout(config))),
                "drive": In(stream.Signature(signed(config.drive_bits))),
                "counts": In(stream.Signature(counts_layout(config))),
                "sense": Out(stream.Signature(sense_layout(config))),
                "completion": Out(stream.Signature(completion_layout(config))),
                "abort": In(1),
                "safe": Out(1),
                "host": In(HostSignature()),
            }
        )


def _bits(most: int) -> int:
    return max(most.bit_length(), 1)
