"""Of the public interface: boards, programs, devices and data by what they are called."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host import urls
from backpulse.host.array_map import around
from backpulse.host.board import Board
from backpulse.host.datasets import Dataset
from backpulse.host.devices import device_of, resolved
from backpulse.host.errors import InputError
from backpulse.host.labels import from_array, number
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.urls import BAUD, TILE, Address


def open_board(
    url: str | Address = "golden://",
    settings: Settings | None = None,
    *,
    tile: str = TILE,
    tiles: int | None = None,
    baud: int = BAUD,
    progress: Callable[[str], None] | None = None,
) -> Board:
    """Open a board.

    Parameters
    ----------
    url : str or Address
        `golden://`, `sim://`, both perhaps with `?array=FILE`, a serial port's path, or `socket://host:port`.
    settings : Settings, optional
        What a golden or virtual board must have room for, and the device of its tiles.
    tile : str
        Rows x columns of one tile of a golden or virtual board.
    tiles : int, optional
        Its tiles, if not as many as the network needs.
    baud : int
        Of a serial port.
    progress : callable, optional
        Called with what is going on while a virtual board is built.

    Returns
    -------
    Board
        Close it, or use it in a `with`.

    Raises
    ------
    InputError
        If the URL is unknown, there is nothing behind it, or no board has room for the network.
    HostError
        If nothing answers, or no board of this version.

    Examples
    --------
    >>> with open_board("golden://", Settings(layers="4-8-3")) as board:
    ...     board.config.tiles, board.status()[0].name
    (1, 'IDLE')
    """
    address = url if isinstance(url, Address) else Address.of(url)
    config = DEFAULT
    if address.virtual:
        network, model = (settings.network, settings.device_model) if settings else (None, PRESETS["ideal"])
        dead = Dead.parse(around(settings.to_dict() if settings else {}, address.array).get("dead") or "")
        config = urls.board_config(network, model, tile=tile, tiles=tiles, array=address.array, dead=dead)
    return urls.open_board(address, config=config, baud=baud, progress=progress)


def program(settings: Settings, *, tile: str = TILE, tiles: int | None = None) -> Program:
    """Return the program of a network: what `backpulse program` prints.

    Parameters
    ----------
    settings : Settings
    tile, tiles : str, int
        Of the board, as of `open_board`.

    Raises
    ------
    InputError
        If no board has room for it, or the schedule is the software's.

    Examples
    --------
    >>> listing = program(Settings(layers="4-8-3")).listing().splitlines()
    >>> listing[0]
    '; one step of 4-8-3, progressive-exact'
    >>> len(listing)
    13
    """
    if settings.schedule == SOFTWARE:
        raise InputError("The software schedule runs no program: choose another --schedule")
    dead = Dead.parse(settings.dead)
    return settings.compile(urls.board_config(settings.network, settings.device_model, tile=tile, tiles=tiles, dead=dead))


def device(name: str | Path) -> Device | TableDevice:
    """Return a device by its name, `aihwkit:NAME` or device file. `Settings` takes one of your own, `Device(...)`, too.

    Raises
    ------
    InputError
        If there is no such device.

    Examples
    --------
    >>> device("ecram").write_noise
    0.3
    >>> Settings(device=Device(name="mine", dw_min=0.01)).device_model.states
    200.0
    """
    return device_of(resolved(str(name)))


def dataset(X: Any, y: Any, *, name: str = "X, y") -> Dataset:
    """Return arrays as a data set.

    Parameters
    ----------
    X : array of shape (samples, features)
        Finite numbers.
    y : array of shape (samples,)
        Classes: whole numbers from 0, true and false, or words.
    name : str
        What messages call it.

    Raises
    ------
    InputError
        If the arrays are not such.

    Examples
    --------
    >>> dataset([[0.0, 1.0], [1.0, 0.0]], ["no", "yes"]).labels
    ('no', 'yes')
    """
    words = from_array(name, np.asarray(y))
    labels, classes = number(name, words, np.arange(len(words.codes)), inside=False)
    return Dataset(name=name, x=np.asarray(X), y=classes, labels=labels, image=False)
