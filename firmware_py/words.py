"""Words that are none, and what was probably meant by them."""

import difflib
from collections.abc import Iterable


def nearest(word: object, names: Iterable[str]) -> str:
    """Return a question for the nearest of some names, which ends a sentence about a word that is none of them; nothing if none is near."""
    near = difflib.get_close_matches(word, names, n=1) if isinstance(word, str) else []
    return f" (did you mean {near[0]}?)" if near else ""
