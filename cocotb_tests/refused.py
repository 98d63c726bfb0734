"""Expects a component to refuse its parameters."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from amaranth.hdl import UnusedElaboratable


@contextmanager
def refused(match: str) -> Iterator[None]:
    """Expect a ValueError whose text matches; Amaranth's warning that the half-made component is never used says nothing here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError, match=match):
            yield
        gc.collect()
