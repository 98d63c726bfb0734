"""Networks with more classes than a byte can name: training, test, inference and JSON name each of them, on golden and over both links."""

import json
from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import Counter
from backpulse.gateware.boards.boards import BOARDS
from backpulse.host.scaling import records, targets
from backpulse.host.urls import open_board

from .machines import noisy_cells
from .test_cli_boards import served
from .test_same_bits import CONFIGS

BITS = 10
LARGE = replace(CONFIGS["ideal"], tiles=24, vector_words=1024, acc_bits=26)
SMALLEST = replace(
    BOARDS["icebreaker"].config, tiles=7, vector_words=1024, page_bytes=512, regions=256, store_words=1024, order_depth=64, result_depth=64
)
"""A machine with the small link that has room for 280 classes."""


def codes(numbers):
    """Return the bits of class numbers as -1 and 1: float64 (numbers, BITS)."""
    return ((np.asarray(numbers)[:, None] >> np.arange(BITS)) & 1) * 2.0 - 1


@pytest.fixture
def coded(monkeypatch):
    """Let networks begin with weights that tell the classes apart by the bits of their numbers."""

    def weights(self, seed):
        return [np.hstack([0.3 * codes(range(self.layers[-1])), np.zeros((self.layers[-1], 1))])]

    monkeypatch.setattr(Network, "initial_weights", weights)


@pytest.mark.parametrize("count", [257, 500, 1000])
@pytest.mark.parametrize("name", [str, "kind {:03}".format], ids=["numbers", "text"])
def test_commands_name_every_class(backpulse, tmp_path, coded, count, name):
    order = np.random.RandomState(count).permutation(3 * count) % count
    rows = [",".join(f"{v:g}" for v in bits) + f",{name(k)}" for k, bits in zip(order, codes(order), strict=True)]
    (tmp_path / "many.csv").write_text("\n".join([",".join(f"b{i}" for i in range(BITS)) + ",kind", *rows]))
    net = f"{BITS}-{count}"
    train = [
        "train",
        "--dataset",
        "many.csv",
        "--layers",
        net,
        "--lr",
        0.01,
        "--rounding",
        "nearest",
        "--epochs",
        1,
        "--checkpoint",
        "c.npz",
        "--json",
        "t.json",
    ]
    code, _, errors = backpulse(*train)
    assert code == 0, errors
    trained = json.loads((tmp_path / "t.json").read_text())
    assert trained["test_accuracy"] == trained["train_accuracy"] == [1.0]
    assert len(trained["predictions"]) == count
    assert {trained["labels"][k] for k in trained["predictions"]} == {name(k) for k in range(count)}
    code, _, errors = backpulse("infer", "--checkpoint", "c.npz", "--json", "i.json")
    assert code == 0, errors
    inferred = json.loads((tmp_path / "i.json").read_text())
    assert inferred["predictions"] == trained["predictions"]
    assert inferred["accuracy"] == 1.0
    assert inferred["predicted_labels"] == [name(order[k]) for k in inferred["samples"]]


def named(board):
    """Return what a board that begins with the coded weights names samples of some classes, and where their outputs are largest."""
    network, device = Network(layers=(BITS, 280)), PRESETS["ideal"]
    program = compile_network(network, board.config, stochastic=False)
    scales = [Scale.from_float(lr).to_word() for lr in (0.01 / device.dw_min, 0.01)]
    board.load(program, scales=scales, tile_words=device.tile_words(board.config))
    board.write_cells(noisy_cells(program, device, 1))
    classes = np.array([0, 1, 255, 256, 257, 279])
    x = (127 * codes(classes)).astype(np.int8)
    board.upload(records(x, targets(classes, 280, 127, off=0)))
    everything = np.arange(len(classes))
    board.train(program, everything)
    hits = board.totals[Counter.HITS]
    predictions = board.evaluate(program, everything, 1)
    assert predictions.tolist() == classes.tolist()
    assert hits == len(classes)
    assert board.evaluate_outputs(program, everything, 1).argmax(axis=1).tolist() == classes.tolist()
    return board.read_cells()


@pytest.mark.parametrize("config", [LARGE, SMALLEST], ids=["large link", "small link"])
def test_both_links_name_every_class(coded, config):
    with open_board("golden://", config=config) as golden, open_board("sim://", config=config) as sim:
        assert np.array_equal(named(golden), named(sim))


def test_a_board_without_room_for_the_classes_says_so_before_the_run(backpulse, tmp_path):
    rows = "".join(f"{','.join(f'{v:g}' for v in bits)},{k % 300}\n" for k, bits in enumerate(np.tile(codes(range(300)), (3, 1))))
    (tmp_path / "many.csv").write_text(f"{','.join(f'b{i}' for i in range(BITS))},kind\n{rows}")
    limit = "Network 10-300 needs 900 words of vector memory and this board has 256, 644 too few"
    with served(BOARDS["icebreaker"].config) as url:
        code, _, errors = backpulse("train", "--board", url, "--dataset", "many.csv", "--layers", f"{BITS}-300")
    assert (code, limit in errors) == (2, True)
    code, _, errors = backpulse("fit", "--layers", f"{BITS}-300", "--board", "icebreaker")
    assert (code, limit in errors) == (1, True)
