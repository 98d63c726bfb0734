"""Of the public interface: boards to build for, what fits them, their bitstreams and Verilog, ports, and arrays in the lab."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.registers import Counter
from backpulse.host.array_file import read_array
from backpulse.host.array_map import around, stuck_remarks
from backpulse.host.audience import Audience, Progress
from backpulse.host.board import Board
from backpulse.host.devices import device_of, resolved
from backpulse.host.errors import InputError, StorageError, own_trouble, wrong_input
from backpulse.host.lab import Lab
from backpulse.host.probe import Found, found_ports, probed
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop
from backpulse.host.storage import check_writable
from backpulse.host.tile import facts_dict
from backpulse.host.urls import BAUD, TILE, Address, board_config

if TYPE_CHECKING:
    from backpulse.host.array_model import Meaning

EXPORT_HZ = 25_000_000
"""Clock of an exported controller, if nothing else is said."""


def open_array(
    url: str | Address,
    settings: Settings | None = None,
    *,
    device: str = "ideal",
    tile: str = TILE,
    tiles: int | None = None,
    baud: int = BAUD,
    calibration: str | Path | None = None,
    calibration_age: float | None = None,
    arming: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Lab:
    """Open a board to work with its array: what the commands `backpulse array` do.

    Parameters
    ----------
    url : str or Address
        Of the board, perhaps with `?array=FILE`.
    settings : Settings, optional
        A network that a golden or virtual board must have room for, whose areas are checked; its device is that of the tiles.
    device : str
        What emulated devices are, or real ones are believed to be; without `settings`.
    tile, tiles, baud
        As of `open_board`.
    calibration, calibration_age
        The file of a calibration, if not that of the array file, and how many days it may be old.
    arming : bool
        Whether it is opened to be armed anew: the limits that it is armed with do not count, and a virtual board is not armed.
    progress : callable, optional
        Called with (what is done, how far, of how much), with 0, 0 where nobody knows.
    stop : Stop, optional
        `stop.asked = True`, in another thread or in `progress`, ends what is under way and leaves the array safe.

    Returns
    -------
    Lab
        `map`, `pulse`, `endurance`, `retention`, `program`, `arm`, `calibrate`, `iv`, `form`, `check`, `self_check`, `clear`. Close it, or
        use it in a `with`.

    Raises
    ------
    InputError
        If there is no such device, board or array.
    HostError
        If nothing answers.

    Examples
    --------
    >>> with open_array("golden://", device="ecram-uniform", tile="8x4") as lab:
    ...     curves = lab.pulse("r1c0-3", pulses=20)
    ...     read = lab.map()
    >>> curves.conductance.shape, bool((curves.steps["up"] > 0).all())
    ((41, 4), True)
    >>> read.forward.shape
    (8, 4)
    """
    sizes = {"tile": tile, "tiles": tiles, "baud": baud, "arming": arming}
    told = Audience(stop=stop, progress=progress)
    return Lab(url, settings, device=device, **sizes, calibration=calibration, calibration_age=calibration_age, audience=told)


def array_model(array: Array | str | Path, *, tile: str = TILE) -> "Meaning":
    """Say what an array means, by nodal analysis: what `backpulse array model` shows.

    Parameters
    ----------
    array : Array or path
        The array, or its file.
    tile : str
        Rows x columns of one tile.

    Returns
    -------
    Meaning
        `figures()`; `error` of the read map in device units; what wires take of reads and writes, line by line.

    Raises
    ------
    InputError
        If there is no such file, or the array has lines or cells beyond the tile.

    Examples
    --------
    >>> found = array_model(Array.model_validate({"wires": {"row_ohm": 2.0, "col_ohm": 2.0}}), tile="16x8")
    >>> 0 < found.figures()["map_error_rms"] < 0.1
    True
    """
    from backpulse.host.array_model import Meaning  # SciPy and compiled kernels take their time

    given = array if isinstance(array, Array) else read_array(Path(array))
    return Meaning.of(given, board_config(None, PRESETS["ideal"], tile=tile, array=given))


def info(board: Board) -> dict[str, Any]:
    """Return a board's identity, configuration and counters: what `backpulse info` shows.

    Raises
    ------
    HostError
        If the board fails.

    Examples
    --------
    >>> from backpulse.host.api_parts import open_board
    >>> with open_board("golden://") as board:
    ...     found = info(board)
    >>> found["state"], found["config"]["tile_rows"], found["counters"]["steps"]
    ('idle', 128, 0)
    """
    state, fault, address, credit = board.status()
    counters = board.raw_counters()
    return {
        "abi": board.abi,
        "state": state.name.lower(),
        "fault": fault & 0xFF,
        "fault_cause": fault >> 8,
        "fault_address": address,
        "credit": credit,
        "array": facts_dict(board.facts),
        "config": {f.name: int(getattr(board.config, f.name)) for f in fields(board.config)},
        "config_digest": board.config_digest,
        "build_digest": board.build_digest,
        "counters": {c.name.lower(): counters[c] for c in Counter},
        "link_retries": board.link.retries,
    }


def ports(*, probe: bool = False) -> list[Found]:
    """List the serial ports of this computer, and which of them may be boards: what `backpulse ports` shows.

    Parameters
    ----------
    probe : bool
        Ask those that may be boards, and only those; no session of another program changes. Else none is opened.

    Returns
    -------
    list of Found
        `device`, `usb`, `name`, `boards`; `answer` and `baud` of one that was asked.

    Examples
    --------
    >>> all(port.device for port in ports())
    True
    """
    found = found_ports()
    return [probed(port) for port in found] if probe else found


def boards() -> list[dict[str, Any]]:
    """List the boards that a bitstream can be built for, and what each holds: what `backpulse boards` shows.

    Returns
    -------
    list of dict
        `board`, the name; `part`; `device`; `lanes`; `cells`; `clock_mhz`; `fmax_mhz` of a build, or None; `baud`; `fits`; ...

    Raises
    ------
    InputError
        If the packages that build are missing.
    """
    table, builder = gateware()
    rows = []
    for board in table.BOARDS.values():
        built = builder.latest(board) or {}
        rows.append(
            {
                "board": board.name,
                "title": board.title,
                "part": board.part.name,
                "device": board.config.device.name.lower(),
                "lanes": board.config.tile_cols,
                "cells": board.config.rows * board.config.tile_cols,
                "clock_mhz": board.clk_hz / 1e6,
                "fmax_mhz": built.get("fmax_mhz"),
                "baud": board.baud,
                "fits": list(board.fits),
            }
        )
    return rows


def build(board: str, *, dry_run: bool = False, progress: Callable[[str], object] | None = None) -> dict[str, Any]:
    """Build a board's bitstream, or find it built: what `backpulse build` does.

    Parameters
    ----------
    board : str
        Its name, one of `boards`.
    dry_run : bool
        Only return the build digest and the commands.
    progress : callable, optional
        Called with what is going on.

    Returns
    -------
    dict
        `bitstream`, its path; `bitstream_sha256`; `fmax_mhz` and `target_mhz`: a build that misses its clock is returned, too; resources.

    Raises
    ------
    InputError
        If there is no such board, or the packages that build are missing.
    OwnError
        If a tool is missing or fails.
    """
    table, builder = gateware()
    with wrong_input():
        chosen = table.find_board(board)
    with own_trouble(), wrong_input():
        if dry_run:
            return builder.dry_run(chosen)
        result = builder.build(chosen, progress=progress or (lambda text: None))
    return {**result, "bitstream": str(builder.bitstream(result))}


def fit(settings: Settings, board: str, *, array: str | Path | None = None) -> dict[str, Any]:
    """Say whether a network fits a board, its cycles per step, and what to change if not: what `backpulse fit` does.

    Parameters
    ----------
    settings : Settings
        The network and its schedule.
    board : str
        Its name, one of `boards`.
    array : path, optional
        Array file: no layer may lie on its dead lines, and its stuck cells are named.

    Returns
    -------
    dict
        `fits`; if so `cycles_per_step`, `steps_per_second`, `samples_on_board`, `estimate`, ...; if not `reason` and `boards`, those that
        have room.

    Raises
    ------
    InputError
        If there is no such board, or the packages that build are missing.
    """
    table, _ = gateware()
    from backpulse.gateware.bitstream.fit import facts
    from backpulse.gateware.bitstream.fit import fit as judge

    cells = read_array(Path(array)) if array else None
    settings = Settings.from_dict(around(settings.to_dict(), cells))
    dead = Dead.parse(settings.dead)
    with wrong_input():
        chosen = table.find_board(board)
        dead.check(chosen.config)
        verdict = judge(chosen, settings.network, settings.schedule, dead)
    verdict["array"] = facts_dict(facts(chosen))
    if cells and verdict["fits"]:
        verdict["warnings"] = stuck_remarks(settings.compile(chosen.config), cells)
    return verdict


def export(
    out: str | Path, *, device: str = "ideal", tile: str = TILE, tiles: int | None = None, clk_hz: int = EXPORT_HZ, baud: int = BAUD
) -> dict[str, Any]:
    """Write the Verilog of a configuration, with an example top: what `backpulse export` does.

    Parameters
    ----------
    out : path
        Folder, made if need be.
    device, tile, tiles
        Of the controller's emulated tiles.
    clk_hz : int
        Clock of the board.
    baud : int
        Of its line.

    Returns
    -------
    dict
        `verilog`, its path; `config_digest`; `clk_hz`; `baud`.

    Raises
    ------
    InputError
        If the folder cannot be written, the clock is too slow for the line, or the simulator's packages are missing.
    StorageError
        If what goes into the folder cannot be stored.
    """
    config = board_config(None, device_of(resolved(device)), tile=tile, tiles=tiles)
    try:
        import backpulse.gateware.sim.virtual_board  # noqa: F401 - whether what it needs is there, before anything is made
        from backpulse.gateware.export.export import CONTROLLER, EXAMPLES, controller, export_project
    except ModuleNotFoundError as error:
        raise InputError(f"This needs the simulator's packages ({error.name} is missing): {install('sim')}") from error
    folder = Path(out)
    with wrong_input():
        top = controller(config, clk_hz=clk_hz, baud=baud)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made: {reason(error)}: choose another") from error
    for name in (f"{CONTROLLER}.v", *EXAMPLES):
        check_writable(folder / name)
    try:
        with own_trouble():
            file = export_project(top, folder)
    except OSError as error:
        raise StorageError.of(f"The folder {folder}", error) from error
    return {"verilog": str(file), "config_digest": config.digest.hex(), "clk_hz": clk_hz, "baud": baud}


def gateware() -> tuple[Any, Any]:
    """Import the board table and the builder, which the base installation lacks."""
    try:
        from backpulse.gateware.bitstream import build
        from backpulse.gateware.boards import boards
    except ModuleNotFoundError as error:
        raise InputError(f"This needs the build packages ({error.name} is missing): {install('build')}") from error
    return boards, build
