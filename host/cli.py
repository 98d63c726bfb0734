"""The command `backpulse`."""

import errno
import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text
from typer.completion import (
    completion_init,  # pyright: ignore[reportPrivateImportUsage] - typer has no other name for them
    get_completion_script,  # pyright: ignore[reportPrivateImportUsage]
)

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.places import reason
from backpulse.host import api_boards, api_parts, terminal
from backpulse.host import options as o
from backpulse.host.array_file import read_array
from backpulse.host.cli_array import array
from backpulse.host.cli_boards import boards, build, fit, flash
from backpulse.host.cli_compare import compare
from backpulse.host.cli_device import device as device_commands
from backpulse.host.cli_divergence import divergence
from backpulse.host.cli_doctor import cache, doctor
from backpulse.host.cli_infer import infer
from backpulse.host.cli_ports import ports
from backpulse.host.cli_replay import replay
from backpulse.host.cli_report import report
from backpulse.host.cli_sweep import sweep
from backpulse.host.cli_train import train
from backpulse.host.cli_watch import watch
from backpulse.host.devices import device_of, resolved
from backpulse.host.errors import TRACEBACK, HostError, InputError, OwnError, unexpected
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.run_file import WithRunFile
from backpulse.host.settings import Settings
from backpulse.host.stop import stop_on_signals
from backpulse.host.terminal import plain
from backpulse.host.tile import facts_text
from backpulse.host.urls import BAUD, Address, board_config, open_board
from backpulse.host.version import PACKAGE, version_text
from backpulse.host.view import Table, console, stdout
from backpulse.host.virtual import start

POLL_S = 0.1


class Shell(StrEnum):
    """A shell that completes what is typed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


completion_init()  # answers a shell that asks; typer's own --install-completion is left out: it guesses the shell and edits its files
app = typer.Typer(
    name="backpulse",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(version_text())
        raise typer.Exit


def _completion(shell: Shell | None) -> None:
    if shell:
        print(get_completion_script(prog_name=PACKAGE, complete_var=f"_{PACKAGE.upper()}_COMPLETE", shell=shell.value))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print package, ABI and commit, and exit.", metavar="", is_eager=True, callback=_version)
    ] = False,
    completion: Annotated[
        Shell | None,
        typer.Option(help="Print the completion of a shell, for its start file, and exit.", is_eager=True, callback=_completion),
    ] = None,
) -> None:
    """Train neural networks inside an analog crossbar array: on the golden model, the simulated RTL, or a board."""


app.command(cls=WithRunFile)(train)
app.command(cls=WithRunFile)(infer)
app.command()(replay)
app.command()(report)
app.command()(watch)
app.command()(divergence)
app.command()(compare)
app.command()(sweep)
app.add_typer(array, name="array")
app.add_typer(device_commands, name="device")
for command in (ports, boards, build, flash, fit, doctor, cache):
    app.command()(command)


@app.command()
@o.takes_settings("device", "spread", "seed", *o.OF_TRAINING, *o.OF_DATA)
def program(
    given: o.Given,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    json: o.Json = None,
) -> None:
    """Print the program of a network: the listing, what it must hold, and what it uses of the machine."""
    check_outputs({"--json": json})
    compiled = api_parts.program(Settings.from_dict(given), tile=tile, tiles=tiles)
    config = compiled.config
    used = {
        "instructions": (len(compiled.instructions), config.program_words),
        "regions": (len(compiled.regions), config.regions),
        "vectors": (len(compiled.vectors), config.vectors),
        "vector_words": (compiled.vector_words_used, config.vector_words),
        "sample_bytes": (4 * compiled.stride_words, config.page_bytes),
        "tiles": (compiled.tiles_used, config.tiles),
    }
    write_json(
        json,
        {
            "listing": compiled.listing().splitlines(),
            "words": [i.encode() for i in compiled.instructions],
            "regions": [r.to_words() for r in compiled.regions],
            "vectors": [v.to_word() for v in compiled.vectors],
            "train_entry": compiled.train_entry,
            "evaluate_entry": compiled.evaluate_entry,
            "error_vectors_held": compiled.error_vectors_held,
            "cycles_per_step": compiled.cycles_per_step,
            "used": {name: {"used": have, "of": limit} for name, (have, limit) in used.items()},
        },
    )
    if json == STDOUT:
        return
    stdout.print(compiled.listing(stdout.width), "", sep="\n", soft_wrap=True)
    held = compiled.error_vectors_held
    print(f"Error vectors held across a pulse: {held}. Cycles of one training step: {compiled.cycles_per_step}.")
    print("Used: " + ", ".join(f"{have} of {limit} {name.replace('_', ' ')}" for name, (have, limit) in used.items()) + ".")


@app.command()
def info(
    board: o.BoardUrl = "golden://",
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    json: o.Json = None,
) -> None:
    """Show a board's identity, configuration and counters."""
    check_outputs({"--json": json})
    address = Address.of(board)
    config = _config(device, tile, tiles, address.array)
    with open_board(address, config=config, baud=baud, progress=_tell) as opened:
        told = facts_text(opened.facts)
        result: dict[str, Any] = {"board": board, **api_boards.info(opened)}
    write_json(json, result)
    if json == STDOUT:
        return
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name in ("board", "abi", "state", "fault", "credit", "config_digest", "build_digest"):
        table.add_row(name.replace("_", " "), str(result[name]), style="bold")
    table.add_row("array", told, style="bold")
    for name, value in result["config"].items():
        table.add_row(name.replace("_", " "), DeviceKind(value).name.lower().replace("_", " ") if name == "device" else str(value))
    table.add_row("counted", style="bold")
    for name, value in result["counters"].items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    stdout.print(table)


@app.command()
def sim(
    socket: Annotated[
        int | None, typer.Option(help="Serve on this TCP port of 127.0.0.1 (0: a free one), not a pty.", min=0, max=65535)
    ] = None,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    array_file: Annotated[
        Path | None,
        typer.Option("--array", help="Put the model of this array (TOML) behind its tiles.", metavar="FILE", rich_help_panel=o.BOARD),
    ] = None,
    json: o.Json = None,
) -> None:
    """Run the virtual board for any program, until Ctrl-C; print the URL that it answers on."""
    check_outputs({"--json": json}, {"--array": array_file})
    model = read_array(array_file) if array_file else None
    try:
        config = _config(device, tile, tiles, model)
        running = start(config, model, line="pty" if socket is None else "tcp", port=socket or 0, progress=_tell)
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        cause = "it is in use by another program" if used else reason(error)
        raise InputError(f"The virtual board cannot serve on port {socket}: {cause}: choose another, or 0 for a free one") from error
    with running, stop_on_signals() as stop:
        write_json(json, {"url": running.url})
        if json != STDOUT:
            print(running.url, flush=True)
        console.print(f"The virtual board answers at {running.url}; Ctrl-C ends it", style="dim", soft_wrap=True)
        while running.running and not stop.asked:
            time.sleep(POLL_S)
        if not stop.asked:
            raise OwnError(f"The virtual board is gone: {running.end()}", "start it again")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the Verilog, made if need be.", metavar="DIR")],
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    clk_hz: Annotated[int, typer.Option(help="Clock of the board.", min=1)] = api_boards.EXPORT_HZ,
    baud: o.Baud = BAUD,
    json: o.Json = None,
) -> None:
    """Write the Verilog of a configuration, with emulated tiles: one module with clk, rst, rx and tx; with it an example top."""
    check_outputs({"--json": json})
    found = api_boards.export(out, device=device, tile=tile, tiles=tiles, clk_hz=clk_hz, baud=baud)
    write_json(json, found)
    from backpulse.gateware.export.export import EXAMPLES  # after the work: where it is not installed, that has said so

    console.print(f"Wrote {', '.join([found['verilog'], *(str(out / name) for name in EXAMPLES)])}", soft_wrap=True)


def _config(device: str, tile: str, tiles: int | None, array: Array | None = None) -> Config:
    return board_config(None, device_of(resolved(device)), tile=tile, tiles=tiles, array=array)


def _tell(text: str) -> None:
    console.print(text, style="dim")


def main() -> None:
    """Run a command; errors of the user, of the board and our own are one sentence."""
    terminal.guard()
    try:
        try:
            app(prog_name=PACKAGE)
        except SystemExit:
            terminal.finish()
            raise
    except HostError as error:
        _fail(error)
    except Exception as error:  # a mistake of ours is one sentence too
        if os.environ.get(TRACEBACK):
            raise
        _fail(unexpected(error))


def _fail(error: HostError) -> NoReturn:
    console.print(Text.assemble(("Error:", "bold red"), f" {plain(str(error))}"), soft_wrap=True)
    sys.exit(error.exit_code)
