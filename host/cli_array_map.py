"""The command `array map`."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from backpulse.firmware_py.array import SAFE_N2GR
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_operations import cell_sense, read_map, rectangle
from backpulse.host.array_session import Session, session
from backpulse.host.cell_names import cell_name
from backpulse.host.csv_tables import write_table
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tile import facts_dict, facts_text
from backpulse.host.urls import BAUD
from backpulse.host.view import stdout


def read_map_command(
    board: a.Board,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    read_profile: a.ReadProfile = 0,
    averages: a.Averages = 4,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the map to this file (CSV).", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Measure the conductance of every cell, by reads in both directions, each line alone."""
    check_outputs({"--out": out, "--json": json, "--plot": plot})
    ways: list[np.ndarray] = []
    with session(board, device=device, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age) as s:
        s.check_profiles(read_profile)
        told = facts_text(s.board.facts)
        about: dict[str, Any] = {"board": board, "array": facts_dict(s.board.facts), "read_profile": read_profile, "averages": averages}
        for name, transposed in (("forward", False), ("backward", True)):
            with s.bar(f"reading {name}") as tell:
                ways.append(_whole(s, transposed, read_profile, averages, tell))
    s.finish("nothing was written")
    forward, backward = (s.array.cells.mid + s.array.cells.per_unit * units for units in ways)
    figures = _figures(s, forward, backward)
    results = Results()
    with results.each():
        write_json(json, {**about, **figures, "forward_s": forward.tolist(), "backward_s": backward.tolist()})
    if json != STDOUT:
        stdout.print(told, soft_wrap=True)
        stdout.print(_table(figures))
    if out:
        with results.each():
            rows = [(r, c, float(forward[r, c]), float(backward[r, c])) for r, c in np.ndindex(forward.shape)]
            header = {"backpulse": "array map: conductance by READ and by READT, siemens", "board": board, **s.scale}
            write_table(out, header, ("row", "column", "forward_S", "backward_S"), rows)
    if plot:
        with results.each():
            from backpulse.host.lab_plots import plot_map  # matplotlib takes its time

            plot_map(plot, board, forward, backward, s.board.config)
    results.finish()


def _whole(s: Session, transposed: bool, profile: int, averages: int, tell: Any) -> np.ndarray:
    """Return all cells in device units, as read in one direction."""
    config = s.board.config
    maps = []
    for tile in range(config.tiles):

        def far(done: int, total: int, tile: int = tile) -> None:
            tell(tile * total + done, config.tiles * total)

        maps.append(read_map(s.board, rectangle(config, tile), transposed=transposed, profile=profile, averages=averages, report=far))
    return np.concatenate(maps) / cell_sense(config)


def _figures(s: Session, forward: np.ndarray, backward: np.ndarray) -> dict[str, Any]:
    mean, config = (forward + backward) / 2, s.board.config
    differ = np.abs(forward - backward)
    row, col = (int(at) for at in np.unravel_index(int(differ.argmax()), differ.shape))
    lines = max(config.tile_rows, s.array.pieces * config.tile_cols)
    return {
        "least_s": float(mean.min()),
        "mean_s": float(mean.mean()),
        "most_s": float(mean.max()),
        "ways_differ_s": float(np.sqrt(np.mean(differ**2))),
        "ways_differ_worst_s": float(differ[row, col]),
        "ways_differ_worst_at": cell_name(row, col),
        "n2gr": s.array.n2gr(lines, float(mean.max())) if s.address.array else None,
    }


def _table(figures: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=False)
    micro = {name: f"{1e6 * value:.4g} µS" for name, value in figures.items() if name.endswith("_s")}
    table.add_row("conductance, least, mean, most", f"{micro['least_s']}, {micro['mean_s']}, {micro['most_s']}")
    worst = f"{micro['ways_differ_worst_s']} at {figures['ways_differ_worst_at']}"
    table.add_row("READ and READT differ, RMS and worst", f"{micro['ways_differ_s']}, {worst}")
    if (n2gr := figures["n2gr"]) is not None:
        safe = "at most" if n2gr <= SAFE_N2GR else "above"
        table.add_row("N² g R", f"{n2gr:.3g}, {safe} {SAFE_N2GR}")
    return table
