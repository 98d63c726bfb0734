import binascii
import re
from pathlib import Path
from typing import Any

import pytest

from backpulse.firmware_py import framing
from backpulse.firmware_py.framing import Frame, Opcode, Status
from backpulse.firmware_py.pages import updated
from backpulse.firmware_py.registers import Fault, Window

PAGE = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()


DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["protocol.md", "machine.md"])
def test_tables_are_up_to_date(name):
    page = (DOCS / name).read_text()
    assert updated(page) == page, f"run python -m backpulse.firmware_py.pages docs/{name}"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("# A page\n", "The page must mark a table"),
        ("<!-- weather -->\n", "Unknown table 'weather'; there are registers"),
        ("<!-- registers -->\n", "The table 'registers' must end with the line <!-- end of registers -->"),
    ],
)
def test_a_page_without_marks_is_refused(page, text):
    with pytest.raises(ValueError, match=text):
        updated(page)


@pytest.mark.parametrize("enum", [Opcode, Status])
def test_commands_and_statuses_are_those_of_the_code(enum):
    for member in enum:
        assert re.search(rf"^\| {member.value} \| {member.name} \|", PAGE, re.M), member


def test_windows_are_those_of_the_code():
    for window in Window:
        assert f"| {window.name} | 0x{window.base:08x} |" in PAGE, window


def test_faults_are_told():
    for fault in list(Fault)[1:]:
        assert f"{fault.value} {fault.name.lower().replace('_', ' ').replace('word', 'instruction')}" in PAGE


def test_limits_are_those_of_the_code():
    for text in (
        f"0 to {framing.MAX_PAYLOAD} bytes",
        f"(1 to {framing.MAX_WORDS})",
        f"1 to {framing.MAX_GRANT} sample",
        "at most 250 bytes",
    ):
        assert text in PAGE
    assert framing.MAX_FRAME == 250


def test_the_functions_on_the_page_work():
    code = "\n".join(line[4:] for line in PAGE.splitlines() if line.startswith("    ") and "u8 |" not in line and "0x80 |" not in line)
    names: dict[str, Any] = {"binascii": binascii}
    exec(code, names)
    payload = b"\0ab\0\0c" + bytes(range(200))
    assert names["encode"](5, 0, payload) == Frame(5, 0, payload).encode()
    assert names["decode"](names["encode"](5, 7, payload)[:-1]) == (5, 7, payload)
