"""Expects a component to refuse its parameters."""

import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.hdl import UnusedElaboratable


def refused(match: str, component: Callable[..., Any], *arguments: Any, **parameters: Any) -> None:
    """Expect a ValueError whose text matches; Amaranth's warning that the half-made component is never used says nothing here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError, match=match):
            component(*arguments, **parameters)
        gc.collect()
