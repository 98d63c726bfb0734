"""Pictures show what there is to see: the part of the array that is used, and names where they have room."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, compile_network
from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.network import Network
from backpulse.host.plots import array_picture, conductances, curve


@pytest.mark.parametrize(
    ("layers", "part", "names"),
    [
        ("4-8-3", ("9 of 128 rows", "11 of 32 columns"), ["W1", "W2"]),  # 5 x 8 and 9 x 3
        ("100-30-1", ("128 rows", "32 columns"), ["W1"]),
        ("64-32-10", ("128 rows", "32 columns"), ["W1", "W2"]),
    ],
)
def test_the_array_is_shown_where_it_is_used(layers, part, names):
    program = compile_network(Network.parse(layers), IDEAL, DEFAULT_SCHEDULE)
    cells = np.zeros((program.config.rows, program.config.tile_cols))
    axes = Figure().add_subplot()
    array_picture(axes, "The array", cells, program, 1.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == part
    assert sorted(text.get_text() for text in axes.texts) == names
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for outline in axes.patches:
        assert isinstance(outline, Rectangle)
        assert left <= outline.get_x() < outline.get_x() + outline.get_width() <= right
        assert top <= outline.get_y() < outline.get_y() + outline.get_height() <= bottom


@pytest.mark.parametrize(("layers", "bars"), [("4-8-3", 17), ("64-32-10", 61)])
def test_few_cells_have_few_bars(layers, bars):
    program = compile_network(Network.parse(layers), IDEAL, DEFAULT_SCHEDULE)
    cells = np.zeros((program.config.rows, program.config.tile_cols))
    axes = Figure().add_subplot()
    conductances(axes, cells, cells, program, 1.0)
    assert len(axes.patches) - 1 == bars - 1  # the second histogram is one outline


@pytest.mark.parametrize(("accuracies", "above"), [([0.5, 0.9], True), ([0.9, 0.5], False), ([0.9], False)])
def test_a_curve_is_not_drawn_over_by_its_number(accuracies, above):
    axes = Figure().add_subplot()
    curve(axes, "Test accuracy, %", {"test_accuracy": accuracies, "validation_accuracy": []}, None, "test_accuracy", 100)
    (number,) = axes.texts
    assert (number.get_position()[1] > 0) is above
