"""The command `backpulse`: what runs first, so that signals are heeded, and what is missing told, while the packages are imported."""

import sys

from .stop import ended_by_signals


def main() -> None:
    """Run a command; a signal ends it in one sentence, and so does an installation that lacks something."""
    with ended_by_signals():
        try:
            from .cli import main as command
        except Exception as error:  # a package is missing, damaged or of a wrong version: each fails in its own way
            _stand_in(error)
        else:
            command()


def _stand_in(error: Exception) -> None:
    """Say why the command line cannot be loaded; `doctor` works all the same."""
    from . import doctor
    from .errors import OwnError

    if sys.argv[1:2] == ["doctor"]:
        print(doctor.table(doctor.examine()))
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    advice = "pip install backpulse brings it; backpulse doctor says what else"
    print(f"Error: {OwnError(f'This installation lacks something ({reason})', advice)}", file=sys.stderr)
    sys.exit(OwnError.exit_code)


if __name__ == "__main__":
    main()
