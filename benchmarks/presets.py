"""Make the device files that come with Backpulse, from the measured data of the tests and from formulas, and print what the fits leave.

`python -m benchmarks.presets`; it also draws measured ramps beside those of 100 simulated cells, docs/images/device-ramps.png.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from backpulse.host.device_file import DeviceFile, of_fit, write_device
from backpulse.host.device_fit import fit_device
from backpulse.host.device_layouts import read_measured
from backpulse.host.device_plots import unit_of
from backpulse.host.device_ramps import simulated
from backpulse.host.device_traces import Measured, Ramp, in_siemens
from backpulse.host.plots import ACCENT, REFERENCE, SOFT, STYLE, save
from benchmarks.table import table

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data" / "devices"
CELLS = 100
"""Simulated cells of the picture."""
SHIPPED = ROOT / "host" / "device_files"


@dataclass(frozen=True)
class Preset:
    """A device file to make: of measured files, or of soft bounds by their formula where there are none."""

    about: str
    licence: str
    files: tuple[str, ...] = ()
    units: str | None = None
    read_voltage: float | None = None
    dw_min: float = 0.0


PRESETS = {
    "enode": Preset(
        "ENODe, an organic ECRAM: sandialabs/cross-sim-data, lookup_tables/ENODe",
        "BSD-3-Clause",
        ("crosssim_ENODe_dG_increasing.txt", "crosssim_ENODe_dG_decreasing.txt"),
        "S",
    ),
    "enode-multi": Preset(
        "18 ENODe devices: sandialabs/cross-sim-data, lookup_tables/ENODe_multi_centered and _uncentered; no unit stated",
        "BSD-3-Clause",
        ("derived_crosssim_ENODe_multi_51pt.csv",),
        "norm",
    ),
    "gong": Preset(
        "ReRAM of Gong et al., Nature Communications 9:2102, 2018: IBM/aihwkit, examples/csv/gong_et_al.csv",
        "MIT",
        ("aihwkit_gong_et_al.csv",),
        "norm",
    ),
    "sandia": Preset(
        "A device of Sandia, not named: sandialabs/cross-sim v2.0, examples/lookup_table_generation",
        "BSD-3-Clause",
        ("crosssim_set.csv", "crosssim_reset.csv"),
        "A",
        0.1,
    ),
    "soft-bounds": Preset("No device: soft bounds by their formula, dw_min 0.0075 of a range of 2", "BSD-2-Clause", dw_min=0.0075),
    "taox": Preset(
        "41 TaOx devices: sandialabs/cross-sim-data, lookup_tables/TaOx_all; steps up at low conductance are extrapolated there",
        "BSD-3-Clause",
        ("derived_crosssim_TaOx_all_51pt.csv",),
        "S",
    ),
}
"""Presets by name."""


def made(name: str) -> DeviceFile:
    """Return the device file of a preset, fitted anew."""
    preset = PRESETS[name]
    paths = [DATA / file for file in preset.files]
    raw = read_measured(paths) if paths else _soft_bounds(preset.dw_min)
    measured, siemens = in_siemens(raw, preset.units or "norm", preset.read_voltage)
    return of_fit(fit_device(measured, name), name, paths, siemens, preset.about, preset.licence, preset.read_voltage)


def _soft_bounds(dw_min: float) -> Measured:
    """Return a ramp each way of w += dw_min (1 - w) and w -= dw_min (1 + w), each from nearly one bound to nearly the other."""
    n = np.arange(round(5 / dw_min) + 1.0)
    way = 2 * (1 - (1 - dw_min) ** n)
    ramps = [Ramp(device="", up=up, n=n, g=way - 1 if up else 1 - way, where="formula") for up in (True, False)]
    return Measured(ramps=ramps, unit="norm")


def draw(path: Path) -> None:
    """Draw the measured ramps of three devices and the simulated ones, mean and standard deviation."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(15, 4.6), layout="constrained")
        for axes, name in zip(figure.subplots(1, 3), ("sandia", "enode", "gong"), strict=True):
            device, preset = made(name), PRESETS[name]
            unit, factor = unit_of(device)
            measured, _ = in_siemens(read_measured([DATA / file for file in preset.files]), preset.units, preset.read_voltage)
            begin = 0
            for up, color in ((True, ACCENT), (False, REFERENCE)):
                points = np.array(device.curves.up if up else device.curves.down)
                pulses = int(points[-1, 0])
                for ramp in (ramp for ramp in measured.ramps if ramp.up is up):
                    axes.plot(begin + ramp.n - ramp.n[0], factor * ramp.g, color=SOFT, linewidth=0.5, alpha=0.35)
                axes.plot(begin + points[:, 0], factor * points[:, 1], color=SOFT, label="measured" if up else None)
                start = device.curves.start_up if up else device.curves.start_down
                read = factor * simulated(device, np.full(pulses, 1 if up else -1), start, CELLS, 1)
                n, mean, sigma = begin + np.arange(pulses + 1), read.mean(axis=1), read.std(axis=1)
                axes.plot(n, mean, color=color, label=f"{CELLS} simulated, {'up' if up else 'down'}")
                axes.fill_between(n, mean - sigma, mean + sigma, color=color, alpha=0.2, linewidth=0)
                begin += pulses
            axes.set_title(name)
            axes.set_xlabel("pulse, up and then down")
            axes.set_ylabel(f"conductance, {unit}")
            axes.legend()
        save(figure, path, 110)


def main() -> None:
    """Write all of them, print a table, and draw the picture."""
    rows = []
    for name in PRESETS:
        device = made(name)
        write_device(SHIPPED / f"{name}.toml", device)
        up, down = device.residuals["table"]
        rows.append([name, f"{up:.2f} / {down:.2f}", "no" if device.linear is None else "yes", device.source.licence])
    print(table(["preset", "table leaves, % of range", "linear fit", "licence"], rows))
    draw(ROOT / "docs" / "images" / "device-ramps.png")


if __name__ == "__main__":
    main()
