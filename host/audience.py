"""Whom a run tells what goes on, and who may ask it to stop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from backpulse.host.board import Tell
from backpulse.host.stop import Stop
from backpulse.host.training import Watcher

if TYPE_CHECKING:
    from backpulse.host.sweep_run import Run

Progress = Callable[[str, int, int], None]


class Audience:
    """One that a run tells nothing but its events. A command's is the terminal (`view.Terminal`).

    Parameters
    ----------
    watch : callable, optional
        Called with each `Event` of training, or with what each of many runs came to.
    stop : Stop, optional
        Looked at while a run goes on.
    progress : callable, optional
        Called with (what is done, how far, of how much), with 0, 0 where nobody knows.
    """

    def __init__(self, watch: Callable[[Any], None] | None = None, stop: Stop | None = None, progress: Progress | None = None) -> None:
        self._watch, self._stop, self._progress = (
            watch or (lambda event: None),
            stop or Stop(),
            progress or (lambda text, done, total: None),
        )

    def say(self, text: str) -> None:
        """Hear what is going on."""
        self._progress(text, 0, 0)

    def warn(self, texts: Sequence[str]) -> None:
        """Hear what the user should know, which results have too."""

    @contextmanager
    def watching(self, title: str, *, rates: bool) -> Iterator[Watcher]:
        """Watch the training of the body; `rates` says whether its learning rate changes."""
        yield self._watch

    @contextmanager
    def sweeping(self, title: str, runs: "Sequence[Run]", before: int, by: Sequence[str]) -> Iterator[Callable[[Any], None]]:
        """Watch the runs of the body; `before` were done already, and groups differ in `by`."""
        yield self._watch

    @contextmanager
    def stopping(self) -> Iterator[Stop]:
        """Let the body be stopped."""
        yield self._stop

    @contextmanager
    def bar(self, text: str) -> Iterator[Tell]:
        """See how far something long is."""
        yield partial(self._progress, text)
