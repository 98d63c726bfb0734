"""Map, response curves, programming, retention and endurance over the tile contract, with budgets; and that they can be stopped."""

# Over 400 lines: one array stands behind all of these commands.

import csv
import json
import re
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from backpulse.firmware_py.array import Array, Cells
from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.dead import NONE
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.image import initial_cells, placed, taken_from, tile_image
from backpulse.firmware_py.real import array_machine, real_config, real_machine
from backpulse.firmware_py.registers import Counter
from backpulse.host import lab_cells, urls
from backpulse.host.array_cells import Areas
from backpulse.host.array_targets import read_target
from backpulse.host.cell_names import cell_name, one_cell, parse_cells
from backpulse.host.cell_values import NamedCells, endurance, response_curves, retention
from backpulse.host.errors import InputError
from backpulse.host.ledger import COUNTS, write_counts
from backpulse.host.ports import GoldenPort
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop
from backpulse.host.training import Trainer

from .real_boards import real_board

CONFIG = replace(IDEAL, tile_rows=12, tile_cols=8, tiles=2)
CELLS = Cells()
REAL = 'name = "die 7"\nkind = "real"\ndevice = "ecram"\n'
BUDGET = '[endurance]\npulses = 200\nledger = "ledger.npz"\n'
BOARD = ("--board", "golden://?array=real.toml", "--tile", "12x8", "--tiles", "2")


@pytest.fixture
def lab(backpulse, tmp_path):
    """Return a function that runs a command of `array` with a golden board of real devices."""

    def run(*arguments):
        code, out, err = backpulse("array", *arguments, *BOARD)
        return code, " ".join(out.split()), " ".join(err.split())

    (tmp_path / "real.toml").write_text(REAL)
    return run


def table(path):
    """Return the comments and the rows of a table that a command wrote."""
    lines = path.read_text().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    return comments, list(csv.DictReader(lines[len(comments) :]))


def units(machine):
    return machine.memory.cells[:, :8] / (1 << CONFIG.cell_frac)


def test_cells_have_names():
    named = parse_cells("r3c5, r0-1c0-7", CONFIG)
    assert named.sum() == 17
    assert named[3, 5]
    assert parse_cells(None, CONFIG).all()
    assert one_cell("r23c7", CONFIG) == (23, 7)
    assert cell_name(23, 7) == "r23c7"
    for wrong in ("", "r3", "c3r5", "r3c5-", "r-1c0", "3,5"):
        with pytest.raises(InputError, match=r"--cells takes cells and areas joined by commas, as in r3c5,r0-3c0-7, not"):
            parse_cells(wrong, CONFIG)
    for beyond in ("r24c0", "r0c8", "r5-4c0", "r0c0-8"):
        with pytest.raises(InputError, match=rf"--cells names {beyond}, but this board's cells are rows 0 to 23 and columns 0 to 7"):
            parse_cells(beyond, CONFIG)
    with pytest.raises(InputError, match="--cell names one cell, as in r3c5, not 'r0c0-1'"):
        one_cell("r0c0-1", CONFIG)


def test_named_cells_are_read_and_pulsed_and_no_others():
    with real_board(PRESETS["ideal"], CONFIG) as (board, machine):
        named = parse_cells("r3c5,r4-6c1,r13c0-6,r23c7", CONFIG)
        cells = NamedCells(board, named, averages=2)
        assert [tuple(place) for place in cells.places] == [(3, 5), (4, 1), (5, 1), (6, 1), *((13, col) for col in range(7)), (23, 7)]
        assert np.abs(cells.read() - units(machine)[named]).max() <= 0.5 / 127
        before = units(machine).copy()
        cells.pulse(40)
        cells.pulse(-15)
        moved = units(machine) - before
        assert np.abs(moved[named] - 25 * PRESETS["ideal"].dw_min).max() < 1e-4
        assert not moved[~named].any()


def test_response_curves_and_cycles_are_what_the_device_does():
    with real_board(PRESETS["ideal"], CONFIG) as (board, machine):
        cells = NamedCells(board, parse_cells("r2c2,r14c3", CONFIG))
        start = units(machine)[[2, 14], [2, 3]]
        points = list(response_curves(cells, 30, 2))
        assert [point.pulse for point in points] == list(range(121))
        assert [point.direction for point in points] == ["start", *(["up"] * 30 + ["down"] * 30) * 2]
        height = np.array([min(n % 60, 60 - n % 60) for n in range(121)]) * PRESETS["ideal"].dw_min
        assert np.abs(np.array([point.values for point in points]) - (start + height[:, None])).max() < 0.6 / 127
        counted = machine.memory.counters[Counter.PULSES_UP]
        cycles = list(endurance(cells, 50, 7, every=3))
        assert machine.memory.counters[Counter.PULSES_UP] - counted == 7 * 50 * 2
        assert [cycle.number for cycle in cycles] == [1, 3, 6, 7]
        for cycle in cycles:
            assert np.abs(cycle.high - cycle.low - 50 * PRESETS["ideal"].dw_min).max() < 1.1 / 127
            assert np.abs(cycle.low - start).max() < 0.6 / 127


def test_retention_looks_at_its_times_and_reads_alone():
    now = [100.0]

    def wait(seconds):
        now[0] += min(seconds, 0.4)

    with real_board(PRESETS["ecram"], CONFIG) as (board, machine):
        before = machine.memory.cells.copy()
        looks = list(retention(NamedCells(board, parse_cells("r0c0-3", CONFIG)), [1.0, 10.0], lambda: now[0], wait))
        assert [look.seconds for look in looks] == pytest.approx([0.0, 1.0, 10.0])
        assert (machine.memory.cells == before).all()


def test_the_map_is_the_array_both_ways(lab, tmp_path):
    code, out, _ = lab("map", "--out", "map.csv", "--json", "map.json", "--plot", "map.png")
    assert code == 0
    told = json.loads((tmp_path / "map.json").read_text())
    with real_board(PRESETS["ecram"], CONFIG) as (_, machine):
        wanted = CELLS.mid + CELLS.per_unit * units(machine)
    for way in ("forward_s", "backward_s"):
        assert np.abs(np.array(told[way]) - wanted).max() < 0.6 * CELLS.per_unit / 127
    comments, rows = table(tmp_path / "map.csv")
    assert comments[0] == "# backpulse: array map: conductance by READ and by READT, siemens"
    assert comments[2] == "# scale: -1 device unit is 1e-05 S, 1 device unit 0.0001 S (of the array file)"
    assert len(rows) == 24 * 8
    assert float(rows[8 * 13 + 2]["backward_S"]) == pytest.approx(told["backward_s"][13][2], rel=1e-5)
    assert f"least, mean, most {1e6 * told['least_s']:.4g} µS" in out
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "N² g R 0, at most 0.1" in out


def test_response_curves_are_written_with_a_header_that_says_so(lab, tmp_path):
    code, out, _ = lab("pulse", "--cells", "r1c1,r14c2-3", "--pulses", "12", "--out", "p.csv", "--json", "p.json", "--plot", "p.png")
    assert code == 0
    assert out.startswith("cell before, µS after, µS step up, nS step down, nS r1c1 ")
    comments, rows = table(tmp_path / "p.csv")
    assert comments[0] == "# backpulse: array pulse: conductance in siemens after each pulse; pulse 0 is what the cell was before"
    assert list(rows[0]) == ["row", "column", "pulse", "direction", "conductance_S"]
    assert [row["direction"] for row in rows[:25]] == ["start", *["up"] * 12, *["down"] * 12]
    told = json.loads((tmp_path / "p.json").read_text())
    assert told["cells"] == ["r1c1", "r14c2", "r14c3"]
    assert told["complete"]
    assert float(rows[25 + 7]["conductance_S"]) == pytest.approx(told["conductance_s"][7][1], rel=1e-5)
    assert min(told["step_up_s"]) > 0 > max(told["step_down_s"])


def test_pulses_are_counted_against_the_budget_of_a_cell(lab, tmp_path):
    (tmp_path / "real.toml").write_text(REAL + BUDGET)
    code, out, err = lab(
        "endurance", "--cells", "r1c1,r14c2", "--cycles", "4", "--pulses", "20", "--out", "e.csv", "--json", "e.json", "--plot", "e.png"
    )
    assert code == 0
    assert "160 of 200" in out
    assert "Note: Cells have had 80 % or more of their budget of 200 pulses: r1c1 (80 %), r14c2 (80 %)" in err
    told = json.loads((tmp_path / "e.json").read_text())
    assert (told["pulses_allowed"], told["pulses_most"], told["pulses_a_cycle"]) == (200, 160, 40)
    assert np.array(told["window_s"]).min() > 0
    assert np.allclose(np.array(told["midpoint_s"]), (np.array(told["high_s"]) + np.array(told["low_s"])) / 2)
    _, rows = table(tmp_path / "e.csv")
    assert list(rows[0]) == ["row", "column", "cycle", "pulses", "high_S", "low_S", "window_S", "midpoint_S"]
    with np.load(tmp_path / "ledger.npz") as ledger:
        assert ledger["up"][1, 1] == ledger["down"][14, 2] == 80
        assert ledger["done"].sum() == 320
    code, out, err = lab("pulse", "--cells", "r1c1-2", "--pulses", "21", "--out", "p.csv")
    assert (code, out) == (2, "")
    assert "Cell r1c1 has had 160 pulses, and 42 more are beyond the 200 that the array file allows a cell: give fewer, or raise" in err
    assert not (tmp_path / "p.csv").exists()
    for damaged in (b"PK\3\4", b""):
        (tmp_path / "ledger.npz").write_bytes(damaged)
        assert "ledger.npz is no pulse ledger: name another file in the array file" in lab("map")[2]
    write_counts(tmp_path / "ledger.npz", dict.fromkeys(COUNTS, np.zeros((3, 3), int)))
    assert "is of 3 x 3 cells, and this array has 24 x 8" in lab("map")[2]


def test_training_counts_its_pulses_too(backpulse, tmp_path):
    (tmp_path / "real.toml").write_text(REAL + BUDGET.replace("200", "2000"))
    arguments = ("train", "--dataset", "iris", "--layers", "4-6-3", "--lr", "1", "--device", "ecram", "--epochs", "1", *BOARD)
    code, _, err = backpulse(*arguments, "--json", "run.json")
    assert code == 0
    told = json.loads((tmp_path / "run.json").read_text())
    with np.load(tmp_path / "ledger.npz") as ledger:
        done = ledger["done"]
        assert ledger["up"].sum() + ledger["down"].sum() == done.sum() == told["verify_pulses"] + told["pulses_up"] + told["pulses_down"]
    assert told["pulses_allowed"] == 2000
    (tmp_path / "real.toml").write_text(REAL + BUDGET.replace("200", str(int(done.max() * 1.1))))
    code, _, err = backpulse("array", "map", *BOARD)
    assert "Note: Cells have had 80 % or more of their budget" in " ".join(err.split())


def test_on_a_board_the_pulses_of_a_run_are_those_of_its_trace(backpulse, tmp_path, monkeypatch):
    config = replace(CONFIG, tile_rows=24, tiles=1, trace_words=1024)
    (tmp_path / "real.toml").write_text(REAL + BUDGET.replace("200", "2000"))
    arguments = ("train", "--dataset", "iris", "--layers", "4-6-3", "--lr", "1", "--device", "ecram", "--epochs", "1", "--json", "run.json")
    for words in (1024, 0):
        machine = real_machine(replace(config, trace_words=words), PRESETS["ecram"], 1)
        monkeypatch.setattr(urls, "connect", lambda _, machine=machine: GoldenPort(machine))
        code, _, err = backpulse(*arguments, "--board", "socket://lab:1?array=real.toml")
        assert code == 0, err
        given = int(machine.memory.counters[Counter.PULSES_UP] + machine.memory.counters[Counter.PULSES_DOWN])
        if words:
            with np.load(tmp_path / "ledger.npz") as ledger:
                counted = ledger["done"].sum()
            assert counted == given > 1000
        else:
            assert "has no ring of trace records: nothing tells the pulses of its cells" in " ".join(err.split())
    with np.load(tmp_path / "ledger.npz") as ledger:
        assert ledger["done"].sum() == counted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.npz", "real.toml", "run.json"]


def test_looks_over_time_are_written(lab, tmp_path):
    code, out, _ = lab("retention", "--times", "0.01,0.02", "--cells", "r0-1c0-1", "--out", "t.csv", "--plot", "t.png", "--json", "t.json")
    assert code == 0
    _, rows = table(tmp_path / "t.csv")
    assert list(rows[0]) == ["time_s", "row", "column", "conductance_S"]
    assert len(rows) == 3 * 4
    told = json.loads((tmp_path / "t.json").read_text())
    assert told["seconds"][0] == 0
    assert told["seconds"][1] >= 0.01
    for wrong in ("", "1,x", "2,1", "0", "-1", "nan"):
        code, out, err = lab("retention", "--times", wrong, "--out", "t.csv")
        assert (code, out) == (2, "")
        assert "--times takes rising numbers of seconds joined by commas, as in 1,10,100, not" in err


def test_a_stop_writes_what_there_is_and_leaves_the_drivers_off(lab, tmp_path, monkeypatch):
    def stopped(cells, pulses, cycles, report):
        for n, point in enumerate(response_curves(cells, pulses, cycles, report)):
            yield point
            if n == 5:
                stop.asked = True

    class Asked(Stop):
        def __init__(self):
            nonlocal stop
            super().__init__()
            stop = self

    stop = Stop()
    monkeypatch.setattr(lab_cells, "response_curves", stopped)
    monkeypatch.setattr("backpulse.host.stop.Stop", Asked)
    code, _, err = lab("pulse", "--cells", "r1c1", "--pulses", "40", "--out", "p.csv", "--json", "p.json")
    assert code == 130
    assert re.search(r"Error: Stopped: all drivers are off; the \d points measured are in p\.csv", err)
    comments, rows = table(tmp_path / "p.csv")
    assert "# stopped: by the user, before the end" in comments
    assert 6 <= len(rows) < 10
    assert not json.loads((tmp_path / "p.json").read_text())["complete"]


def test_a_map_is_programmed(lab, tmp_path):
    wanted = np.full((12, 8), np.nan)
    wanted[2:6, 1:7] = np.linspace(35e-6, 75e-6, 24).reshape(4, 6)
    (tmp_path / "t.csv").write_text("\n".join(",".join("" if np.isnan(v) else f"{v:.9g}" for v in row) for row in wanted))
    code, out, _ = lab("program", "t.csv", "--device", "ecram", "--json", "t.json", "--plot", "t.png")
    assert code == 0
    told = json.loads((tmp_path / "t.json").read_text())
    assert told["residuals"][0] > 20 > 1 > told["residuals"][-1] == told["residual_rms"]
    assert len(told["residuals"]) == told["rounds"] + 1
    found = np.array(told["conductance_s"], float)
    assert np.abs(found - np.pad(wanted, ((0, 12), (0, 0)), constant_values=np.nan))[2:6, 1:7].max() < 1.1 * CELLS.per_unit / 127
    assert np.isnan(found[6:]).all()
    assert "24 cells programmed to the map t.csv" in out
    # What `array map` writes, it reads; siemens as an array, too.
    lab("map", "--out", "map.csv")
    assert "0 rounds, 0 pulses; 0." in lab("program", "map.csv")[1]
    np.savez(tmp_path / "t.npz", siemens=wanted)
    assert lab("program", "t.npz", "--device", "ecram")[0] == 0
    # A cell that cannot come there is named.
    (tmp_path / "real.toml").write_text(REAL + "[[stuck]]\nrow = 3\ncol = 3\nvalue = -0.9\n")
    code, _, err = lab("program", "t.csv", "--device", "ecram")
    assert code == 1
    assert "1 cell did not follow: r3c3: see whether they are stuck: `backpulse array self-check`" in err


def target(path):
    return read_target(path, real_config(CONFIG), Array(), NONE)


def network_of(path):
    """Return a target, and its program."""
    found = target(path)
    assert found.program
    return found, found.program


def test_trained_networks_are_targets(tmp_path):
    data = np.random.RandomState(1)
    x, y = data.uniform(-1, 1, (90, 4)), np.arange(90) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        mlp = MLPClassifier((6,), max_iter=20, random_state=1).fit(x, y)
    joblib.dump(mlp, tmp_path / "mlp.joblib")
    np.savez(tmp_path / "net.npz", W1=mlp.coefs_[0], b1=mlp.intercepts_[0], W2=mlp.coefs_[1], b2=mlp.intercepts_[1])
    found, program = network_of(tmp_path / "mlp.joblib")
    assert np.array_equal(found.units, target(tmp_path / "net.npz").units, equal_nan=True)
    assert (~np.isnan(found.units)).sum() == program.network.weights == 5 * 6 + 7 * 3
    scale = program.network.weight_scale
    first, second = taken_from(program, found.units)
    assert scale * first[:, :-1] == pytest.approx(mlp.coefs_[0].T)
    assert scale * second[:, -1] * 127 / 128 == pytest.approx(mlp.intercepts_[1])
    assert np.nanmax(np.abs(found.units)) <= 1

    settings = Settings(dataset="iris", layers="4-6-3", lr=1.0)
    with urls.open_board("golden://", config=CONFIG) as board:  # other tiles than the board that is programmed
        trainer = Trainer(board, settings, 1)
        trainer.run(tmp_path / "run.npz")
        weights = taken_from(trainer.program, trainer.cells / (1 << CONFIG.cell_frac))
    again, program = network_of(tmp_path / "run.npz")
    assert again.what.startswith("the network 4-6-3 of")
    for one, other in zip(taken_from(program, again.units), weights, strict=True):
        assert np.array_equal(one, other)


def test_pulses_of_checks_are_in_the_ledger_and_kept_within_the_budget(lab, tmp_path):
    file, ideal = tmp_path / "real.toml", REAL.replace("ecram", "ideal")
    file.write_text(ideal + BUDGET.replace("200", "100000"))
    assert lab("self-check")[0] == 0
    with np.load(tmp_path / "ledger.npz") as ledger:
        first = ledger["done"]
        assert first.min() > 0
        assert np.array_equal(ledger["up"], ledger["down"])
    assert lab("check", "--only", "10,22")[0] == 0
    with np.load(tmp_path / "ledger.npz") as ledger:
        assert (ledger["done"] > first).all()
        assert np.array_equal(ledger["up"], ledger["down"])
        given = int(ledger["done"].max())
    file.write_text(ideal + BUDGET.replace("200", str(given + 1)))
    code, _, err = lab("check", "--only", "10", "--json", "check.json")
    assert code == 0
    (found,) = json.loads((tmp_path / "check.json").read_text())["checks"]
    assert found["status"] == "not tested"
    assert re.search(r"Cell r\d+c\d+ has had .* are beyond the .* that the array file allows a cell", found["why"])
    assert "80 % or more of their budget" in err


def test_a_programmed_network_is_scored_where_it_stands(backpulse, tmp_path, monkeypatch):
    """A checkpoint of emulated devices, on a board with real ones whose cells `array program` has brought to its weights."""
    run = ("--dataset", "iris", "--layers", "4-6-3", "--lr", 1, "--epochs", 8, "--checkpoint", "run.npz")
    assert backpulse("train", "--board", "golden://", "--tile", "12x12", "--tiles", 2, *run)[0] == 0
    (tmp_path / "real.toml").write_text(REAL.replace("ecram", "ideal") + "[dead]\nrows = [1]\n")
    made = []

    def once(*arguments, **more):  # one array, whoever opens it
        made[:] = made or [array_machine(*arguments, **more)]
        return made[0]

    monkeypatch.setattr("backpulse.host.urls.array_machine", once)
    infer = ("infer", "--checkpoint", "run.npz", "--json", "-")
    right = json.loads(backpulse(*infer)[1])["accuracy"]
    assert right > 0.8
    before = json.loads(backpulse(*infer, *BOARD[:2])[1])["accuracy"]
    code, _, err = backpulse("array", "program", "run.npz", *BOARD[:2])
    assert code == 0, err
    code, out, err = backpulse(*infer, *BOARD[:2])
    assert code == 0, err
    assert "`array program` brings real devices to a checkpoint's weights: the array classifies as it stands" in " ".join(err.split())
    assert before < 0.6
    assert json.loads(out)["accuracy"] >= right - 0.1


def test_taken_from_is_the_inverse_of_placed():
    program = Settings(layers="20-7-3").compile(CONFIG)
    cells = initial_cells(program, PRESETS["ideal"], 1)
    assert np.array_equal(placed(program, taken_from(program, cells), np.zeros_like(cells)), cells)


def test_what_is_no_target_is_refused_in_a_sentence(tmp_path):
    def refused(name, content, sentence):
        path = tmp_path / name
        if isinstance(content, dict):
            np.savez(path, **content)
        elif content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=sentence):
            target(path)

    refused("none.csv", None, r"none.csv cannot be read: .*: give a map of siemens")
    refused("t.csv", b"1e-5,x\n", r"t.csv is no map: give a line a row of cells")
    refused("t.csv", b"", r"t.csv is a map of 0 cells, and this board has 24 x 8")
    refused("t.csv", b"row,column,S\n-1,0,1e-5\n", r"t.csv is no map")
    refused("t.csv", b"1e-5,2e-5\n1e-5\n", r"t.csv is no map")
    refused("t.csv", b"5e-5,2e-4\n", r"asks row 0 column 1 for 0.0002 S, and cells are from 1e-05 to 0.0001 S: change it")
    refused("t.csv", ("5e-5," * 8 + "5e-5\n").encode(), r"is a map of 1 x 9 cells, and this board has 24 x 8")
    refused("t.npz", b"PK", r"t.npz is none of what an array is programmed to")
    refused("t.npz", {"x": np.zeros(3)}, r"t.npz holds x: give a map of siemens")
    refused("t.npz", {"x": np.array(["a"])}, r"t.npz holds what is no array of numbers")
    refused("t.npz", {"W1": np.zeros((3, 4)), "b1": np.zeros(3)}, r"layer 1 has weights of shape \(3, 4\) and biases of shape \(3,\)")
    refused("t.npz", {"W1": np.zeros((3, 4)), "b1": np.full(4, np.nan)}, r"layer 1 has weights that are no finite numbers")
    refused("t.npz", {"W1": np.zeros((300, 4)), "b1": np.zeros(4)}, r"t.npz: ")
    refused("t.npz", {"W1": np.full((3, 4), 1e3), "b1": np.zeros(4)}, r"t.npz: weight_scale must be one of")
    refused("t.pkl", b"nothing", r"t.pkl cannot be loaded")
    joblib.dump({}, tmp_path / "d.joblib")
    with pytest.raises(InputError, match=r"d\.joblib holds a dict, and no MLPClassifier or MLPRegressor that was fitted"):
        target(tmp_path / "d.joblib")


def test_profiles_must_be_known_here_too(lab):
    for arguments in (
        ("map", "--read-profile", "4"),
        ("pulse", "--pulse-profile", "9", "--out", "p.csv"),
        ("program", "real.toml", "--read-profile", "4"),
    ):
        code, out, err = lab(*arguments)
        assert (code, out) == (2, "")
        assert "This board's array knows profiles 0 to 3, and" in err


def test_an_emulated_array_works_too_and_program_verify_leaves_cells_of_no_target_alone():
    with urls.open_board("golden://", config=CONFIG) as board:
        board.write(tile_image(PRESETS["ideal"].tile_words(CONFIG)))
        wanted = np.full((24, 8), np.nan)
        wanted[20, :4] = 0.25
        _, verified = Areas(board).verify(wanted, PRESETS["ideal"].dw_min)
        cells = board.read_cells() / (1 << CONFIG.cell_frac)
        assert np.abs(cells[20, :4] - 0.25).max() < 0.6 / 127
        assert verified.cells == 4
        assert not np.delete(cells, 20, axis=0).any()
