"""The command `backpulse`: what runs first, so that signals are heeded while the packages are imported, and works where they cannot be."""

import os
import sys
from typing import NoReturn

from . import terminal
from .errors import TRACEBACK, HostError, unexpected
from .stop import ended_by_signals


def main() -> None:
    """Run a command; a signal ends it in one sentence."""
    with ended_by_signals():
        terminal.guard()
        # A notebook's kernel exports a backend that this environment may lack, and nothing here is shown in a window.
        os.environ.pop("MPLBACKEND", None)
        try:
            if sys.argv[1:] == ["--version"]:
                from .version import version_text

                print(version_text())
                terminal.finish()
                sys.exit()
            from .cli import main as command
        except HostError as error:
            _fail(error)
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            _fail(unexpected(error))
        command()


def _fail(error: HostError) -> NoReturn:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
