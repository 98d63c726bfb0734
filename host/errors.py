"""Errors that a person sees as one sentence, and the exit codes that go with them."""

from collections.abc import Iterator
from contextlib import contextmanager


class HostError(Exception):
    """A run that failed: the board, the line or the machine (exit code 1)."""

    exit_code = 1


class InputError(HostError, ValueError):
    """Wrong input: an option, a file or data (exit code 2)."""

    exit_code = 2


class StorageError(HostError):
    """A result that could not be stored, as on a full disk: the run itself is sound (exit code 3)."""

    exit_code = 3

    @classmethod
    def of(cls, what: str, error: OSError) -> "StorageError":
        """Return the sentence of an operating system's error."""
        return cls(f"{what} cannot be written: {(error.strerror or str(error)).lower()}")


@contextmanager
def wrong_input(prefix: str = "") -> Iterator[None]:
    """Turn a ValueError of the body, a validation sentence of the lower layers, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{prefix}{error}") from error
