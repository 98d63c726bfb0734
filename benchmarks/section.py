"""The marked section of docs/learning.md that `make schedules` owns; `make table` owns the rest and leaves it alone."""

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "learning.md"
BEGIN, END = "<!-- schedules: begin -->", "<!-- schedules: end -->"


def section(page: str) -> str:
    """Return the section with its marks, empty between them if the page has none."""
    if BEGIN not in page:
        return f"{BEGIN}\n{END}\n"
    return BEGIN + page.split(BEGIN)[1].split(END)[0] + END + "\n"


def with_section(page: str, text: str) -> str:
    """Return the page with another text in its section."""
    return page.replace(section(page), f"{BEGIN}\n{text}\n{END}\n")
