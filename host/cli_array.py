"""The commands `backpulse array`: what lies behind a board's tile contract, and what is said of it."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.firmware_py.array import SAFE_N2GR
from backpulse.host import options as o
from backpulse.host.api_boards import array_model
from backpulse.host.cli_array_arm import arm
from backpulse.host.cli_array_check import check
from backpulse.host.cli_array_curves import curves, endurance_command, retention_command
from backpulse.host.cli_array_direct import calibrate_command, iv
from backpulse.host.cli_array_form import form_command
from backpulse.host.cli_array_live import clear, self_checks
from backpulse.host.cli_array_map import read_map_command
from backpulse.host.cli_array_program import program_command
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.terminal import plain
from backpulse.host.view import Table, stdout

array = typer.Typer(no_args_is_help=True, help="Arrays behind the tile contract.")


@array.command()
def model(
    file: Annotated[Path, typer.Argument(help="The array, in TOML (docs/arrays.md).", metavar="FILE")],
    tile: o.Tile = "128x32",
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Say what an array file means: the error of its read map, and what its wires take from reads and writes."""
    check_outputs({"--json": json, "--plot": plot}, {"FILE": file})
    meaning = array_model(file, tile=tile)
    figures = meaning.figures()
    if json != STDOUT:
        table = Table(title=plain(f"{file.name}, tile {tile}"), title_justify="left", box=None, padding=(0, 2), show_header=False)
        rows = (
            ("error of the read map, RMS and worst", f"{figures['map_error_rms']:.3g} and {figures['map_error_worst']:.3g} device units"),
            ("current that wires take of a READ at most", f"{100 * figures['read_loss_worst']:.2f} %"),
            ("of a READT", f"{100 * figures['readt_loss_worst']:.2f} %"),
            ("programming voltage at the cell that gets least", f"{100 * figures['write_share_worst']:.2f} %"),
            ("N² g R", f"{figures['n2gr']:.3g}, " + (f"above {SAFE_N2GR}" if meaning.figure > SAFE_N2GR else f"at most {SAFE_N2GR}")),
        )
        for row in rows:
            table.add_row(*row)
        stdout.print(table)
        if meaning.figure > SAFE_N2GR:
            stdout.print(
                f"N² g R should be at most {SAFE_N2GR}: wires cost far cells much of their voltage", style="yellow", soft_wrap=True
            )
    results = Results()
    with results.each():
        write_json(json, {"file": str(file), "tile": tile, **figures})
    with results.each():
        if plot:
            from backpulse.host.array_plots import plot_array  # matplotlib takes its time

            plot_array(plot, f"{file.name}, tile {tile}, N² g R = {meaning.figure:.2g}", meaning)
    results.finish()


# In the order in which they are needed.
array.command()(arm)
array.command("calibrate")(calibrate_command)
array.command("map")(read_map_command)
array.command("form")(form_command)
array.command()(iv)
array.command("pulse")(curves)
array.command("endurance")(endurance_command)
array.command("retention")(retention_command)
array.command("program")(program_command)
array.command()(check)
array.command("self-check")(self_checks)
array.command()(clear)
