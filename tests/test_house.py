"""Files are short, or say why they are not."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("firmware_py", "rtl", "gateware", "host", "formal", "cocotb_tests", "tests", "benchmarks")
MOST = 400
"""Lines of a file that needs no reason."""
REASON = "# Over 400 lines: "


def test_a_file_over_400_lines_says_why_and_no_other_does():
    texts = {file: file.read_text() for room in ROOMS for file in (ROOT / room).rglob("*.py") if file != Path(__file__)}
    assert len(texts) > 500
    wrong = [str(file) for file, text in texts.items() if (text.count("\n") > MOST) != (REASON in text)]
    assert not wrong
