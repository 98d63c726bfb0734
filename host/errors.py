"""The table of errors: each kind, its exit code, and what to do. A person sees one sentence, the cause first, the advice last."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from backpulse.firmware_py.places import CacheError, reason
from backpulse.gateware.tools import MissingToolError, ToolError

if TYPE_CHECKING:
    from backpulse.firmware_py.framing import Status
    from backpulse.host.runs import Training

from backpulse.host.stop import SIGNALLED, Stop

TRACEBACK = "BACKPULSE_TRACEBACK"
"""Environment variable that lets an exception which nobody foresaw show its traceback."""


class HostError(Exception):
    """A run that failed: the board or the machine in it (exit code 1).

    Parameters
    ----------
    cause : str
        What happened, naming the culprit.
    advice : str, optional
        What to do about it, if not what the kind advises.
    """

    exit_code: int = 1
    advice: ClassVar[str] = ""

    def __init__(self, cause: str, advice: str | None = None) -> None:
        advice = self.advice if advice is None else advice
        super().__init__(f"{cause}: {advice}" if advice else cause)


class InputError(HostError, ValueError):
    """Wrong input: an option, a file or data (exit code 2). Its sentence says what is allowed."""

    exit_code = 2


class StorageError(HostError):
    """A result that could not be stored, as on a full disk: the run itself is sound (exit code 3).

    Attributes
    ----------
    run : Training or None
        The run, where Python asked for it.
    """

    exit_code = 3
    run: "Training | None" = None

    @classmethod
    def of(cls, what: str, error: OSError) -> "StorageError":
        """Return the sentence of an operating system's error."""
        return cls(f"{what} cannot be written: {reason(error)}", "make room there, or name another place")


class OwnError(HostError):
    """Trouble of this program, its tools, its caches or its computer, and not of the board or the line (exit code 4)."""

    exit_code = 4


class SignalError(HostError):
    """A signal asked a run to stop, which it did: Ctrl-C (exit code 130), or SIGTERM, 143, or SIGHUP, 129."""

    exit_code = SIGNALLED + Stop.number

    def __init__(self, cause: str, stop: Stop) -> None:
        super().__init__(cause)
        self.exit_code = SIGNALLED + stop.number


class NoProgressError(HostError):
    """A board that answers and does not go on (exit code 1)."""

    advice = "restart the board, and go on from the last checkpoint with --resume"


class AbortedError(HostError):
    """Somebody who watches a run has aborted it: the board's drivers are off, in the middle of a sample (exit code 1)."""

    advice = "go on from the last checkpoint with --resume, or begin anew"


class FaultError(HostError):
    """The board has stopped with a fault, or its array has tripped (exit code 1).

    Attributes
    ----------
    fault, cause : int
        A Fault and, of fault TILE, its Cause.
    done : int
        Samples that had ended before.
    """

    def __init__(self, sentence: str, advice: str, *, fault: int, cause: int, done: int = 0) -> None:
        self.fault, self.cause, self.done = fault, cause, done
        super().__init__(sentence, advice)


class LinkError(HostError):
    """A command that did not succeed (exit code 1)."""


class NoAnswerError(LinkError):
    """The board is silent, or the line loses too much (exit code 1)."""

    advice = "check port, baud rate, cable, power and bitstream"


class LineBlockedError(LinkError):
    """The port takes no more bytes (exit code 1)."""

    advice = "check the cable and what serves the port, and plug the board in anew"


class LineLostError(LinkError):
    """The port itself is gone (exit code 1)."""

    advice = "the board pauses when its credit is used up; plug it in and go on from the last checkpoint with --resume"


class SessionLostError(LinkError):
    """The board has restarted, or serves another program (exit code 1)."""


class WrongAbiError(LinkError):
    """The board speaks another version of the registers and instructions (exit code 1)."""


class RefusedError(LinkError):
    """The board answered with a status other than OK, kept in `status` (exit code 1)."""

    def __init__(self, cause: str, status: "Status") -> None:
        super().__init__(cause)
        self.status = status


def unexpected(error: Exception) -> OwnError:
    """Return what to tell of an exception that nobody foresaw."""
    if isinstance(error, MemoryError):
        return OwnError("There is not enough memory for this", "choose smaller layers, tiles or data, or a larger computer")
    if isinstance(error, ImportError):
        return OwnError(f"A package cannot be used ({error})", "install Backpulse anew, in an environment of its own")
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return OwnError(
        f"Backpulse itself has failed ({what:.300})", f"please report it, with what the same command prints where {TRACEBACK}=1 is set"
    )


@contextmanager
def own_trouble() -> Iterator[None]:
    """Tell the trouble of tools and caches as what it is: what is missing the user can install, the rest is this computer's."""
    try:
        yield
    except MissingToolError as error:
        raise InputError(str(error)) from error
    except (ToolError, CacheError) as error:
        raise OwnError(str(error)) from error


@contextmanager
def wrong_input(prefix: str = "") -> Iterator[None]:
    """Turn a ValueError of the body, a validation sentence of the lower layers, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{prefix}{error}") from error
