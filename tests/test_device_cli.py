"""The commands `device`, the page's commands in the order shown, and runs with a device file."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backpulse.host.device_layouts import read_measured
from tests.test_device_fit import DATA, SETS, fitted

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "devices.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def test_the_page_runs_in_the_order_shown(backpulse, tmp_path):
    """From an empty folder to a trained twin; afterwards the run goes on with the device file moved away."""
    assert len(COMMANDS) == 6
    for line in COMMANDS:
        program, *arguments = shlex.split(line)
        assert program == "backpulse"
        code, _, err = backpulse(*arguments)
        assert code == 0, err
    assert {"lab.csv", "mine.toml", "mine.png", "twin.png", "run.npz"} <= {path.name for path in tmp_path.iterdir()}
    measured = read_measured([tmp_path / "lab.csv"])
    assert (len(measured.devices), len(measured.ramps)) == (5, 20)
    code, _, err = backpulse("train", "--resume", "run.npz", "--epochs", 3, "--device", "mine.toml")
    assert (code, "all of its 3 epochs" in err) == (2, True)
    (tmp_path / "mine.toml").rename(tmp_path / "gone.toml")
    code, out, err = backpulse("train", "--resume", "run.npz", "--epochs", 4, "--json", "-")
    assert code == 0, err
    assert json.loads(json.loads(out)["settings"]["device"])["table"]["name"] == "mine"
    assert "mine device" in err
    assert backpulse("infer", "--checkpoint", "run.npz")[0] == 0
    code, _, err = backpulse("train", "--resume", "run.npz", "--epochs", 5, "--device", "ecram")
    assert (code, "is not the checkpoint's" in err) == (2, True)


def test_the_twin_of_a_simulated_device_is_that_device(backpulse, tmp_path):
    for arguments in (
        ("simulate", "ecram-uniform", "--pulses", 900, "--cycles", 3, "--out", "lab.csv"),
        ("fit", "lab.csv", "--units", "norm", "--out", "mine.toml", "--json", "fit.json"),
    ):
        code, _, err = backpulse("device", *arguments)
        assert code == 0, err
    found = json.loads((tmp_path / "fit.json").read_text())
    linear = found["linear"]
    assert linear["dw_min"] == pytest.approx(0.002, rel=0.15)
    assert linear["slope_down"] == pytest.approx(0.509, abs=0.15)
    assert linear["write_noise"] == pytest.approx(0.3, abs=0.25)
    assert found["scale"]["zero"] == pytest.approx(0, abs=0.15)
    assert found["residuals"]["linear"][0] < 2.5


def test_fit_tells_what_it_found(backpulse, tmp_path):
    code, out, err = backpulse("device", "fit", DATA / "synthetic_steep66.csv", "--units", "uS", "--out", "mine.toml", "--plot", "mine.svg")
    assert code == 0, err
    assert "23.5 µS: symmetry point" in out
    assert re.search(r"table +0\.3\d +0\.3\d", out)
    assert "Wrote mine.toml" in err
    assert "accuracies of the linear device will not be those of this one" in err
    assert (tmp_path / "mine.svg").stat().st_size > 10_000
    code, out, err = backpulse("device", "show", "mine.toml", "--json", "-", "--plot", "again.png")
    assert (code, json.loads(out)["measured"]["symmetry"]) == (0, pytest.approx(0.47, abs=0.03)), err
    code, out, err = backpulse("device", "simulate", "mine.toml", "--json", "-", "--cells", 3)
    assert (code, json.loads(out)["high"]) == (0, pytest.approx(4.5e-5, rel=0.05)), err
    code, _, err = backpulse("train", "--device", "mine.toml:linear")
    assert (code, "has no linear fit (" in err) == (2, True)
    assert "too steep a step" in err


def test_list_and_show_of_presets(backpulse):
    code, out, _ = backpulse("device", "list", "--json", "-")
    rows = {row["name"]: row for row in json.loads(out)["devices"]}
    assert code == 0
    assert all(row["source"] for row in rows.values())
    assert "apparent noise" in rows["aihwkit:ReRamSB"]["refused"]
    assert rows["aihwkit:EcRam"]["refused"] == ""
    assert backpulse("device", "list")[0] == 0
    assert json.loads(backpulse("device", "show", "aihwkit:ReRamES", "--json", "-")[1])["write_noise_std"] == 75.0
    assert "0.115" in backpulse("device", "show", "ecram")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fit", "no.csv", "--out", "a.toml"), "no.csv cannot be read: no such file or directory"),
        (("fit", "two.csv", "--out", "a.csv"), "--out must name a .toml file, not a.csv"),
        (("fit", "two.csv", "--out", "a.toml"), "has 2 points: a ramp must have at least 5"),
        (("fit", "two.csv", "--out", "a.toml", "--separator", "x"), "--separator must be one of tab ; | , space, not 'x'"),
        (("fit", "two.csv", "--out", "two.csv"), "would write over the file of FILES two.csv"),
        (("show", "no.toml"), "no.toml cannot be read"),
        (("show", "no"), "Unknown device no: choose one of ideal, ecram"),
        (("show", "ecram", "--plot", "a.png"), "--plot of show needs a device file"),
        (("simulate", "two.csv"), "two.csv is no device file: fit one to it first, backpulse device fit two.csv --out two.toml"),
        (("simulate", "ecram", "--pulses", 100000, "--cycles", 1000), "are too many at once"),
        (("simulate", "aihwkit:ReRamES"), "an exponential step, and today's tiles have the linear one"),
    ],
)
def test_wrong_commands(arguments, told, backpulse, tmp_path):
    (tmp_path / "two.csv").write_text("1.5,2.5\n2.5,1.5\n")
    code, _, err = backpulse("device", *arguments)
    assert (code, told in " ".join(err.split())) == (2, True), err
    assert err.count("\n") == 1


def test_pandas_is_not_needed_for_presets():
    code = (
        "import sys; from backpulse.host import cli, settings; settings.Settings(device='ecram'); "
        "sys.exit(bool({'pandas', 'scipy.optimize', 'scipy.ndimage', 'matplotlib', 'tomlkit'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_million_rows_take_their_memory(tmp_path):
    """At most 300 MB above what the imports take; `benchmarks.measured` has the time."""
    n = 500_000
    g = np.concatenate([np.linspace(5, 45, n), np.linspace(45, 5, n)])
    np.savetxt(tmp_path / "long.csv", g, fmt="%.4f", header="G (uS)", comments="")
    code = (
        "import resource, sys, pandas, scipy.ndimage\n"
        "from pathlib import Path\n"
        "from backpulse.host.device_layouts import read_measured\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "ramps = read_measured([Path(sys.argv[1])]).ramps\n"
        "print(sum(len(ramp.g) for ramp in ramps), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "long.csv"], check=True, capture_output=True, text=True)
    points, kilobytes = map(int, run.stdout.split())
    assert points == pytest.approx(2 * n, abs=2)
    assert kilobytes < 300_000


def test_the_table_of_models_is_measured():
    table = PAGE.partition("<!-- residuals -->")[2].partition("<!-- end of residuals -->")[0]
    rows = {
        cells[0]: cells[1:]
        for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n") if "/" in line)
    }
    assert set(rows) == set(SETS)
    for name, cells in rows.items():
        for cell, (model, pair) in zip(cells, fitted(name)[1].residuals.items(), strict=True):
            for shown, found in zip(map(float, cell.split(" / ")), pair, strict=True):
                assert shown == pytest.approx(found, abs=0.06 + 0.05 * found), (name, model)
