"""The README names every room, and files are short, or say why they are not."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST = 400
"""Lines of a file that needs no reason."""
REASON = "# Over 400 lines: "


def rooms() -> dict[str, str]:
    """Return the README's rows about folders: what each says, by the folder."""
    rows = re.findall(r"^\| (`[^|]+`) \| (.+) \|$", (ROOT / "README.md").read_text().partition("## The folders")[2], re.MULTILINE)
    return {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_readme_has_a_row_for_each_folder_and_names_those_of_the_hardware():
    told = rooms()
    assert {file.parent.name for file in ROOT.glob("[a-z]*/*.py") if file.parent.name != "build"} <= set(told)
    assert all((ROOT / name).is_dir() for name in told)
    for name in ("rtl", "gateware"):
        inside = {file.parent.name for file in (ROOT / name).glob("*/*.py")}
        assert inside == set(re.findall(r"`(\w+)`", told[name]))


def test_a_file_over_400_lines_says_why_and_no_other_does():
    texts = {file: file.read_text() for room in rooms() for file in (ROOT / room).rglob("*.py") if file != Path(__file__)}
    assert len(texts) > 500
    wrong = [str(file) for file, text in texts.items() if (text.count("\n") > MOST) != (REASON in text)]
    assert not wrong
