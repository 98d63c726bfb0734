"""The command `backpulse`: what runs first, so that signals are heeded, and what is missing told, while the packages are imported."""

import gc
import os
import sys
from typing import NoReturn

from backpulse.host import terminal
from backpulse.host.errors import TRACEBACK, HostError, OwnError
from backpulse.host.stop import ended_by_signals


def main() -> None:
    """Run a command; a signal ends it in one sentence, and so does an installation that lacks something."""
    ended_by_signals(_main)


def _main() -> None:
    terminal.guard()
    # A notebook's kernel exports a backend that this environment may lack, and nothing here is shown in a window.
    os.environ.pop("MPLBACKEND", None)
    try:
        if sys.argv[1:] == ["--version"]:
            from backpulse.host.version import version_text

            print(version_text())
            terminal.finish()
            sys.exit()
        gc.disable()  # what the imports make stays: to look for garbage in it is an eighth of the time of --help
        try:
            from backpulse.host.cli import main as command
        finally:
            gc.freeze()
            gc.enable()
    except HostError as error:
        _fail(error)
    except Exception as error:  # a package is missing, damaged or of a wrong version: each fails in its own way
        if os.environ.get(TRACEBACK):
            raise
        _stand_in(error)
    command()


def _stand_in(error: Exception) -> NoReturn:
    """Say why the command line cannot be loaded; `doctor` works all the same."""
    from backpulse.firmware_py.installing import install
    from backpulse.host import doctor

    if sys.argv[1:2] == ["doctor"]:
        print(doctor.table(doctor.examine()))
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    advice = f"{install()} brings it; backpulse doctor says what else"
    _fail(OwnError(f"This installation lacks something ({reason})", advice))


def _fail(error: HostError) -> NoReturn:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
