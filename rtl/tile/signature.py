"""The contract with the analog world: a tile's streams, and the host's port to what is in a tile."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false

from amaranth.hdl import signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import FIELDS
from backpulse.firmware_py.registers import Cause, Window

__all__ = [
    "HostSignature",
    "Status",
    "TileSignature",
    "command_layout",
    "completion_layout",
    "counts_layout",
    "sense_layout",
    "short_layout",
    "window_code",
]


class Status(enum.Enum, shape=2):
    """How a command ended: as asked, by an abort, not begun as the tile does not know it, or by a failure."""

    OK = 0
    ABORTED = 1
    REFUSED = 2
    FAILED = 3


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
            "profile": FIELDS["profile"][1],
            "bank": 1,
            "tag": 4,
        }
    )


def sense_layout(config: Config) -> data.StructLayout:
    """Return the layout of a sense word; `last` if it is the last.

    `over` if a converter was at its rail in any phase or sample of it, or the word itself was clamped.
    """
    return data.StructLayout({"value": signed(config.sense_bits), "over": 1, "last": 1})


def counts_layout(config: Config) -> data.ArrayLayout:
    """Return the layout of a row of pulse counts, one a column of the tile; positive is potentiation."""
    return data.ArrayLayout(signed(config.count_bits), config.tile_cols)


def completion_layout(config: Config) -> data.StructLayout:
    """Return the layout of a completion: pulses asked for and applied by the command with this tag.

    `cause` says why it FAILED.
    """
    most = config.tile_rows * config.tile_cols * config.pulse_max
    return data.StructLayout(
        {"tag": 4, "asked": _bits(most), "done": _bits(most), "status": Status, "cause": Cause}
    )


def short_layout(config: Config) -> data.StructLayout:
    """Return the layout of a record of a row, of the tile, that got fewer pulses than asked for."""
    most = config.tile_cols * config.pulse_max
    return data.StructLayout({"row": _bits(config.tile_rows - 1), "asked": _bits(most), "done": _bits(most)})


def window_code(window: Window) -> int:
    """Return what `HostSignature` calls a window: its low three bits."""
    return window & 7


class HostSignature(wiring.Signature):
    """A slave port for the host, one word at a time.

    `request` is held with its operands until `ack`, which is high for one cycle; `r_data` and `error` are
    valid in that cycle. A slave acknowledges every request, in any state and within a millisecond: with
    `error` if the address is wrong, or a command is executing and the window is not ARRAY, and then nothing
    has changed. What takes longer is started by a write and looked after by reads.

    Members
    -------
    addr
        Offset in the window, in words.
    window
        `window_code` of CELLS, SPREAD, RANDOM, TILE or ARRAY.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "addr": Out(28),
                "window": Out(3),
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
    Nothing depends on time: any latency is allowed on every stream, as long as the tile shows `progress`.
    Lines outside the region of a command, and all lines that the configuration does not have, are driven to
    zero.

    - READ: `drive` brings one word a row of the region, in order; `sense` answers one word a column, in
      order.
    - READT: `drive` brings one word a column; `sense` answers one word a row.
    - PULSE: `counts` brings one row of counts a row of the region, in order; lanes outside the region are
      zero. The completion says how many pulses that was (`asked`: the sum of all sizes) and how many were
      applied whole (`done`). Each row that got fewer than asked is named on `short` before the completion:
      their differences add up to that of the completion, and rows that are not named were done whole.

    `abort` ends the executing command at a pulse boundary: a pulse that has begun is finished, sense words
    not yet taken are dropped, no data is taken after its first cycle, and the completion says ABORTED with
    the pulses asked for and applied until then. It is given while a command is executing alone. A command is
    not taken while `abort` is high. A tile that does not know an operation or a profile completes it as
    REFUSED and takes no data. A command that cannot be done completes as FAILED at any time: its data is
    taken no more, and sense words not yet taken are dropped.

    Members
    -------
    cmd, drive, counts
        Streams into the tile.
    sense, completion, short
        Streams out of it. The completion of a read may come while its last sense words still wait.
    abort
        Level or strobe.
    safe
        No driver is on. `abort` leads to it within as many cycles as ArrayWord.SAFE_CYCLES says.
    busy
        No command is taken for the time being, though none is executing: work of the tile's own or of the
        host's.
    trip
        Why the tile has switched its drivers off by itself, until the host writes ArrayWord.TRIP; else zero.
        No command is taken meanwhile, and one that was executing completes as FAILED or ABORTED.
    aging
        Of the table device alone. Strobe: the next sample of a training begins.
    progress
        Strobe: what takes long goes on. Taking or giving a word of any stream says so too.
    host
        ARRAY, at any time (`backpulse.rtl.tile.status`); cells, spread words, random states and parameters,
        which answer `error` while a command is executing.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(
            {
                "cmd": In(stream.Signature(command_layout(config))),
                "drive": In(stream.Signature(signed(config.drive_bits))),
                "counts": In(stream.Signature(counts_layout(config))),
                "sense": Out(stream.Signature(sense_layout(config))),
                "completion": Out(stream.Signature(completion_layout(config))),
                "short": Out(stream.Signature(short_layout(config))),
                "abort": In(1),
                "safe": Out(1),
                "busy": Out(1),
                "trip": Out(Cause),
                "progress": Out(1),
                "host": In(HostSignature()),
                **({"aging": In(1)} if config.device is DeviceKind.TABLE else {}),
            }
        )


def _bits(most: int) -> int:
    return max(most.bit_length(), 1)
