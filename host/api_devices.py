"""Of the public interface: devices fitted to measurements, and those that have a name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backpulse.firmware_py.device import PRESETS, Device
from backpulse.host import device_file
from backpulse.host.device_aihwkit import AIHWKIT, figures, of_aihwkit
from backpulse.host.device_file import DeviceFile
from backpulse.host.device_simulation import simulate_device
from backpulse.host.devices import SOURCES, file_of, shipped
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings

__all__ = ["DeviceFile", "Settings", "devices", "fit_device", "read_device", "simulate_device"]


def fit_device(
    files: str | Path | Sequence[str | Path],
    name: str | None = None,
    *,
    units: str | None = None,
    read_voltage: float | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    layout: str | None = None,
    about: str = "",
    licence: str = "",
    watch: Callable[[str], object] | None = None,
) -> DeviceFile:
    """Fit a twin to measured conductances: what `backpulse device fit` does.

    Parameters
    ----------
    files : path or sequence of path
        Measured ramps of one kind of device.
    name : str, optional
        Of the device; that of the first file if not given.
    units, read_voltage, separator, decimal, layout
        How the files are read, as the options of the command.
    about, licence : str
        Who measured what, and the data's licence.
    watch : callable, optional
        Called with what was found in the files, in sentences.

    Returns
    -------
    DeviceFile
        What the fit says (`residuals`, `measured`, `scale`, `warnings`); `save(file)`, `plot(file)`. It is a `device` of `Settings`.

    Raises
    ------
    InputError
        If the files cannot be read, or in two ways.

    Examples
    --------
    >>> simulate_device("ecram", pulses=40).save("measured.csv")
    >>> fitted = fit_device("measured.csv", "mine", units="norm")
    >>> fitted.name, Settings(device=fitted).device_model.name
    ('mine', 'mine')
    """
    from backpulse.host.device_fit import fit_device as fit  # SciPy takes its time
    from backpulse.host.device_layouts import read_measured
    from backpulse.host.device_traces import in_siemens

    paths = [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]
    if not paths:
        raise InputError("No file with measured ramps is named: give at least one")
    read = read_measured(paths, layout=layout, separator=separator, decimal=decimal)
    measured, siemens = in_siemens(read, units, read_voltage)
    called = name or paths[0].stem
    fitted = device_file.of_fit(fit(measured, called), called, paths, siemens, about, licence, read_voltage)
    if watch:
        for remark in dict.fromkeys(measured.remarks):
            watch(remark)
    return fitted


def read_device(name: str | Path) -> DeviceFile:
    """Read a device file, or one that comes along by its name: what `backpulse device show` tells of it.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> sorted(shipped())[0] in [row["name"] for row in devices()]
    True
    >>> read_device(sorted(shipped())[0]).residuals["table"] is not None
    True
    """
    return device_file.read_device(file_of(str(name)) or Path(name))


def devices() -> list[dict[str, Any]]:
    """Return the devices that have a name: presets, fitted ones that come along, and aihwkit's: what `backpulse device list` shows.

    Returns
    -------
    list of dict
        `name`, `kind`, `dw_min`, `states`, `residual`, `source`, `licence`; `refused` says why tiles cannot carry it.

    Examples
    --------
    >>> devices()[0]["name"]
    'ideal'
    """
    rows: list[dict[str, Any]] = []
    for called, model in PRESETS.items():
        rows.append(_row(called, SOURCES[called], "linear step", model.dw_min, model.states, "figures", "BSD-2-Clause"))
    for called, file in shipped().items():
        fitted = read_device(file)
        up, down = fitted.residuals["table"]
        table = fitted.table_device
        rows.append(_row(called, fitted.source.about, "table", table.dw_min, table.states, f"{up:.2f} / {down:.2f}", fitted.source.licence))
    for called, values in figures().items():
        states = (values["w_max"] - values["w_min"]) / values["dw_min"]
        source = f"aihwkit's figures: {values['from']}"
        try:
            found, left_out = of_aihwkit(called)
            kind, refused = "linear step" if isinstance(found, Device) else "table", ""
        except InputError as error:
            kind, left_out, refused = "", [], str(error).removeprefix(f"{AIHWKIT}{called} cannot be carried: ").rpartition(":")[0]
        source += "".join(f"; without {what}" for what in left_out)
        rows.append({**_row(AIHWKIT + called, source, kind, values["dw_min"], states, "figures", ""), "refused": refused})
    return rows


def _row(name: str, source: str, kind: str, dw_min: float, states: float, residual: str, licence: str) -> dict[str, Any]:
    """Return a row of the list; the residual is what a table leaves of the ramps that it was fitted to, up / down, % of the range."""
    return {
        "name": name,
        "kind": kind,
        "dw_min": float(f"{dw_min:.3g}"),
        "states": round(states),
        "residual": residual,
        "source": source,
        "licence": licence,
        "refused": "",
    }
