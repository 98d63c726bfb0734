"""The command `report`."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import options as o
from backpulse.host.errors import InputError
from backpulse.host.output import Results, check_outputs
from backpulse.host.saved.folder import read_run
from backpulse.host.view import console

PAGE = "report.html"


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by train --save; the run may still go on.", metavar="RUN")],
    html: Annotated[
        Path | None,
        typer.Option(help=f"Write the page here (if not given: {PAGE} in the folder).", metavar="FILE", rich_help_panel=o.FILES),
    ] = None,
    hdf5: Annotated[Path | None, typer.Option(help="Write all numbers to this file, too.", metavar="FILE", rich_help_panel=o.FILES)] = None,
) -> None:
    """Write the report of a saved run: one page that opens anywhere, with the command that repeats the run."""
    saved = read_run(run)
    page = html or run / PAGE
    check_outputs({"--html": page, "--hdf5": hdf5})
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html must name a .html file, not {page}")
    from backpulse.host.saved.hdf5 import package, write_hdf5
    from backpulse.host.saved.report import find_out, write_report  # matplotlib takes its time

    if hdf5:
        package()
    known = find_out(saved)
    results = Results()
    with results.each():
        write_report(page, saved, known)
        console.print(f"Report: {page}", soft_wrap=True)
    if hdf5:
        with results.each():
            write_hdf5(hdf5, saved, known)
            console.print(f"Numbers: {hdf5}", soft_wrap=True)
    results.finish()
