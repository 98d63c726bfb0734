"""The commands for real boards: boards, build, flash, fit."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.host import api_boards
from backpulse.host import options as o
from backpulse.host.errors import HostError, InputError, own_trouble, wrong_input
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.settings import Settings
from backpulse.host.tile import facts_text
from backpulse.host.view import Table, console, show_warnings, stdout

BoardName = Annotated[str, typer.Option("--board", help="Name of a board; `backpulse boards` lists them.", metavar="NAME")]


def boards(json: o.Json = None) -> None:
    """List the boards that a bitstream can be built for, and what each holds."""
    check_outputs({"--json": json})
    rows = api_boards.boards()
    write_json(json, {"boards": rows})
    if json == STDOUT:
        return
    view = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for title in ("board", "part", "device", "lanes", "cells", "MHz", "built", "Mbaud", "fits"):
        view.add_column(title, overflow="fold")
    for r in rows:
        fmax = "-" if r["fmax_mhz"] is None else f"{r['fmax_mhz']:.1f}"
        clock, mbaud = f"{r['clock_mhz']:g}", f"{r['baud'] / 1e6:g}"
        view.add_row(r["board"], r["part"], r["device"], str(r["lanes"]), str(r["cells"]), clock, fmax, mbaud, "\n".join(r["fits"]))
    stdout.print(view)


def build(
    board: BoardName,
    dry_run: Annotated[bool, typer.Option("--dry-run", metavar="", help="Only print the build digest and the commands.")] = False,
    json: o.Json = None,
) -> None:
    """Build a board's bitstream, or find it built; exit code 1 if it misses its clock."""
    check_outputs({"--json": json})
    result = api_boards.build(board, dry_run=dry_run, progress=_tell)
    place = {} if dry_run else {"bitstream": _seen_from_here(Path(result["bitstream"]))}
    write_json(json, {name: value for name, value in result.items() if name != "folder"} | place)
    if json != STDOUT:
        if dry_run:
            stdout.print(f"build digest {result['build_digest']}", soft_wrap=True)
            for command in result["commands"]:
                stdout.print(" ".join(command), soft_wrap=True)
        else:
            _show(result)
    if not dry_run and result["fmax_mhz"] < result["target_mhz"]:
        raise HostError(
            f"{board} reaches {result['fmax_mhz']:.1f} MHz of {result['target_mhz']:g}: its clock is not met: lower clk_hz in its record"
        )


def flash(
    board: BoardName,
    file: Annotated[Path | None, typer.Option(help="Bitstream to load; by default that of the build.")] = None,
) -> None:
    """Load a board with its bitstream, which is built if need be."""
    table, builder = api_boards.gateware()
    with wrong_input():
        chosen = table.find_board(board)
    if file is not None and not file.is_file():
        raise InputError(f"There is no bitstream {file}: leave --file out to build one")
    from backpulse.gateware.bitstream.flash import NotLoadedError
    from backpulse.gateware.bitstream.flash import flash as load

    with own_trouble():
        bitstream = file or builder.bitstream(builder.build(chosen, progress=_tell))
        try:
            load(chosen, bitstream)
        except NotLoadedError as error:
            raise HostError(str(error)) from error
    console.print(f"{chosen.title} is loaded; it answers at {chosen.baud} baud")


@o.takes_settings("rounding", "auto_range", "device", "spread", "seed", *o.OF_TRAINING, *o.OF_DATA)
def fit(
    board: BoardName,
    given: o.Given,
    array: Annotated[
        Path | None, typer.Option(help="Array file: no layer may lie on its dead lines, and its stuck cells are named.", metavar="FILE")
    ] = None,
    json: o.Json = None,
) -> None:
    """Say whether a network fits a board, its cycles per step, and what to change if not: exit code 1."""
    check_outputs({"--json": json}, {"--array": array})
    settings = Settings.from_dict(given)
    verdict = api_boards.fit(settings, board, array=array)
    from backpulse.gateware.bitstream.fit import facts  # is there, as it has judged

    chosen = api_boards.gateware()[0].find_board(board)
    show_warnings(verdict.get("warnings", []))
    write_json(json, verdict)
    if json != STDOUT and verdict["fits"]:
        speed = "beside the array's own time" if chosen.front_end else f"{verdict['steps_per_second']:.0f} steps/s"
        print(
            f"{settings.layers} fits {chosen.title}: {verdict['cycles_per_step']} cycles a training step, "
            f"{speed} at {chosen.clk_hz / 1e6:g} MHz; {verdict['samples_on_board']} samples on board."
        )
        stdout.print(facts_text(facts(chosen)) + (f"; {verdict['left']}" if verdict["left"] else ""), soft_wrap=True)
        stdout.print(_resources(verdict["estimate"], verdict["fractions"]))
    if not verdict["fits"]:
        whole = f"; all of {settings.layers} fits {', '.join(verdict['boards'])}" if verdict["boards"] else ""
        raise HostError(f"{settings.layers} does not fit {chosen.title}: {verdict['reason']}{whole}")


def _show(result: dict[str, Any]) -> None:
    stdout.print(_resources(result, result["fractions"]))
    cached = " (cached)" if result["cached"] else ""
    stdout.print(f"clock {result['fmax_mhz']:.2f} MHz, target {result['target_mhz']:g} MHz")
    stdout.print(f"bitstream {result['bitstream']}{cached}", soft_wrap=True)
    stdout.print(f"sha256 {result['bitstream_sha256']}", soft_wrap=True)


def _resources(numbers: dict[str, Any], fractions: dict[str, float]) -> Table:
    view = Table(box=None, padding=(0, 2))
    for title in ("resource", "used", "of the part"):
        view.add_column(title)
    for name, fraction in fractions.items():
        view.add_row(name, str(numbers[name]), f"{100 * fraction:.1f} %")
    return view


def _seen_from_here(path: Path) -> str:
    """Return a path as records have it: below the current folder relative, so that it reads the same on every machine."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _tell(text: str) -> None:
    console.print(text, style="dim")
