"""What `backpulse --version` says. Nothing heavy is imported, so that it works where nothing else does."""

import json
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from backpulse.firmware_py.config import ABI_VERSION

PACKAGE = "backpulse"
GIT_S = 5.0
"""Time that git may take to name the commit."""


def version_text() -> str:
    """Return the version of the package, the ABI that boards must have, and the commit where it is known."""
    commit = _commit()
    return f"{PACKAGE} {package_version()}, ABI {ABI_VERSION}" + (f", commit {commit}" if commit else "")


def package_version() -> str:
    """Return the version that is installed."""
    try:
        return distribution(PACKAGE).version
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    """Return the commit that pip installed, or that of the checkout in which this file lies."""
    with suppress(PackageNotFoundError, ValueError, KeyError):
        return json.loads(distribution(PACKAGE).read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"][:12]
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_S, check=True)
        return done.stdout.strip() or None
    return None
