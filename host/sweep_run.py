"""One run of a sweep, wherever it is done: here, in a process beside this one, or on another computer."""

import json
import os
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import ABI_VERSION, DEFAULT, Config
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.array_file import parse_array
from backpulse.host.board import Board
from backpulse.host.datasets import NAMES, Dataset
from backpulse.host.errors import TRACEBACK, HostError, InputError, unexpected
from backpulse.host.settings import SOFTWARE, Prepared, Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.training import Trainer
from backpulse.host.urls import Address, board_config, open_board

NOT_KEPT = ("predictions", "warnings", "array", "start", "cost")
"""Of a result: one is as long as the data, others are the same in many runs, and the cost follows from what is counted."""
MOST_SENT = 1 << 26
"""Bytes of a data set that goes along to other processes."""

DataKey = tuple[str | None, ...]
"""The settings that are about data."""


@dataclass(frozen=True)
class Run:
    """A run of a sweep; the same values have the same bits everywhere.

    Parameters
    ----------
    settings : Settings
    epochs : int
    tile : str
        Rows x columns of one tile of the golden model.
    data : str
        Digest of the data; any if empty.
    abi : int
        Version of the machine.
    array : str
        Text of the array file that describes what is behind its tiles; none if empty.
    spread : str
        Digest of the measured spread from cell to cell; any if empty.
    folder : str
        What the paths of data and spread are relative to.
    """

    settings: Settings
    epochs: int
    tile: str = "128x32"
    data: str = ""
    abi: int = ABI_VERSION
    array: str = ""
    spread: str = ""
    folder: str = field(default_factory=os.getcwd, compare=False)

    def on(self, data: str, spread: str = "") -> Self:
        """Return the run on the data and the measured spread of two digests."""
        return replace(self, data=data, spread=spread)

    @property
    def identity(self) -> str:
        """What tells it from every other run: a digest of all its values."""
        values = [self.abi, self.settings.to_dict(), self.epochs, self.tile, self.data, *filter(None, (self.array, self.spread))]
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Parameters
    ----------
    run : Run
    result : dict
        As the JSON of `backpulse train`, but for `NOT_KEPT`; empty if it failed.
    error : str
        Why it failed, in a sentence.
    seconds : float
        That it took.
    cpu_seconds : float
        Of the processor's time: what else the computer does counts little there.
    """

    run: Run
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def spread_digest(file: str) -> str:
    """Return the digest of a measured spread, or none without a file.

    Raises
    ------
    InputError
        If it cannot be read or is none.
    """
    if not file:
        return ""
    from backpulse.host.spread_map import read_map  # few runs have one

    return read_map(Path(file)).digest


def config_of(run: Run) -> Config:
    """Return the configuration of the golden model for a run; the software schedule has none of its own.

    Raises
    ------
    InputError
        If no machine has room for the network.
    """
    settings = run.settings
    if settings.schedule == SOFTWARE:
        return DEFAULT
    return _config(settings.network, settings.device_model, run.tile, run.array, settings.dead)


@lru_cache(16)
def _config(network: Network, device: Device | TableDevice, tile: str, array: str, dead: str) -> Config:
    return board_config(network, device, tile=tile, array=_array(array), dead=Dead.parse(dead))


def _array(text: str) -> Array | None:
    return parse_array(text, "The array file") if text else None


def data_of(settings: Settings) -> Dataset:
    """Return the data set of some settings. The last one is kept."""
    key = _data_key(settings)
    if key not in _datasets:
        remember(settings, settings.load())
    return _datasets[key]


def remember(settings: Settings, data: Dataset) -> None:
    """Take a data set as that of some settings."""
    _datasets.clear()
    _datasets[_data_key(settings)] = data


def at_hand() -> dict[DataKey, Dataset]:
    """Return the data set that is kept, if it is no burden to send: a process that gets it need not load it, nor what loads it."""
    return {key: data for key, data in _datasets.items() if data.x.nbytes <= MOST_SENT}


def take(datasets: Mapping[DataKey, Dataset]) -> None:
    """Keep what was at hand elsewhere."""
    _datasets.update(datasets)


def prepared(settings: Settings, unit: int) -> Prepared:
    """Return the data of some settings as a board takes it. The last one is kept, for many runs differ in something else."""
    key = (*prepared_key(settings), unit, settings.seed if settings.validation else None)
    if key not in _prepared:
        data = prepare(settings, unit, dataset=data_of(settings))
        _prepared.clear()
        _prepared[key] = data
    return _prepared[key]


def prepared_key(settings: Settings) -> tuple[object, ...]:
    """Return what decides whether data can be prepared, and, but for the seed of its validation part, as what."""
    network = settings.network
    return (*_data_key(settings), network.layers[0], network.layers[-1], network.output, settings.validation)


def do(run: Run, stop: Stop | None = None) -> dict[str, Any]:
    """Do a run; return its result.

    Raises
    ------
    HostError
        If the worker has another version of the machine or other data, or the run fails.
    StoppedError
        If the user asked to stop.
    """
    if run.abi != ABI_VERSION:
        raise HostError(f"The worker has ABI {ABI_VERSION}, and the sweep {run.abi}", "install the same version of Backpulse there")
    settings, stop = run.settings, stop or Stop()
    if settings.dataset not in NAMES and os.getcwd() != run.folder:
        settings = settings.changed(dataset=os.path.join(run.folder, settings.dataset))
    if settings.spread and os.getcwd() != run.folder:
        settings = settings.changed(spread=os.path.join(run.folder, settings.spread))
    if run.spread not in ("", spread_digest(settings.spread)):
        raise InputError(f"{settings.spread} is not the spread map that the sweep began with: give the worker the same file")
    config = config_of(run)
    data = prepared(settings, config.drive_max)
    if run.data not in ("", data.digest):
        raise InputError(f"{settings.dataset} is not the data that the sweep began with: give the worker the same file")
    if settings.schedule == SOFTWARE:
        result = train_software(settings, data, run.epochs, config.drive_max, lambda _: stop.heed())
    else:
        trainer = Trainer(_board(config, run.array), settings, run.epochs, data=data, stop=stop)
        if not trainer.run():
            raise StoppedError
        result = trainer.result()
    return {**{name: value for name, value in result.items() if name not in NOT_KEPT}, "settings": run.settings.to_dict()}


def attempt(run: Run, stop: Stop | None = None) -> Outcome:
    """Do a run, and return what it came to even if it failed; StoppedError is raised if the user asked to stop."""
    begun, cpu_begun = time.monotonic(), time.process_time()
    try:
        with _one_at_a_time:
            result, error = do(run, stop), ""
    except StoppedError:
        raise
    except Exception as failed:  # whatever it is, the other runs of the sweep go on
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        result, error = {}, str(failed if isinstance(failed, HostError) else unexpected(failed))
        _close()  # whatever state it is in
    return Outcome(run, result, error, time.monotonic() - begun, time.process_time() - cpu_begun)


def _data_key(settings: Settings) -> DataKey:
    return settings.dataset, settings.target, settings.features, settings.drop, settings.missing


def _board(config: Config, array: str) -> Board:
    """Return the golden board of a configuration. The last one is kept: a run loads all that a board holds."""
    if (config, array) not in _boards:
        _close()
        _boards[config, array] = open_board(Address("golden://", _array(array)), config=config)
    return _boards[config, array]


def _close() -> None:
    """Close the board."""
    for board in _boards.values():
        board.close()
    _boards.clear()


_datasets: dict[DataKey, Dataset] = {}
_prepared: dict[tuple[Any, ...], Prepared] = {}
_boards: dict[tuple[Config, str], Board] = {}
_one_at_a_time = threading.Lock()
"""A worker of Dask may have several threads, and there is one board."""
