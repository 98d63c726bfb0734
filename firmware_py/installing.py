"""The command that installs one of the package's extras where this package came from: no index has it."""

import json
from importlib.metadata import distributions
from urllib.parse import unquote, urlparse


def install(extra: str = "", options: str = "") -> str:
    """Return the command that installs the package with an extra.

    Parameters
    ----------
    extra : str
        One of pyproject's, none if empty.
    options : str
        Further ones of pip, each followed by a blank.

    Examples
    --------
    >>> install("sim").startswith("pip install ")
    True
    """
    with_extra = f"[{extra}]" if extra else ""
    # In a clone the folder of metadata that its build left may be found first; it does not say where it came from.
    said = (found.read_text("direct_url.json") for found in distributions(name="backpulse"))
    source = json.loads(next(filter(None, said), "{}"))
    url = source.get("url", "")
    if "dir_info" in source:  # a clone
        editable = "-e " if source["dir_info"].get("editable") else ""
        return f"pip install {options}{editable}'{unquote(urlparse(url).path)}{with_extra}'"
    return f"pip install {options}'backpulse{with_extra}{' @ ' + url if url else ''}'"
