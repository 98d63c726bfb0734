"""What the tutorials show is what one sees: their commands in the order shown, in an empty folder, and their output."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "docs" / "tutorial"
PAGES = sorted(FOLDER.glob("*.md"))
BLOCK = re.compile(r"^```(\{code-block\} \w+\n:caption: (?P<file>\S+)\n\n|console\n)(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(page):
    """Return what a page lets a person do: (file, its text), or (command, what is shown)."""
    for block in BLOCK.finditer(page.read_text()):
        if block["file"]:
            yield block["file"], block["text"], True
        else:
            for command in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                line, _, shown = command.partition("\n")
                yield line, shown, False


def pattern(shown):
    """Return the expression that matches what is shown, `...` standing for anything and blanks for one."""
    words = (re.escape(" ".join(part.split())) for part in shown.split("..."))
    return re.compile(r"\s*" + ".*".join(words).replace(r"\ ", r"\s+") + r"\s*", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_tutorial_shows_what_happens(page, backpulse, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    done = 0
    for what, text, is_file in steps(page):
        if is_file:
            Path(what).write_text(text)
            continue
        program, *words = shlex.split(what)
        if program == "python":
            runpy.run_path(words[0])
            seen = capsys.readouterr().out
        else:
            assert program == "backpulse"
            code, out, err = backpulse(*words)
            assert (code == 0) == ("Error: " not in text), err
            seen = err + out if "Note: " in text or "Error: " in text else out + err
        seen = re.sub(r"[─│╭╮╰╯]", " ", seen)
        assert pattern(text).fullmatch(seen), f"{what} shows\n{seen}\nand not\n{text}"
        done += 1
    assert done > 1
