"""Measured ramps in the forms that laboratories have: all mean the same; wrong ones and those with two readings are told in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from backpulse.host.device_grid import read_blocks
from backpulse.host.device_layouts import read_measured
from backpulse.host.device_traces import Measured, in_siemens
from backpulse.host.errors import InputError

UP = 5 + 40 * (1 - np.exp(-np.arange(31) / 9)) + 0.01 * np.sin(np.arange(31) * 1.7)
DOWN = 45 - 39 * (1 - np.exp(-np.arange(26) / 7)) + 0.01 * np.cos(np.arange(26) * 1.3)
"""Microsiemens."""


def lines(*columns, sep=",", decimal=".", form="{:.5f}"):
    """Return a table of ragged columns; text stays as it is."""
    rows = []
    for k in range(max(map(len, columns))):
        cells = [
            (c[k] if isinstance(c[k], str) else form.format(c[k]) if c[k] % 1 else f"{c[k]:.0f}") if k < len(c) else "" for c in columns
        ]
        rows.append(sep.join(cell.replace(".", decimal) for cell in cells))
    return "\n".join(rows) + "\n"


def read(tmp_path, text, name="mine.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_measured([path], **options)


def check(measured: Measured, scale=1.0, tolerance=2e-5):
    """Check that all ramps are the two known ones."""
    assert {ramp.up for ramp in measured.ramps} == {True, False}
    for ramp in measured.ramps:
        known = UP if ramp.up else DOWN
        assert len(ramp.g) == len(known)
        assert np.abs(ramp.g * scale - known).max() < tolerance * 50
        assert np.array_equal(ramp.n - ramp.n[0], np.arange(len(known)))


N_UP, N_DOWN = np.arange(31.0), np.arange(26.0)
TRIANGLE = np.concatenate([UP, DOWN[1:]])
"""A way up and one down that begins where the first one ends, nearly."""

FORMS = {
    "two columns": lines(UP, DOWN),
    "names and units": "up (uS),down (uS)\n" + lines(UP, DOWN),
    "pulse number": "pulse,LTP,LTD\n" + lines(N_UP, UP, DOWN),
    "pulse number without names": lines(N_UP, UP, DOWN),
    "pulse number by a name in another language": "Puls;G auf (uS);G ab (uS)\n" + lines(N_UP, UP, DOWN, sep=";", decimal=","),
    "pairs": "pulse,up,pulse,down\n" + lines(N_UP, UP, N_DOWN, DOWN),
    "LTD mirrored": "LTP,LTD\n" + lines(UP, DOWN[::-1]),
    "semicolons and decimal commas": lines(UP, DOWN, sep=";", decimal=","),
    "tabs and decimal commas": "pulse\tauf, up\tab, down\n" + lines(N_UP, UP, DOWN, sep="\t", decimal=","),
    "blanks": "# made by us\n" + lines(N_UP, UP, sep="  ") + "\n" + lines(N_DOWN, DOWN, sep="  "),
    "blanks and decimal commas": lines(N_UP, UP, sep=" ", decimal=",") + "\n" + lines(N_DOWN, DOWN, sep=" ", decimal=","),
    "quoted decimal commas": "up,down\n"
    + "\n".join(",".join(f'"{v:.5f}"'.replace(".", ",") for v in pair) for pair in zip(UP, UP[::-1], strict=True)),
    "comments": "% measured on a Tuesday\n# pulse, up, down\n" + lines(N_UP, UP, DOWN),
    "two blocks": "pulse,G (uS)\n" + lines(N_UP, UP) + "\npulse,G (uS)\n" + lines(N_DOWN, DOWN),
    "pulse number begins anew": "n,G_uS\n" + lines(np.concatenate([N_UP, N_DOWN]), np.concatenate([UP, DOWN])),
    "one ramp a column": "rmp1 up,rmp2 up,rmp1 down,rmp2 down\n" + lines(UP, UP, DOWN, DOWN),
    "one trace a line": ",".join(f"{v:.5f}" for v in UP) + "\n" + ",".join(f"{v:.5f}" for v in DOWN) + "\n",
    "long table": "device,cycle,direction,G\n"
    + "".join(
        f"chip {d},{c},{word},{v:.5f}\n" for d in "AB" for c in (1, 2) for word, ramp in (("set", UP), ("reset", DOWN)) for v in ramp
    ),
    "byte order mark": "\ufeffup,down\n" + lines(UP, DOWN),
    "UTF-16": ("up\tdown\n" + lines(UP, DOWN, sep="\t")).encode("utf-16"),
    "Windows lines and a separator at the end": "up;down;\r\n" + lines(UP, DOWN, sep=";").replace("\n", ";\r\n"),
    "nan at the end": lines(UP, DOWN).replace(",\n", ",nan\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_mean_the_same(form, tmp_path):
    measured = read(tmp_path, FORMS[form])
    if form == "quoted decimal commas":
        assert [(ramp.up, len(ramp.g)) for ramp in measured.ramps] == [(True, 31), (False, 31)]
        return
    check(measured)
    if form == "long table":
        assert (measured.devices, len(measured.ramps)) == (["chip A", "chip B"], 8)
    if form == "names and units":
        assert measured.unit == "uS"
    if form == "pulse number by a name in another language":
        assert measured.remarks[0] == "mine.csv: column 1 (Puls) counts, and is taken as the number of the pulse"
    if form == "LTD mirrored":
        assert any("mirrored" in remark for remark in measured.remarks)


def test_what_counts_and_is_said_to_be_a_conductance_is_one(tmp_path):
    measured = read(tmp_path, "G up (uS),G down (uS)\n" + lines(np.arange(26.0), DOWN))
    assert [list(ramp.g[:3]) for ramp in measured.ramps if ramp.up] == [[0, 1, 2]]


def test_a_spreadsheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["measured by us"])
    sheet.append(["pulse", "up (uS)", "down (uS)"])
    for k in range(31):
        sheet.append([k, float(UP[k]), float(DOWN[k]) if k < 26 else None])
    book.save(tmp_path / "mine.xlsx")
    measured = read_measured([tmp_path / "mine.xlsx"])
    check(measured)
    assert measured.unit == "uS"
    sheet["B9"] = "n. d."
    book.save(tmp_path / "mine.xlsx")
    with pytest.raises(InputError, match=r"^mine.xlsx: row 9, column 2 \(up \(uS\)\) is 'n. d.', not a number"):
        read_measured([tmp_path / "mine.xlsx"])


def test_a_program_of_pulses_gives_ramps_and_the_symmetry_point(tmp_path):
    tail = np.full(40, 27.5) + 0.2 * (np.arange(40) % 2)
    g = np.concatenate([UP, DOWN[1:], tail])
    signs = np.concatenate([[0], np.full(30, 1), np.full(25, -1), 1 - 2 * (np.arange(40) % 2)])
    measured = read(tmp_path, "pulse,G (uS)\n" + lines(signs, g))
    assert [(ramp.up, len(ramp.g)) for ramp in measured.ramps] == [(True, 31), (False, 26)]
    assert measured.symmetry == pytest.approx([27.6], abs=0.02)


def test_several_cycles_in_one_column(tmp_path):
    cycles = np.concatenate([np.concatenate([UP, 45 - 40 * (1 - np.exp(-np.arange(1, 26) / 7))]) for _ in range(3)])
    measured = read(tmp_path, "G (uS)\n" + lines(cycles))
    assert [ramp.up for ramp in measured.ramps] == [True, False] * 3
    assert {len(ramp.g) for ramp in measured.ramps} <= {25, 26, 27, 31, 32}


def test_files_of_one_direction_are_one_device_and_others_devices_of_their_own(tmp_path):
    (tmp_path / "set.csv").write_text(lines(UP, UP))
    (tmp_path / "reset.csv").write_text(lines(DOWN, DOWN))
    measured = read_measured([tmp_path / "set.csv", tmp_path / "reset.csv"])
    assert measured.devices == [""]
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(lines(UP, DOWN))
    assert read_measured([tmp_path / "a.csv", tmp_path / "b.csv"]).devices == ["a", "b"]


G, CDF = np.linspace(1e-5, 9e-5, 9), np.array([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
LUT = 1e-6 * (1 + np.outer(CDF - 0.5, np.ones(9)))


def test_a_crosssim_table(tmp_path):
    text = "1st Row = G, 2nd = CDF\n" + "\n".join(",".join(f"{v:.6g}" for v in row) for row in (G, CDF))
    rows = "\n".join(",".join(f"{v:.6g}" for v in row) for row in LUT)
    (tmp_path / "dG_increasing.txt").write_text(f"{text}\n\n{rows}\n")
    falling = "\n".join(",".join(f"{-v:.6g}" for v in row) for row in LUT)
    (tmp_path / "dG_decreasing.txt").write_text(f"{text}\n{falling}\n")
    measured = read_measured([tmp_path / "dG_increasing.txt", tmp_path / "dG_decreasing.txt"])
    assert [step.up for step in measured.steps] == [True, False]
    for step in measured.steps:
        assert np.allclose(step.mean, 1e-6 if step.up else -1e-6, rtol=1e-5)
        assert np.allclose(step.sigma, 1e-6 * np.sqrt(np.trapezoid((CDF - 0.5) ** 2, CDF)), rtol=1e-4)


AMBIGUOUS = {
    "whole numbers and one comma": (
        "\n".join(f"{round(v)},{round(10 * v) % 10}" for v in TRIANGLE),
        {},
        "may be 2 whole numbers (5 and 0) or 5.0 with decimal commas: give --decimal .",
    ),
    "two ramps up": (lines(UP, UP + 0.3), {}, "all go up: they may be 2 ramps up, or ramps up and down of which one is written mirrored"),
    "rows or columns": (
        "\n".join(",".join(f"{a + b:.3f}" for b in np.linspace(0, 9, 12)) for a in np.linspace(0, 9, 12)),
        {},
        "each of the 12 columns may be a ramp (--layout ramps), or each of the 12 rows (--layout traces)",
    ),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_two_readings_are_refused_with_both(case, tmp_path):
    text, options, told = AMBIGUOUS[case]
    with pytest.raises(InputError) as error:
        read(tmp_path, text, **options)
    assert told in str(error.value)
    assert str(error.value).startswith("mine.csv: ")


def test_options_decide(tmp_path):
    check(read(tmp_path, lines(UP, DOWN[::-1]), layout="mirrored"))
    square = "\n".join(",".join(f"{a + b:.3f}" for b in np.linspace(0, 9, 12)) for a in (*np.linspace(0, 9, 6), *np.linspace(9, 0, 6)))
    with pytest.raises(InputError, match="potentiation only"):
        read(tmp_path, square, layout="traces")
    whole = read(tmp_path, "\n".join(f"{round(v)},{round(50 - v)}" for v in UP), decimal=".")
    assert [ramp.up for ramp in whole.ramps] == [True, False]
    commas = read(tmp_path, "\n".join(f"{v:.1f}".replace(".", ",") for v in TRIANGLE), decimal=",")
    assert [ramp.up for ramp in commas.ramps] == [True, False]
    with pytest.raises(InputError, match=r"--layout must be one of ramps, mirrored, .*, not 'x'"):
        read(tmp_path, lines(UP, DOWN), layout="x")


ROWS = lines(UP, DOWN[:26]).split("\n")


def changed(row, cell, text):
    rows = [line.split(",") for line in ROWS]
    rows[row - 1][cell] = text
    return "\n".join(map(",".join, rows))


WRONG = {
    "text": (changed(8, 1, "abc"), "row 8, column 2 is 'abc', not a number"),
    "text in the first row": (changed(1, 0, "oops"), "row 1, column 1 is 'oops', not a number"),
    "a number with its unit": ("up,down\n" + changed(5, 0, "12.1uS"), "row 6, column 1 (up) is '12.1uS', not a number"),
    "NaN in a ramp": (changed(7, 0, "nan"), "row 7, column 1 has no value, and the ramp goes on below it"),
    "empty cell in a ramp": (changed(9, 1, ""), "row 9, column 2 has no value"),
    "infinite": (changed(4, 0, "1e999"), "row 4, column 1 is beyond the range of numbers"),
    "inf": (changed(4, 0, "inf"), "row 4, column 1 is beyond the range of numbers"),
    "mixed decimals": (lines(UP, DOWN, sep=";").replace(f"{UP[6]:.5f}", f"{UP[6]:.5f}".replace(".", ",")), "row 7, column 1"),
    "thousands": ("up;down\n" + lines(1000 * UP, 1000 * DOWN, sep=";", form="{:,.2f}"), "row 3, column 1 (up) is '9,216.34', not a number"),
    "one direction": ("pulse,LTP\n" + lines(N_UP, UP), "has potentiation only"),
    "the other one": ("pulse,LTD\n" + lines(N_DOWN, DOWN), "has depression only"),
    "two points": ("up,down\n" + lines(UP[:2], DOWN[:2]), "has 2 points: a ramp must have at least 5"),
    "constant": ("up,down\n" + lines(np.full(30, 7.5), DOWN), "column 1 (up), rows 2 to 31 is 7.5 everywhere"),
    "empty": ("", "mine.csv is empty"),
    "words only": ("up,down\nhigh,low\n", "mine.csv has no row of numbers"),
    "header only": ("pulse,up,down\n", "mine.csv has no row of numbers"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "mine.csv is no UTF-8 text"),
    "an archive": (b"PK\3\4" + bytes(100), "mine.csv is an archive and no spreadsheet"),
    "zeros": (b"1,2\n\0\0\0", "mine.csv holds bytes that are no text"),
    "two units": ("up (uS),down (nS)\n" + lines(UP, DOWN), "The columns are in nS and in uS"),
    "an open quotation mark": ('up,down\n"' + lines(UP, DOWN), "mine.csv"),
    "no conductance": ("pulse,cycle\n" + lines(N_UP, N_UP), "no column is a conductance"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_told_in_a_sentence(case, tmp_path):
    text, told = WRONG[case]
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert told in str(error.value)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


UNITS = {
    "no unit": (1.0, None, None, "they may be 5 to 45 uS or 5 to 45 nS or"),
    "siemens that cannot be": (1.0, "S", None, "devices have 1e-12 to 0.2 S"),
    "amperes without a voltage": (1e-6, "A", None, "give the voltage of the reads with --read-voltage"),
    "a voltage for siemens": (1.0, "uS", 0.1, "--read-voltage is for currents"),
    "an impossible voltage": (1e-6, "A", 1e6, "--read-voltage must be from 0.0001 to 10 V, not 1e+06"),
    "an unknown unit": (1.0, "ohm", None, "--units must be one of S, mS, uS"),
    "negative siemens": (-1.0, "uS", None, "are no conductances, which are positive"),
}


@pytest.mark.parametrize("case", UNITS)
def test_units_that_cannot_be(case, tmp_path):
    scale, units, voltage, told = UNITS[case]
    measured = read(tmp_path, lines(scale * UP, scale * DOWN, form="{:.9g}"))
    with pytest.raises(InputError) as error:
        in_siemens(measured, units, voltage)
    assert told in str(error.value)


def test_units_are_found(tmp_path):
    for text, units, voltage, size in (
        ("up (uS),down (uS)\n" + lines(UP, DOWN), None, None, 1e-6),
        ("up,down\n" + lines(UP, DOWN), "nA", 0.1, 1e-8),
        ("I up [uA],I down [uA]\n" + lines(UP, DOWN), None, 0.5, 2e-6),
    ):
        measured, found = in_siemens(read(tmp_path, text), units, voltage)
        assert found == pytest.approx(size)
        assert max(ramp.g.max() for ramp in measured.ramps) == pytest.approx(size * max(UP.max(), DOWN.max()), rel=1e-5)
    normalised, found = in_siemens(read(tmp_path, lines((UP - 5) / 40, (DOWN - 5) / 40, form="{:.7f}")), None, None)
    assert (found, normalised.unit) == (0.0, "")


def test_a_long_file_is_one_block(tmp_path):
    """A long file is one block of numbers, and parted where it turns."""
    n = 50_000
    g = np.concatenate([np.linspace(5, 45, n // 2), np.linspace(45, 5, n // 2)])
    (tmp_path / "long.csv").write_text("pulse,G (uS)\n" + "\n".join(f"{k},{v:.4f}" for k, v in enumerate(g)))
    (block,) = read_blocks(Path(tmp_path / "long.csv"))
    assert block.values.shape == (n, 2)
    assert [len(ramp.g) for ramp in read_measured([tmp_path / "long.csv"]).ramps] == pytest.approx([n // 2, n // 2], abs=50)
