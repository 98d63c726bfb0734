"""The commands `backpulse device`: measured data in, a twin out, and what it does."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.host import options as o
from backpulse.host.device_aihwkit import AIHWKIT, figures
from backpulse.host.devices import SOURCES, device_of, file_of, resolved
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.terminal import plain
from backpulse.host.view import Table, console, show_warnings, stdout

device = typer.Typer(no_args_is_help=True, help="Devices: fitted to measured data, shown, simulated.")
WIDE = 120
"""Columns in which the list of devices is one table."""
READING = "Reading"
"""Panel of the options that say what a file is."""

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
    from backpulse.host.api_devices import fit_device  # pandas and SciPy take their time

    reading = {"units": units, "read_voltage": read_voltage, "separator": separator, "decimal": decimal, "layout": layout}
    with console.status("Fitting"):
        fitted = fit_device(files, name or out.stem, **reading, about=about, licence=licence, watch=_say)
    results = Results()
    with results.each():
        fitted.save(out)
        console.print(f"Wrote {plain(str(out))}", soft_wrap=True)
    with results.each():
        write_json(json, _dict(fitted))
    if json != STDOUT:
        _tell(fitted)
    show_warnings(fitted.warnings)
    with results.each():
        if plot:
            fitted.plot(plot)
    results.finish()


def _say(text: str) -> None:
    console.print(plain(text), style="dim", soft_wrap=True)


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
                fitted.plot(plot)
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
    from backpulse.host.api_devices import devices

    rows = devices()
    write_json(json, {"devices": rows})
    if json == STDOUT:
        return
    named = ("name", "kind", "dw_min", "states", "leaves, %")
    source = "source, and what refuses it"
    # Sources have a table of their own where there is no room for them beside the figures.
    for number, headings in enumerate([(*named, source)] if stdout.width >= WIDE else [named, ("name", source)]):
        if number:
            stdout.print()
        table = Table(box=None, padding=(0, 1), pad_edge=False)
        for heading in headings:
            table.add_column(heading, justify="right" if heading in ("dw_min", "states") else "left", no_wrap=heading != source)
        for row in rows:
            licence = f" ({row['licence']})" if row["licence"] else ""
            text = row["source"] + licence + (f". Refused: {row['refused']}" if row["refused"] else "")
            cells = (row["name"], row["kind"], f"{row['dw_min']:.3g}", str(row["states"]), row["residual"], plain(text))
            table.add_row(*(cell for heading, cell in zip((*named, source), cells, strict=True) if heading in headings))
        stdout.print(table)


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
    from backpulse.host.device_simulation import simulate_device

    with console.status("Simulating"):
        found = simulate_device(what, pulses=pulses, cycles=cycles, cells=cells, seed=seed)
    results, ends = Results(), found.ends
    with results.each():
        write_json(json, found.to_dict())
    if json != STDOUT:
        spread = f" (spread {ends['spread_of_high']:.2g})" if cells > 1 else ""
        way = f"{found.pulses} pulses up from {ends['low']:.4g} to {ends['high']:.4g}{spread}"
        text = f"{found.device}: {way}, and after {len(found.signs)} pulses {ends['back']:.4g}, {found.unit}"
        stdout.print(plain(text), soft_wrap=True)
    with results.each():
        if out:
            found.save(out)
    with results.each():
        if plot:
            found.plot(plot)
    results.finish()
