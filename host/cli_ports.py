"""The command `ports`."""

from dataclasses import asdict
from typing import Annotated

import typer

from backpulse.host import api_boards
from backpulse.host import options as o
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.terminal import plain
from backpulse.host.view import Table, stdout


def ports(
    probe: Annotated[
        bool,
        typer.Option("--probe", metavar="", help="Ask those that may be boards, and only those; no session of another program changes."),
    ] = False,
    json: o.Json = None,
) -> None:
    """List the serial ports of this computer, and which of them may be boards; none is opened unless asked."""
    check_outputs({"--json": json})
    found = api_boards.ports(probe=probe)
    write_json(json, {"ports": [asdict(port) for port in found]})
    if json == STDOUT:
        return
    if not found:
        print("There are no serial ports here.")
        return
    view = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for title in ("port", "USB", "name", "may be", *(["board"] if probe else [])):
        view.add_column(title, overflow="fold")
    for port in found:
        answer = f"{port.answer} at {port.baud}" if port.baud else port.answer or "not asked"
        view.add_row(
            plain(port.device), port.usb or "-", plain(port.name) or "-", "\n".join(port.boards) or "-", *([answer] if probe else [])
        )
    stdout.print(view)
