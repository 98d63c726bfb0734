"""The commands doctor and cache: what works on this computer, and what is kept on it."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from backpulse.firmware_py import places
from backpulse.host import doctor as examination
from backpulse.host import options as o
from backpulse.host.doctor import Finding
from backpulse.host.errors import HostError, OwnError
from backpulse.host.output import check_outputs, write_json
from backpulse.host.tile import facts_text
from backpulse.host.urls import BAUD, open_board
from backpulse.host.view import Table, console, stdout


def doctor(
    board: Annotated[str | None, typer.Option(help="Also ask this board; no port is opened unasked.", metavar="URL")] = None,
    baud: o.Baud = BAUD,
    json: o.Json = None,
) -> None:
    """Say what works on this computer, and which command brings what is missing; exit code 0 if all that training needs is there."""
    check_outputs({"--json": json})
    findings = examination.examine()
    trouble = None
    if board is not None:
        try:
            with open_board(board, baud=baud, progress=lambda text: console.print(text, style="dim")) as opened:
                findings.append(
                    Finding("board", board, "ok", f"ABI {opened.abi}, {opened.status()[0].name.lower()}; {facts_text(opened.facts)}")
                )
        except HostError as error:
            trouble = error
            findings.append(Finding("board", board, "trouble", str(error)))
    works = examination.works(findings)
    write_json(json, {"works": works, "findings": [asdict(finding) for finding in findings]})
    if json != "-":
        stdout.print(examination.table(findings, stdout.width), soft_wrap=True)
    if not works:
        raise OwnError("Something that every command needs is missing or does not work", "see the lines of the group base")
    if trouble is not None:
        sys.exit(trouble.exit_code)


def cache(
    clear: Annotated[bool, typer.Option("--clear", metavar="", help="Empty them: everything in them can be made again.")] = False,
    json: o.Json = None,
) -> None:
    """Show the caches (compiled kernels, virtual boards, builds, what the tools keep), or empty them."""
    check_outputs({"--json": json})
    freed, stays = places.clear() if clear else (0, [])
    found = [
        {"folder": str(folder), "bytes": places.size(folder), "kinds": {kind.name: places.size(kind) for kind in _kinds(folder)}}
        for folder in places.places()
        if folder.is_dir()
    ]
    write_json(json, {"caches": found, "freed": freed, "stays": stays})
    if json != "-":
        for one in found:
            sizes = {name: size for name, size in one["kinds"].items() if size}
            stdout.print(f"{one['folder']}{'' if sizes else ': empty'}", soft_wrap=True)
            table = Table(box=None, show_header=False, padding=(0, 2))
            table.add_column()
            table.add_column(justify="right")
            for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
                table.add_row(name, f"{size / 1e6:.1f} MB")
            if sizes:
                stdout.print(table)
        if not found:
            stdout.print("There are no caches")
        if clear:
            stdout.print(f"{freed / 1e6:.1f} MB freed")
    if stays:
        raise OwnError("; ".join(stays), "remove it as its owner")


def _kinds(folder: places.Path) -> list[places.Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
