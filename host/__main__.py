"""The command `backpulse`: what runs first, so that signals are heeded while the packages are imported."""

from .stop import ended_by_signals


def main() -> None:
    """Run a command; a signal ends it in one sentence."""
    with ended_by_signals():
        from .cli import main as command

        command()


if __name__ == "__main__":
    main()
