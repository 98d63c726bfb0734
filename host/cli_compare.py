"""The command `compare`: schedules, learning rates and seeds side by side, on the golden model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.host import options as o
from backpulse.host.comparing import MAPPED, compared, mapped
from backpulse.host.cost import said
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.sweep import array_text
from backpulse.host.tables import count
from backpulse.host.view import Table, Terminal, stdout


@o.takes_settings("schedule", "lr", "seed", "patience", layers=o.FITTED)
def compare(
    ctx: typer.Context,
    given: o.Given,
    schedules: o.Schedules = o.EVERY_SCHEDULE,
    lr: o.Rates = "0.5",
    seeds: o.Seeds = 3,
    epochs: o.Epochs = 5,
    tile: o.Tile = "128x32",
    array: Annotated[
        Path | None,
        typer.Option(help="Array file (docs/arrays.md): what is behind the tiles.", metavar="FILE", rich_help_panel=o.BOARD),
    ] = None,
    map_in: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="Map the distance from software over rate, width and depth, for every --activation, --device and --lr that is not given. "
            "The folder keeps its runs; started again it does what is missing.",
            metavar="DIR",
            rich_help_panel=o.FILES,
        ),
    ] = None,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Train with several schedules and learning rates on the golden model, and show mean and spread over seeds."""
    check_outputs({"--json": json, "--plot": plot}, {"--dataset": given.get("dataset"), "--array": array})
    rates, named = _rates(lr), [schedule.strip() for schedule in schedules.split(",")]
    text = array_text(array)
    if map_in:
        if array:
            raise InputError("--map has no array behind its tiles: leave --array or --map out")
        from backpulse.host.cli_map import show_map

        chosen = o.explicit(ctx)
        some = named if "schedules" in chosen else MAPPED, rates if "lr" in chosen else None
        found = mapped(given, map_in, *some, seeds=seeds, epochs=epochs, tile=tile, audience=Terminal())
        if json != STDOUT:
            show_map(found)
    else:
        found = compared(given, named, rates, seeds=seeds, epochs=epochs, tile=tile, array=text, audience=Terminal())
        if json != STDOUT:
            _show(found.summary, epochs, seeds)
            _show_costs(found.summary)
    written = Results()
    with written.each():
        write_json(json, found.to_dict())
    with written.each():
        if plot:
            found.plot(plot)
    written.finish()


def _show_costs(rows: list[dict[str, Any]]) -> None:
    """Print what a step costs the array, where the device's file says enough of it."""
    names = ("read_time_s", "read_energy_j", "pulse_time_s", "pulse_energy_j")
    known = [row for row in rows if row["cost"] and any(row["cost"][name] is not None for name in names)]
    if not known:
        return
    table = Table(title="What a training step costs the array, mean", title_justify="left", box=None, padding=(0, 1))
    for heading in ("schedule", "lr", "pulses", "reads", "pulses take"):
        table.add_column(heading, justify="left" if heading == "schedule" else "right")
    for row in known:
        step = row["cost"]
        figures = [said(step[name], name[-1].replace("j", "J")) for name in names]
        table.add_row(row["schedule"], f"{row['lr']:g}", f"{step['pulses']:.1f}", ", ".join(figures[:2]), ", ".join(figures[2:]))
    stdout.print(table)


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--lr must be numbers joined by commas, as in 0.25,0.5, not {text}") from None


def _show(rows: list[dict[str, Any]], epochs: int, seeds: int) -> None:
    after = (
        f"in the best of {count(epochs, 'epoch')} by the validation part"
        if "validation_accuracy" in rows[0]
        else f"after {count(epochs, 'epoch')}"
    )
    table = Table(title=f"Test accuracy in % {after}, {count(seeds, 'seed')}", title_justify="left", box=None, padding=(0, 1))
    table.add_column("schedule")
    for name in ("lr", "mean", "± std", "worst", "best", "worst class"):
        table.add_column(name, justify="right")
    best = max(row["mean"] for row in rows)
    for row in rows:
        cells = [f"{100 * row[key]:.2f}" for key in ("mean", "std", "min", "max")]
        hardest = min(share for share in row["class_accuracy"] if share is not None)
        table.add_row(
            row["schedule"],
            f"{row['lr']:g}",
            *cells,
            f"{100 * hardest:.2f}",
            style="bold green" if row["mean"] == best else "",
        )
    stdout.print(table)
