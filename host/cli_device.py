"""The commands `backpulse device`: measured data in, a twin out, and what it does."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from backpulse.firmware_py.device import PRESETS, Device
from backpulse.host import options as o
from backpulse.host.device_aihwkit import AIHWKIT, figures, of_aihwkit
from backpulse.host.devices import SOURCES, device_of, file_of, resolved, shipped
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.storage import written_whole
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.view import console, show_warnings, stdout

device = typer.Typer(no_args_is_help=True, help="Devices: fitted to measured data, shown, simulated.")
READING = "Reading"
"""Panel of the options that say what a file is."""
MOST_READINGS = 20_000_000
"""Readings of one simulation, which are kept: 160 MB."""

What = Annotated[str, typer.Argument(help=f"A device file, a preset, or {AIHWKIT}NAME.", metavar="FILE|NAME")]


@device.command()
def fit(
    files: Annotated[list[Path], typer.Argument(help="Measured ramps of one kind of device (docs/devices.md).", metavar="FILES")],
    out: Annotated[Path, typer.Option(help="Write the device file here.", metavar="FILE", rich_help_panel=o.FILES)],
    units: Annotated[
        str | None, typer.Option(help="Of the numbers: S, mS, uS, nS, A, mA, uA, nA, norm.", metavar="UNIT", rich_help_panel=READING)
    ] = None,
    read_voltage: Annotated[
        float | None, typer.Option(help="Of the reads, if the numbers are currents.", metavar="V", rich_help_panel=READING)
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Between columns: tab, ;, |, comma (,) or space.", metavar="MARK", rich_help_panel=READING)
    ] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark: . or ,", metavar="MARK", rich_help_panel=READING)] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="What the table is: ramps, mirrored, pulses, program, traces, lut.", metavar="NAME", rich_help_panel=READING),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the device; that of FILE if not given.", metavar="NAME")] = None,
    about: Annotated[str, typer.Option(help="Who measured what, for the file.", metavar="TEXT")] = "",
    licence: Annotated[str, typer.Option(help="Of the data, for the file.", metavar="TEXT")] = "",
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Fit a twin to measured conductances: find unit, zero and noise, compare models, and write a device file.

    What may be read in two ways is refused; the options of Reading decide.
    """
    check_outputs({"--out": out, "--json": json, "--plot": plot}, {f"FILES {path.name}": path for path in files})
    if out.suffix != ".toml":
        raise InputError(f"--out must name a .toml file, not {out}")
    from backpulse.host.device_file import of_fit, write_device  # pandas and SciPy take their time
    from backpulse.host.device_fit import fit_device
    from backpulse.host.device_layouts import read_measured
    from backpulse.host.device_traces import in_siemens

    with console.status("Reading") as status:
        measured, siemens = in_siemens(read_measured(files, layout=layout, separator=separator, decimal=decimal), units, read_voltage)
        status.update(f"Fitting {count(len(measured.parts), 'ramp' if measured.ramps else 'table of steps')}")
        called = name or out.stem
        fitted = of_fit(fit_device(measured, called), called, files, siemens, about, licence, read_voltage)
    for said in dict.fromkeys(measured.remarks):
        console.print(plain(said), style="dim", soft_wrap=True)
    results = Results()
    with results.each():
        write_device(out, fitted)
        console.print(f"Wrote {plain(str(out))}", soft_wrap=True)
    with results.each():
        write_json(json, _dict(fitted))
    if json != STDOUT:
        _tell(fitted)
    show_warnings(fitted.warnings)
    with results.each():
        if plot:
            from backpulse.host.device_plots import plot_device  # matplotlib takes its time

            plot_device(plot, fitted)
    results.finish()


def _dict(fitted: Any) -> dict[str, Any]:
    return {**fitted.model_dump(exclude={"curves"}), "digest": fitted.digest}


def _tell(fitted: Any) -> None:
    """Print what a device file says."""
    from backpulse.host.device_plots import unit_of

    unit, factor = unit_of(fitted)
    scale, found = fitted.scale, fitted.measured
    stdout.print(f"{plain(fitted.name)}: what a model leaves of G(n), % of the range", soft_wrap=True, style="bold")
    models = Table(box=None, padding=(0, 2))
    for heading in ("model", "up", "down"):
        models.add_column(heading, justify="left" if heading == "model" else "right")
    for model, (up, down) in fitted.residuals.items():
        models.add_row(model, f"{up:.2f}", f"{down:.2f}")
    stdout.print(models)
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = [
        ("range", f"{factor * scale.low:.4g} to {factor * scale.high:.4g} {unit}"),
        ("zero", f"{factor * scale.zero:.4g} {unit}: {scale.zero_is}; weight_scale {scale.weight_scale}"),
        ("symmetry point", found.symmetry_note),
        ("pulses, 10 to 90 %", f"{found.states_up:.0f} up, {found.states_down:.0f} down"),
        ("noise that stays", f"{100 * found.persistent_up:.2g} % of the range a pulse up, {100 * found.persistent_down:.2g} % down"),
        ("noise of a reading", f"{100 * found.apparent:.2g} % of the range"),
    ]
    if found.lasting:
        lasts = f", for some {found.lasts:.0f} pulses" if found.lasts else ""
        rows.append(("noise that lasts a while", f"{100 * found.lasting:.2g} % of the range{lasts}"))
    if found.step_spread is not None:
        rows.append(("cell to cell", f"steps {100 * found.step_spread:.0f} %, bounds {100 * found.bound_spread:.0f} % of half the range"))
    if found.ramp_steps is not None:
        rows.append(("ramp to ramp", f"steps {100 * found.ramp_steps:.1f} %"))
    if found.ramp_ends:
        low, high = found.ramp_ends
        rows.append(("range, ramp to ramp", f"{100 * low:.1f} % of it at the lower end, {100 * high:.1f} % at the upper one"))
    if found.drift is not None:
        rows.append(("drift with cycles", f"{100 * found.drift:+.0f} % pulses"))
    rows.append(
        (
            "linear-step device",
            f"can be it: dw_min {fitted.linear.dw_min:.3g}" if fitted.linear else f"cannot be it: {fitted.linear_refused}",
        )
    )
    source = ", ".join(filter(None, [", ".join(fitted.source.files), fitted.source.about, fitted.source.licence]))
    rows += [("source", source), ("digest", fitted.digest[:16])]
    for row in rows:
        table.add_row(*(plain(str(cell)) for cell in row))
    stdout.print(table)


@device.command()
def show(what: What, plot: o.Plot = None, json: o.Json = None) -> None:
    """Show a device: of a file the fit and its source, data and twin in one picture."""
    check_outputs({"--json": json, "--plot": plot}, {"FILE": what})
    results = Results()
    if file := file_of(what):
        from backpulse.host.device_file import read_device

        fitted = read_device(file)
        with results.each():
            write_json(json, _dict(fitted))
        if json != STDOUT:
            _tell(fitted)
        show_warnings(fitted.warnings)
        with results.each():
            if plot:
                from backpulse.host.device_plots import plot_device

                plot_device(plot, fitted)
        results.finish()
        return
    if plot:
        raise InputError(f"--plot of show needs a device file, and {what} has no data: see backpulse device simulate {what} --plot {plot}")
    if what.startswith(AIHWKIT) and what.removeprefix(AIHWKIT) in figures():
        values: dict[str, Any] = {"name": what, "source": "aihwkit's preset", **figures()[what.removeprefix(AIHWKIT)]}
    else:
        model = device_of(resolved(what))
        values = {**vars(model), "source": SOURCES.get(what, "")}
    write_json(json, values)
    if json != STDOUT:
        table = Table(box=None, show_header=False, padding=(0, 2))
        for key, value in values.items():
            table.add_row(key.replace("_", " "), str(value))
        stdout.print(table)


@device.command("list")
def listed(json: o.Json = None) -> None:
    """List the devices that have a name: presets, fitted ones that come along, and aihwkit's, each with its source and figures."""
    check_outputs({"--json": json})
    from backpulse.host.device_file import read_device

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
    write_json(json, {"devices": rows})
    if json == STDOUT:
        return
    table = Table(box=None, padding=(0, 2))
    for heading in ("name", "kind", "dw_min", "states", "leaves, %", "source, and what refuses it"):
        table.add_column(heading, justify="right" if heading in ("dw_min", "states") else "left", overflow="fold")
    for row in rows:
        licence = f" ({row['licence']})" if row["licence"] else ""
        text = row["source"] + licence + (f". Refused: {row['refused']}" if row["refused"] else "")
        table.add_row(row["name"], row["kind"], f"{row['dw_min']:.3g}", str(row["states"]), row["residual"], plain(text))
    stdout.print(table)


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


@device.command()
def simulate(
    what: What,
    pulses: Annotated[
        int | None, typer.Option(help="Up, and then as many down; enough for the range if not given.", min=1, max=100_000, metavar="N")
    ] = None,
    cycles: Annotated[int, typer.Option(help="Ways up and down.", min=1, max=1000, metavar="N")] = 1,
    cells: Annotated[int, typer.Option(help="Cells, each with its own spread and noise.", min=1, max=10_000, metavar="N")] = 1,
    seed: Annotated[int, typer.Option(help="Of spread and noise.", min=0, metavar="N")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write a table (.csv) that fit reads.", metavar="FILE", rich_help_panel=o.FILES)] = None,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Simulate the pulse response of a twin, from its lower bound up and down, in the integers of a tile."""
    check_outputs({"--out": out, "--json": json, "--plot": plot}, {"FILE": what})
    from backpulse.firmware_py.table_device import TableDevice, ramps

    fitted = None
    if file := file_of(what):
        from backpulse.host.device_file import read_device

        fitted = read_device(file)
        twin = fitted.table_device
    else:
        found = device_of(resolved(what))
        twin = found if isinstance(found, TableDevice) else TableDevice.of_linear(found)
    enough = (
        1.25 * max(fitted.measured.states_up, fitted.measured.states_down) if fitted else (twin.bound_up - twin.bound_down) / twin.dw_min
    )
    each = pulses or max(int(np.ceil(min(1.2 * enough, 5000))), 2)
    if 2 * each * cycles * cells > MOST_READINGS:
        raise InputError(
            f"{2 * each * cycles:,} pulses of {count(cells, 'cell')} are too many at once: give fewer --pulses, --cycles or --cells, "
            f"of at most {MOST_READINGS:,} readings together"
        )
    signs = np.tile(np.repeat([1, -1], each), cycles)
    with console.status(f"{count(len(signs), 'pulse')} of {count(cells, 'cell')}"):
        if fitted:
            from backpulse.host.device_ramps import simulated

            read, unit = simulated(fitted, signs, fitted.scale.low, cells, seed), "S" if fitted.scale.unit == "S" else "as measured"
        else:
            read, unit = ramps(twin, signs, twin.bound_down, cells, seed), "device units"
    low, high = (float(np.mean(read[k * each])) for k in (0, 1))
    ends = {"low": low, "high": high, "spread_of_high": float(np.std(read[each])), "back": float(np.mean(read[-1]))}
    results = Results()
    with results.each():
        write_json(json, {"device": twin.name, "pulses": each, "cycles": cycles, "cells": cells, "seed": seed, "unit": unit, **ends})
    if json != STDOUT:
        spread = f" (spread {ends['spread_of_high']:.2g})" if cells > 1 else ""
        text = (
            f"{twin.name}: {each} pulses up from {low:.4g} to {high:.4g}{spread}, and after {len(signs)} pulses {ends['back']:.4g}, {unit}"
        )
        stdout.print(plain(text), soft_wrap=True)
    with results.each():
        if out:
            _write_table(out, signs, read, unit)
    with results.each():
        if plot:
            from backpulse.host.device_plots import plot_response

            plot_response(plot, f"{twin.name}, simulated", signs, read, unit)
    results.finish()


def _write_table(path: Path, signs: np.ndarray, read: np.ndarray, unit: str) -> None:
    """Write a train and the conductances after each pulse."""
    label = " (S)" if unit == "S" else ""
    names = ["direction", *(f"cell {k + 1}{label}" for k in range(read.shape[1]))]
    with written_whole(path, "table") as file:
        file.write((",".join(names) + "\n").encode())
        np.savetxt(file, np.column_stack([np.append(0, signs), read]), fmt=["%d", *["%.7g"] * read.shape[1]], delimiter=",")
