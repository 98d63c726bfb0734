"""The commands on a stranger's tables: what is said reaches terminal and JSON, names travel with the checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SITES = ("bog", "fen", "wood")
FIELDS = ["--missing", "median", "--epochs", "20", "--tile", "16x8"]


def rows(count, *, label=True, reverse=False):
    """Return lines of a table of three sites, the label first."""
    random = np.random.RandomState(count)
    lines = [["site", "acid", "deep", "mossy"]]
    for k in range(count):
        site = k % 3
        acid = "" if k % 11 == 5 else f"{3 + 2 * site + random.rand():.2f}"
        lines.append([SITES[site], acid, ("low", "mid", "high")[site if k % 5 else 1], "yes" if site < 2 else "no"])
    lines = lines if label else [line[1:] for line in lines]
    return "\n".join(",".join(line[::-1] if reverse else line) for line in lines) + "\n"


@pytest.fixture
def trained(backpulse, tmp_path):
    """Train on a table; return the command and the result."""
    (tmp_path / "sites.csv").write_text(rows(90))
    code, out, err = backpulse("train", "--dataset", "sites.csv", "--target", "site", *FIELDS, "--checkpoint", "c.npz", "--json", "-")
    assert code == 0, err
    return backpulse, json.loads(out), err


def test_what_is_said_reaches_terminal_and_json(trained):
    _, result, err = trained
    assert result["settings"]["layers"] == "5-32-3"
    assert result["test_accuracy"][-1] > 0.85
    assert any("text becomes one input a word: deep (3 words)" in warning for warning in result["warnings"])
    assert any("the network is 5-32-3, inputs, 32 hidden units and classes" in warning for warning in result["warnings"])
    assert any("filled by median of the training part" in warning for warning in result["warnings"])
    for warning in result["warnings"]:
        assert err.count(f"Note: {warning}") == 1
    assert err.index("Note: ") < err.index("epoch 1/20")


def test_infer_without_labels_and_in_another_order(trained, tmp_path):
    command, result, _ = trained
    (tmp_path / "new.csv").write_text(rows(30, label=False, reverse=True))
    code, out, _ = command("infer", "--checkpoint", "c.npz", "--dataset", "new.csv", "--json", "-")
    answer = json.loads(out)
    assert code == 0
    assert (answer["accuracy"], answer["labelled"], answer["labels"]) == (None, 0, list(SITES))
    assert [answer["labels"][k] for k in answer["predictions"]] == answer["predicted_labels"]
    assert np.mean([word == SITES[k % 3] for k, word in enumerate(answer["predicted_labels"])]) > 0.85
    code, out, err = command("infer", "--checkpoint", "c.npz", "--dataset", "new.csv")
    assert out.split() == answer["predicted_labels"]
    assert "without labels there is no accuracy" in err
    (tmp_path / "unit.csv").write_text("acid,deep,mossy\n3100,low,yes\n7500,high,no\n")
    _, out, err = command("infer", "--checkpoint", "c.npz", "--dataset", "unit.csv", "--json", "-")
    assert "column acid is beyond the range of the training" in err
    assert "in 2 of 2 rows, and clipped: is it in another unit?" in json.loads(out)["warnings"][0]
    (tmp_path / "half.csv").write_text("mossy,deep,acid,site\nyes,low,3.1,bog\nno,high,7.5,\n")
    _, out, _ = command("infer", "--checkpoint", "c.npz", "--dataset", "half.csv", "--json", "-")
    assert json.loads(out)["labelled"] == 1
    assert json.loads(out)["accuracy"] in (0, 1)
    code, out, _ = command("infer", "--checkpoint", "c.npz", "--json", "-")
    assert json.loads(out)["accuracy"] == result["test_accuracy"][-1]


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        ("acid,deep\n3.1,low\n", [], "new.csv has no column mossy, which the network was trained on: it has acid, deep"),
        ("acid,deep,mossy\n3.1,lower,no\n", [], "row 1, column deep is 'lower', which is none of the words"),
        ("acid,deep,mossy,site\n3.1,low,no,marsh\n", [], "row 1 has label marsh, which the checkpoint's network does not know"),
        ("acid,deep,mossy\n3.1,low,no\n", ["--part", "train"], "--part train is a part of the run's own data"),
        ("acid,deep,mossy\n3.1,low,no\n", ["--target", "kind"], "has no column kind: --target must be one of acid, deep, mossy"),
    ],
)
def test_infer_refuses_in_a_sentence(trained, tmp_path, content, more, sentence):
    (tmp_path / "new.csv").write_text(content)
    code, out, err = trained[0]("infer", "--checkpoint", "c.npz", "--dataset", "new.csv", *more)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.strip().splitlines()[-1].startswith("Error: ")


def test_resume_reads_the_same_data(trained, tmp_path):
    command = trained[0]
    code, _, err = command("train", "--resume", "c.npz", "--epochs", 21)
    assert code == 0, err
    (tmp_path / "sites.csv").write_text((tmp_path / "sites.csv").read_text().replace("acid", "sour"))
    code, _, err = command("train", "--resume", "c.npz", "--epochs", 22)
    assert (code, "is not the data of the checkpoint" in err) == (2, True)
    code, _, err = command("infer", "--checkpoint", "c.npz")
    assert (code, "is not the data of the checkpoint any more" in err) == (2, True)
    code, _, err = command("train", "--resume", "c.npz", "--epochs", 22, "--missing", "mean")
    assert (code, "--missing mean is not the checkpoint's median" in err) == (2, True)
    code, _, err = command("train", "--resume", "c.npz", "--epochs", 22, "--drop", "acid")
    assert (code, "--drop acid is new, and the checkpoint has none: leave it out" in err) == (2, True)
    (tmp_path / "other.csv").write_text(rows(90).replace("mossy", "mossy,wet").replace("yes", "yes,1").replace("no\n", "no,2\n"))
    code, _, err = command("train", "--resume", "c.npz", "--epochs", 22, "--dataset", "other.csv")
    assert (code, "other.csv is not the data of the checkpoint: give the same data" in err) == (2, True)


def test_the_command_starts_without_readers_of_tables():
    code = "import sys, backpulse.host.cli; sys.exit(bool({'sklearn', 'pandas'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_compare_and_software_say_it_too(trained):
    command, result, _ = trained
    table = ("--dataset", "sites.csv", "--target", "site", "--json", "-")
    code, out, _ = command("compare", *table, "--missing", "median", "--schedules", "software", "--seeds", 1)
    assert code == 0
    assert json.loads(out)["warnings"] == result["warnings"]
    code, out, _ = command("train", *table, "--schedule", "software", *FIELDS)
    assert code == 0
    assert json.loads(out)["warnings"] == result["warnings"]


def test_an_empty_name_of_data_is_refused(trained):
    command = trained[0]
    for options, sentence in [
        (["infer", "--checkpoint", "c.npz", "--dataset", ""], "The name of the data set is empty"),
        (["infer", "--checkpoint", "c.npz", "--target", "site"], "--target site names a column of other data: give --dataset"),
        (["train", "--dataset", ""], "The name of the data set is empty"),
        (["train", "--dataset", " ", "--layers", "4-3"], "The name of the data set is empty"),
    ]:
        code, out, err = command(*options)
        assert (code, out) == (2, "")
        assert sentence in err


def test_what_is_no_file_is_refused_unread(backpulse, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in ("pipe.csv", "/dev/zero"):
        code, _, err = backpulse("train", "--dataset", path)
        assert (code, f"{path} is neither a file nor a folder" in err) == (2, True)


def test_infer_does_not_guess_a_label(backpulse):
    help_of = {name: " ".join(backpulse(name, "--help")[1].split()) for name in ("infer", "train")}
    assert "guessed" in help_of["train"]
    assert "guessed" not in help_of["infer"]
