"""Boards by URL."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from backpulse.firmware_py.analog_profiles import config_of as front_end_config
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import SCHEDULES, compile_network
from backpulse.firmware_py.config import DEFAULT, HIGHEST, Config, DeviceKind
from backpulse.firmware_py.dead import NONE, Dead
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.framing import LONG_PAYLOAD, MAX_PAYLOAD
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.real import array_machine
from backpulse.firmware_py.registers import Capability
from backpulse.firmware_py.room import partial_sum_bits, tiles_needed
from backpulse.firmware_py.table_device import TableDevice
from backpulse.firmware_py.wired import facts, wired
from backpulse.firmware_py.words import nearest
from backpulse.host.addresses import AUTO, FORMS, VIRTUAL, likely
from backpulse.host.array_file import read_array
from backpulse.host.board import Board
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.link import Link, Port
from backpulse.host.ports import GoldenPort, SerialPort, connect
from backpulse.host.probe import the_one
from backpulse.host.virtual import VirtualPort, start
from backpulse.host.waves import Waves

PATIENCE_S = 5.0
"""Silence that a line is forgiven."""
VIRTUAL_PATIENCE_S = 60.0
"""The same for the virtual board, which may have to wait for a processor."""
BAUD = 1_000_000
"""Baud rate of a serial port, if none is given."""
TILE = "128x32"
"""Rows x columns of one tile of a golden or virtual board, if nothing else is said."""
CALIBRATION_DAYS = 30.0
"""How old a calibration may be, if nothing else is said."""


@dataclass(frozen=True)
class Address:
    """A board's URL, taken apart.

    Parameters
    ----------
    board : str
        The URL without what follows a question mark.
    array : Array or None
        The array of the file that it names, as in `golden://?array=FILE`: the model behind a golden or virtual board, the map of any other.
    folder : Path
        Where the files are that the array file names.
    calibration : Path or None
        The calibration to load into an analog tile; that of the array file if it names one.
    calibration_days : float
        How old it may be.
    arming : bool
        Whether it is opened to be armed anew: the limits that it is armed with do not count.
    url : str
        The URL that was taken apart; empty if there was none, as where the array is given in memory.
    """

    board: str
    array: Array | None = None
    folder: Path = Path()
    calibration: Path | None = None
    calibration_days: float = CALIBRATION_DAYS
    arming: bool = False
    url: str = ""

    @classmethod
    def of(cls, url: str) -> Self:
        """Take a URL apart, and read the file that it names.

        Raises
        ------
        InputError
            If something else follows the question mark, or the file is none of an array.
        """
        board, asks, query = url.partition("?")
        if not asks:
            return cls(url, url=url)
        key, _, name = query.partition("=")
        if key != "array" or not name:
            near = nearest(key, ["array"])
            raise InputError(f"Unknown board {url}{near}: what follows the question mark is an array file, as in golden://?array=FILE")
        file = Path(name)
        array = read_array(file)
        return cls(board, array, file.parent, file.parent / array.calibration if array.calibration else None, url=url)

    def calibrated(self, file: Path | None, days: float | None) -> Self:
        """Return it with another calibration or another age that it may have, if they are given."""
        return replace(self, calibration=file or self.calibration, calibration_days=self.calibration_days if days is None else days)

    @property
    def name(self) -> str:
        """What results call it."""
        return self.url or self.board

    @property
    def real(self) -> bool:
        """Whether the array file is of real devices."""
        return self.array is not None and self.array.real

    @property
    def virtual(self) -> bool:
        """Whether the board is made here, to a configuration of the caller's."""
        return self.board in VIRTUAL


def board_config(
    network: Network | None,
    device: Device | TableDevice,
    *,
    tile: str = TILE,
    tiles: int | None = None,
    array: Array | None = None,
    dead: Dead = NONE,
) -> Config:
    """Return the configuration of a golden or virtual board that carries a device, its tables as deep as the network needs.

    Parameters
    ----------
    network : Network or None
        What must find room, if anything.
    tile : str
        Rows x columns of one tile, as in 128x32.
    tiles : int, optional
        Tiles, if not as many as the network needs.
    array : Array, optional
        The model of an array behind the tiles; with a front end it says itself what its tile is.
    dead : Dead
        Lines that the network goes around.

    Raises
    ------
    InputError
        If there is no such tile, or the array has lines or cells beyond the tiles.
    """
    rows, _, cols = tile.partition("x")
    if not (rows.isdecimal() and cols.isdecimal()):
        raise InputError(f"A tile is rows x columns, as in 128x32, not {tile}")
    with wrong_input():
        noise = device.read_noise > 0 or (array is not None and array.needs_noise)
        config = replace(DEFAULT, tile_rows=int(rows), tile_cols=int(cols), read_noise=int(noise))
        if isinstance(device, TableDevice):
            config = replace(config, device=DeviceKind.TABLE)
        elif device.is_ideal:
            config = replace(config, device=DeviceKind.IDEAL, spread=0)
        if array is not None and array.front_end:
            config, tiles = front_end_config(array, config), 1
        elif tiles is None:
            tiles = tiles_needed(network, config, dead) if network else 1
        config = replace(config, tiles=tiles)
        if array is not None:
            array.check(config.rows, config.tile_cols)
        return _with_room(config, network, dead) if network else config


def _with_room(config: Config, network: Network, dead: Dead) -> Config:
    """Return the configuration with the depths that a network needs under any schedule, powers of two, and never less than the default.

    The sample store stays as it is: what does not fit is streamed, and each of its words costs building time.
    """
    limits = HIGHEST | {"vector_words": 1 << 15, "page_bytes": 1 << 15}  # what an entry of the vector table can point to
    depths = ("program_words", "regions", "vector_words", "page_bytes", "acc_bits")
    widest = replace(config, **{name: limits[name] for name in depths})
    programs = [compile_network(network, widest, schedule, dead=dead) for schedule in SCHEDULES]
    need = {
        "program_words": max(len(p.instructions) for p in programs),
        "regions": max(len(p.regions) for p in programs),
        "vector_words": max(p.vector_words_used for p in programs),
        "page_bytes": 4 * programs[0].stride_words,
    }
    deeper = {name: max(getattr(config, name), 1 << (words - 1).bit_length()) for name, words in need.items()}
    return replace(config, **deeper, acc_bits=max(config.acc_bits, max(partial_sum_bits(p) for p in programs)))


def open_board(
    url: str | Address,
    *,
    config: Config = DEFAULT,
    baud: int = BAUD,
    wrap: Callable[[Port], Port] | None = None,
    log: Callable[[np.ndarray], None] | None = None,
    waves: Waves | None = None,
    progress: Callable[[str], None] | None = None,
) -> Board:
    """Open a board.

    Parameters
    ----------
    url : str or Address
        `golden://`, `sim://`, both perhaps with `?array=FILE`, a serial port's path, `socket://host:port`, or `auto`: the board that
        answers on a port of this computer, at its own baud rate.
    config : Config
        Of a golden or virtual board; another board says itself what it is.
    baud : int
        Of a serial port.
    wrap : callable, optional
        Put around the port, for tests of bad lines.
    log : callable, optional
        Receiver of the golden machine's pulses (`GoldenMachine`).
    waves : Waves, optional
        What a virtual board writes; no other can.
    progress : callable, optional
        Called with what is going on while a virtual board is built.

    Raises
    ------
    InputError
        If the URL is unknown or there is nothing behind it, or an analog tile cannot take what the array file says.
    HostError
        If nothing answers, or no board of this version.
    """
    address = url if isinstance(url, Address) else Address.of(url)
    board, array = address.board, address.array
    if address.virtual and config.device is DeviceKind.REAL and not address.real:
        raise InputError(
            f'Real devices are those of a board, or of {board}?array=FILE with kind = "real" in the file: give the board that was trained'
        )
    if board == "golden://":
        # A line that is made bad for a test is like a board's, and on such a line long frames are lost.
        payload = MAX_PAYLOAD if wrap else LONG_PAYLOAD
        if not wrap:  # which would not have the memory for so long an order, either
            config = replace(config, order_depth=HIGHEST["order_depth"])
        port, end = GoldenPort(_golden(config, array, payload, log)), _nothing
    elif board == "sim://":
        port, end = _virtual(config, array, waves, progress)
    elif board.startswith("socket://"):
        port, end = connect(board.removeprefix("socket://")), _nothing
    elif board == AUTO:
        found = the_one()
        port, end = SerialPort(found.device, found.baud), _nothing
    elif "://" in board:
        raise InputError(f"Unknown board {board}: {likely(board) or f'give {FORMS}'}")
    else:
        port, end = SerialPort(board, baud), _nothing
    link = Link(wrap(port) if wrap else port, patience_s=VIRTUAL_PATIENCE_S if board == "sim://" else PATIENCE_S)

    def close() -> None:
        link.close()
        end()

    try:
        opened = Board(link, close)
        opened.address = address
        if Capability.DIRECT in opened.capabilities or address.calibration or (array and array.front_end):
            from backpulse.host.array_setup import prepare  # few boards need it

            prepare(opened, address)
        return opened
    except BaseException:
        close()
        raise


def _golden(config: Config, array: Array | None, payload: int, log: Callable[[np.ndarray], None] | None) -> GoldenMachine:
    """Return the golden machine, perhaps with an array behind it."""
    if array is not None and array.front_end:
        raise InputError("An array with a front end is simulated behind sim:// alone: give sim://?array=FILE, or leave [front_end] out")
    if array is None:
        return GoldenMachine(config, payload=payload, log=log)
    with wrong_input():
        if array.kind == "real":  # whatever the configuration says of emulated devices
            return array_machine(array, config, payload=payload, log=log)
        return GoldenMachine(config, payload=payload, facts=facts(array), array=wired(array, config), log=log)


def _virtual(
    config: Config, array: Array | None, waves: Waves | None, progress: Callable[[str], None] | None
) -> tuple[VirtualPort, Callable[[], object]]:
    """Start the virtual board, with the order of a board in hardware though the configuration be of a golden board's checkpoint."""
    config = replace(config, order_depth=min(config.order_depth, DEFAULT.order_depth))
    board = start(config, array, waves=waves, progress=progress)
    return VirtualPort(board), lambda: str(board.close())


def _nothing() -> None:
    """Nothing to end."""
