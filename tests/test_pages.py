"""What the pages name is there: files, folders, links, and the diagram as its source draws it."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
FOLDERS = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isidentifier() and path.name != "build"))
PATH = re.compile(rf"(?:{FOLDERS})/[\w./]*|\w+\.(?:md|toml|txt)|Makefile")
"""A path within the repository, as it stands alone in backticks."""


def paths(text: str) -> list[str]:
    """Return the paths in backticks of a page."""
    return [word for word in re.findall(r"`([^`\n]+)`", text) if PATH.fullmatch(word)]


def links(text: str) -> list[str]:
    """Return what a page links to within the repository."""
    return [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target and target[0] != "#"]


def missing(page: Path, text: str) -> list[str]:
    """Return what a page names and is not there."""
    places = [(ROOT, path) for path in paths(text)] + [(page.parent, target) for target in links(text)]
    return [name for folder, name in places if not (folder / name).exists()]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name):
    page = ROOT / name
    assert not missing(page, page.read_text())


def test_a_missing_file_is_found():
    assert missing(ROOT / "docs" / "a.md", "see `rtl/core/cpu.py`, `rtl/core/` and [that](other.md)") == ["rtl/core/cpu.py", "other.md"]


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/extending.md"])
def test_many_files_are_named(name):
    assert len(set(paths((ROOT / name).read_text()))) > 20


def test_diagram_is_drawn_from_its_source():
    drawing = runpy.run_path(str(ROOT / "docs" / "diagram.py"))
    assert drawing["PICTURE"].read_text() == drawing["picture"](), "run python docs/diagram.py"
    files = [word for box in drawing["BOXES"] for name in box.files for word in re.findall(r"\w+(?:/\w+)+\.py", name)]
    assert len(files) > 20
    assert [name for name in files if not (ROOT / name).exists()] == []
