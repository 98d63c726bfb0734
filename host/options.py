"""The options that several commands share."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.firmware_py.compiler import SCHEDULES
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.network import HIDDEN, LOSSES, OUTPUTS
from backpulse.host.checkpoint import MOST_EPOCHS
from backpulse.host.datasets import NAMES
from backpulse.host.datasets import Dataset as Data
from backpulse.host.errors import InputError
from backpulse.host.features import MISSING_CHOICES
from backpulse.host.settings import HIDDEN_UNITS, ROUNDINGS, SOFTWARE, Settings


def _option(*names: str, text: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _epochs(epochs: int) -> int:
    if epochs > MOST_EPOCHS:
        raise InputError(f"A run has at most {MOST_EPOCHS:,} epochs, not {epochs:,}: give fewer with --epochs")
    return epochs


MOST_SEEDS = 10_000
"""Each is a run of its own, whose result is kept until the end."""
ALL_SCHEDULES = ",".join((*SCHEDULES, SOFTWARE))
NETWORK, ALGORITHM, BOARD, FILES = "Network", "Algorithm and device", "Board", "Files"

Dataset = Annotated[
    str, _option("--dataset", text=f"{', '.join(NAMES)}, or a table (.csv, .tsv, ...), .npz, IDX file or folder of IDX files.", panel=FILES)
]
Target = Annotated[
    str | None,
    _option("--target", text="Label column of a table, by name or number from 1 (if not given: it is guessed and said).", panel=FILES),
]
Features = Annotated[
    str | None, _option("--features", text="Columns to use, by name or number, joined by commas (if not given: all).", panel=FILES)
]
Drop = Annotated[str | None, _option("--drop", text="Columns to leave out, by name or number, joined by commas.", panel=FILES)]
Missing = Annotated[
    str | None,
    _option(
        "--missing",
        text="Cells without a value: drop their rows, or fill with mean or median of the training part.",
        metavar="|".join(MISSING_CHOICES),
        panel=FILES,
    ),
]
DataLayers = Annotated[
    str | None,
    _option(
        "--layers",
        text=f"Sizes: inputs, hidden, outputs (if not given: those of the data, {HIDDEN_UNITS} hidden).",
        metavar="SIZES",
        panel=NETWORK,
    ),
]
Layers = Annotated[str, _option("--layers", text="Sizes: inputs, hidden, outputs.", metavar="SIZES", panel=NETWORK)]
Activation = Annotated[str, _option("--activation", text=f"Of the hidden layers: {', '.join(HIDDEN)}.", metavar="NAME", panel=NETWORK)]
Output = Annotated[str, _option("--output", text=f"Function of the last layer: {', '.join(OUTPUTS)}.", metavar="NAME", panel=NETWORK)]
Loss = Annotated[str, _option("--loss", text=f"{', '.join(LOSSES)}.", metavar="NAME", panel=NETWORK)]
Bias = Annotated[
    bool, _option("--bias/--no-bias", text="One more input line at the constant unit in each layer.", metavar="", panel=NETWORK)
]
WeightScale = Annotated[
    int, _option("--weight-scale", text="Logical weight of one device unit: 1, 2, 4, ... 64.", panel=NETWORK, metavar="POWER-OF-2")
]
Schedule = Annotated[str, _option("--schedule", text=f"{', '.join((*SCHEDULES, SOFTWARE))}.", metavar="NAME", panel=ALGORITHM)]
Rounding = Annotated[str, _option("--rounding", text=f"Of pulse counts: {', '.join(ROUNDINGS)}.", metavar="NAME", panel=ALGORITHM)]
AutoRange = Annotated[
    bool,
    _option("--auto-range/--no-auto-range", text="Drive error vectors shifted so that they fill the drive.", metavar="", panel=ALGORITHM),
]
DeviceName = Annotated[str, _option("--device", text=f"Of the emulated tiles: {', '.join(PRESETS)}.", metavar="NAME", panel=ALGORITHM)]
Rate = Annotated[float, _option("--lr", text="Learning rate.", metavar="RATE", panel=ALGORITHM)]
Epochs = Annotated[int, _option("--epochs", text="Passes over the training part.", min=1, callback=_epochs, metavar="N", panel=ALGORITHM)]
Seed = Annotated[int, _option("--seed", text="Of initial weights, sample order and random streams.", metavar="N", panel=ALGORITHM)]
Schedules = Annotated[str, _option("--schedules", text="Joined by commas.", metavar="NAMES", show_default="all", panel=ALGORITHM)]
Rates = Annotated[str, _option("--lr", text="Learning rates joined by commas.", metavar="RATES", panel=ALGORITHM)]
Seeds = Annotated[int, _option("--seeds", text="Runs of each, with seeds 1 to N.", min=1, max=MOST_SEEDS, metavar="N", panel=ALGORITHM)]
BoardUrl = Annotated[
    str, _option("--board", text="golden:// (model), sim:// (RTL), a serial port, or socket://host:port.", panel=BOARD, metavar="URL")
]
Baud = Annotated[int, _option("--baud", text="Of a serial port.", min=1, metavar="N", panel=BOARD)]
Tile = Annotated[str, _option("--tile", text="Rows x columns of one tile (golden://, sim://).", panel=BOARD, metavar="RxC")]
Tiles = Annotated[
    int | None,
    _option("--tiles", text="Tiles of the board (golden://, sim://); as many as needed if not given.", min=1, metavar="N", panel=BOARD),
]
Json = Annotated[
    str | None, _option("--json", text="Write the result as JSON to this file, or - for standard output.", metavar="FILE|-", panel=FILES)
]
Plot = Annotated[Path | None, _option("--plot", text="Draw a picture (.png, .svg, .pdf).", metavar="FILE", panel=FILES)]


def settings_of(values: dict[str, Any]) -> Settings:
    """Pick the settings of a run from a command's arguments; what is None has its default."""
    return Settings(**{name: values[name] for name in Settings.__dataclass_fields__ if values.get(name) is not None})


def settings_and_data(values: dict[str, Any]) -> tuple[Settings, Data]:
    """Pick the settings and load the data; without `layers` the network is the one that fits the data, which is said."""
    settings = settings_of(values)
    data = settings.load()
    if values["layers"] is not None:
        return settings, data
    settings = settings.fitting(data)
    said = f"{data.name}: the network is {settings.layers}, inputs, {HIDDEN_UNITS} hidden units and classes; --layers gives another"
    return settings, replace(data, warnings=(*data.warnings, said))
