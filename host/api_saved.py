"""Of the public interface: saved runs, their reports and their page."""

import threading
from collections.abc import Callable
from pathlib import Path

from backpulse.firmware_py.installing import install
from backpulse.host.audience import Audience
from backpulse.host.errors import InputError
from backpulse.host.output import Results, check_outputs
from backpulse.host.saved import folder
from backpulse.host.saved.folder import SavedRun

PAGE = "report.html"
"""Name of a report in its run's folder."""


def read_run(run: str | Path) -> SavedRun:
    """Return what the folder of a saved run holds now, also of one that goes on or was killed.

    Raises
    ------
    InputError
        If it is no folder of a run, one of another version, or damaged.
    """
    return folder.read_run(Path(run))


def report(
    run: str | Path, html: str | Path | None = None, *, hdf5: str | Path | None = None, audience: Audience | None = None
) -> dict[str, Path]:
    """Write the report of a saved run: what `backpulse report` does.

    Parameters
    ----------
    run : path
        Its folder; the run may still go on.
    html : path, optional
        Of the page; `report.html` in the folder if not given.
    hdf5 : path, optional
        All numbers are written there, too.
    audience : Audience, optional
        Whom the command tells how far it is.

    Returns
    -------
    dict
        The files by what they are: `Report`, `Numbers`.

    Raises
    ------
    InputError
        If it is no folder of a run, or a file cannot be written.
    StorageError
        If a file could not be stored; the other one is.
    """
    saved = read_run(run)
    page = Path(html) if html else Path(run) / PAGE
    check_outputs({"--html": page, "--hdf5": hdf5})
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html must name a .html file, not {page}")
    from backpulse.host.saved.hdf5 import package, write_hdf5
    from backpulse.host.saved.report import find_out, write_report  # matplotlib takes its time

    if hdf5:
        package()
    known = find_out(saved, audience or Audience())
    results, written = Results(), dict[str, Path]()
    with results.each():
        write_report(page, saved, known)
        written["Report"] = page
    if hdf5:
        with results.each():
            write_hdf5(Path(hdf5), saved, known)
            written["Numbers"] = Path(hdf5)
    results.finish()
    return written


def watch(run: str | Path, port: int = 0, *, tell: Callable[[str], None] = print, until: threading.Event | None = None) -> None:
    """Show a saved run in a browser of this computer while it goes on: what `backpulse watch` does. It returns when it is interrupted.

    Parameters
    ----------
    run : path
        Its folder; the run may have ended.
    port : int
        To listen at; 0: any that is free.
    tell : callable
        Called with the address when the page answers.
    until : threading.Event, optional
        Ends it when it is set.

    Raises
    ------
    InputError
        If it is no folder of a run, the port is taken, or the package of the page is missing.
    """
    read_run(run)
    check_live()
    from backpulse.host.saved.live import serve

    serve(Path(run), port, tell, until=until)


def check_live() -> None:
    """Raise InputError if the packages of the page are missing."""
    try:
        import bokeh.server  # noqa: F401 - an extra of its own
    except ModuleNotFoundError as error:
        raise InputError(f"The live page needs a package that is missing ({error.name}): {install('live')}") from error
