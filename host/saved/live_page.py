"""The live page of a run as a Bokeh document: curves, array, histogram, pulses, counters, and what stops the run."""

from functools import partial
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import (
    Button,
    ColorBar,
    ColumnDataSource,
    Div,
    HoverTool,
    InlineStyleSheet,
    LinearColorMapper,
    NumeralTickFormatter,
    Title,
    UIElement,
)
from bokeh.palettes import diverging_palette
from bokeh.plotting import figure

from backpulse.host.plots import ACCENT, BEFORE, INK, REFERENCE, mosaic
from backpulse.host.saved.folder import ABORT, HALT, SavedRun
from backpulse.host.saved.watched import WatchedRun
from backpulse.host.terminal import plain
from backpulse.host.view import PHASES

LOOK_MS = 500
"""Time between two looks of a page at what is known."""
MOST_PIXELS = 1 << 17
"""Cells that a page shows; of a larger array every second one of a row or column, or fewer."""
MOST_POINTS = 2000
"""Epochs of a curve that a page shows; of a longer run every second one, or fewer."""
BLUES = ("#0b3c6f", "#2f79b5", "#9cc9e1", "#f7f7f7")
REDS = ("#7a0a22", "#c13639", "#f3a582", "#f7f7f7")
COUNTED = ("STEPS", "CYCLES", "READ_CYCLES", "PULSE_CYCLES", "PULSES_UP", "PULSES_DOWN", "PULSES_CLIPPED", "PULSES_MISSED")
EVENTS = ("SENSE_CLIPPED", "VECTOR_SATURATED")
TEXT = """
:host { font: 15px/1.45 system-ui, sans-serif; color: #22313f } p { margin: 0 0 .2rem }
table { border-collapse: collapse } th { font-weight: 400; color: #5f6f7c; text-align: left; padding-right: 1.5rem }
td { text-align: right; font-variant-numeric: tabular-nums }
"""
UNTOLD = (
    "The pulses of single cells are not known here: golden:// counts them for --live, and a run that keeps them, --keep pulses, has them "
    "at its end on other boards."
)
"""What is said where nothing tells pulses: no board but the golden model tells them without more traffic on its line."""
MOVED = "Shown is how far the cells have moved in all: a cell that was pulsed up and down again counts for nothing."
UNREAD = "Its cells are not read before the end, either."
SURE = {
    HALT: "Halt the run? It stops at the end of a sample, and goes on from a checkpoint.",
    ABORT: "Abort the run? The array's drivers go off at once, in the middle of a sample; the rest of the run is lost.",
}


class LivePage:
    """What one viewer sees.

    Parameters
    ----------
    document : Document
        Becomes the page.
    watched : WatchedRun
        Shared by all viewers.
    """

    def __init__(self, document: Document, watched: WatchedRun) -> None:
        self._watched, self._version = watched, 0
        self._referred = -1
        self._curves = {name: ColumnDataSource({"x": [], "y": []}) for name in ("test_accuracy", "train_loss")}
        self._references = {name: ColumnDataSource({"x": [], "y": []}) for name in self._curves}
        self._cells = ColumnDataSource({"image": [], "dw": [], "dh": []})
        self._conductances = ColumnDataSource({"left": [], "right": [], "before": [], "after": []})
        self._rows, self._columns = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
        self._colors = LinearColorMapper(palette=_palette(), low=-1.0, high=1.0, nan_color="white")
        self._where, self._counters, self._remarks, self._unknown, self._question = (_text() for _ in range(5))
        self._buttons = {HALT: Button(label="HALT", button_type="warning"), ABORT: Button(label="ABORT", button_type="danger")}
        self._yes, self._no = Button(label="Yes", button_type="danger"), Button(label="No")
        self._asked = ""
        self._sure = column(self._question, row(self._yes, self._no), visible=False, sizing_mode="stretch_width")
        for wish, button in self._buttons.items():
            button.on_click(partial(self._ask, wish))
        self._yes.on_click(self._confirmed)
        self._no.on_click(partial(self._ask, ""))
        self._lines = {axis: self._line(source) for axis, source in (("row", self._rows), ("column", self._columns))}
        roots: dict[str, UIElement] = {
            "where": self._where,
            "buttons": column(row(*self._buttons.values()), self._sure, sizing_mode="stretch_width"),
            "accuracy": self._curve("Test accuracy, %", "test_accuracy"),
            "loss": self._curve("Training loss", "train_loss"),
            "array": self._array(),
            "conductances": self._histogram(),
            "rows": self._lines["row"],
            "columns": self._lines["column"],
            "unknown": self._unknown,
            "counters": self._counters,
            "remarks": self._remarks,
        }
        for name, root in roots.items():
            root.name = name
            document.add_root(root)
        document.title = f"Backpulse: {_title(watched)}"
        document.template = files("backpulse.host.saved").joinpath("live.html").read_text("utf-8")  # type: ignore[assignment] - takes text, too
        document.template_variables["heading"] = _title(watched)
        document.add_periodic_callback(self.update, LOOK_MS)
        self.update()

    def update(self) -> None:
        """Show what is new."""
        watched = self._watched
        if self._version != watched.version:
            self._version = watched.version
            self._show_run()
        reference = watched.reference
        if self._referred != len(reference["test_accuracy"]):
            self._referred = len(reference["test_accuracy"])
            _set(self._references, reference)
        self._show_now()

    def _show_run(self) -> None:
        """Show what is new after an epoch."""
        run = self._watched.run
        _set(self._curves, run.result)
        picture = mosaic(run.after, run.config) / (1 << run.config.cell_frac)
        high, wide = picture.shape
        step = 1
        while picture[::step, ::step].size > MOST_PIXELS:
            step += 1
        self._cells.data = {"image": [picture[::step, ::step].astype(np.float32)], "dw": [wide], "dh": [high]}
        used = np.abs(picture[picture != 0])
        bound = float(np.percentile(used[~np.isnan(used)], 97)) if used.size else 1.0
        self._colors.update(low=-bound, high=bound)
        edges, before, after = self._watched.histogram()
        # Logarithmic, where nothing has no place.
        counts = {name: np.where(count, count, np.nan) for name, count in (("before", before), ("after", after))}
        self._conductances.data = {"left": edges[:-1], "right": edges[1:], **counts}
        self._show_lines(run)

    def _show_lines(self, run: SavedRun) -> None:
        """Show the pulses of rows and columns, or where nothing tells those how far their cells have moved."""
        moved = np.abs(run.after.astype(np.int64) - run.before) / (1 << run.config.cell_frac)
        known = bool(run.pulses)
        shown, title = (run.pulses["up"] + run.pulses["down"], "Pulses a") if known else (moved, "Change of the cells, device units, a")
        _say(self._unknown, *([] if known else [UNTOLD, MOVED if moved.any() else UNREAD]))
        for axis, (name, source) in enumerate((("column", self._columns), ("row", self._rows))):
            total = shown.sum(axis=axis)
            source.data = {"x": np.arange(len(total)), "y": total}
            plot = self._lines[name]
            plot.title.text, plot.visible = f"{title} {name}", known or bool(moved.any())
            # Not another formatter: for each new model Bokeh looks through the whole page.
            plot.yaxis.formatter.format = "0,0" if known else "0.[00]"

    def _show_now(self) -> None:
        """Show where the run is."""
        run, now, going_on = self._watched.run, self._watched.now, self._watched.going_on
        progress = now.get("progress")
        epochs, state = run.manifest["epochs"], run.state
        text = f"epoch {min(now['epoch'] + 1, epochs)} of {epochs}, {PHASES.get(now['phase'], now['phase'])}" if going_on and now else state
        if going_on and progress:
            text += f" {100 * progress['done'] // max(1, progress['total'])} %, {progress['rate']:,.0f} samples/s"
        accuracy = run.result.get("test_accuracy")
        if accuracy:
            text += f"; test accuracy {100 * accuracy[-1]:.2f} % after epoch {len(accuracy)}"
        _say(self._where, text)
        self._counters.text = _table(self._facts(now))
        failed = run.ended is not None and run.ended["how"] == "failed"
        notes = [self._watched.note, *(now.get("remarks") or run.result.get("warnings", []))]
        _say(self._remarks, *([f"Fault: {state}"] if failed else ["No fault"]), *(f"Note: {note}" for note in notes if note))
        for button in self._buttons.values():
            button.disabled = not going_on
        if not going_on:
            self._ask("")

    def _facts(self, now: dict[str, Any]) -> dict[str, str]:
        """Return counters and the quality of the link as text by name."""
        counters, result = now.get("counters", {}), self._watched.run.result
        facts = {}
        for name in (*COUNTED, *EVENTS):
            value = counters.get(name, result.get(name.lower()))
            if value is not None:
                facts[name.lower().replace("_", " ")] = f"{value:,}"
        link = now.get("link")
        if link:
            facts["frames sent again"] = f"{link['retries']:,}"
            facts["answers damaged"] = f"{link['damaged']:,}"
            facts["round trip"] = f"{1000 * link['round_trip_s']:.1f} ms"
        elif result:
            facts["frames sent again"] = f"{result['link_retries']:,}"
        return facts

    def _ask(self, wish: str) -> None:
        """Ask whether a wish is meant, or for "" do not any more."""
        self._asked = wish
        if wish:
            self._question.text = SURE[wish]
        self._sure.visible = bool(wish)

    def _confirmed(self) -> None:
        if self._asked and self._watched.going_on:
            self._watched.ask(self._asked)
        self._ask("")

    def _curve(self, title: str, name: str) -> Any:
        plot = _plot(title, "epoch")
        other = self._references[name]
        plot.line("x", "y", source=other, color=REFERENCE, line_dash="dashed", line_width=2, legend_label="software, float64")
        plot.line("x", "y", source=self._curves[name], color=ACCENT, line_width=2.5, legend_label="in the array")
        plot.scatter("x", "y", source=self._curves[name], color=ACCENT, fill_color="white", size=6)
        plot.legend.location = "bottom_right" if name == "test_accuracy" else "top_right"
        plot.legend.border_line_color = None
        return plot

    def _array(self) -> Any:
        config = self._watched.run.config
        tiles = "" if config.tiles == 1 else f"{config.tiles} tiles, each "
        plot = _plot("The array, device units", f"{tiles}{config.tile_rows} rows")
        plot.yaxis.axis_label = f"{config.tile_cols} columns"
        plot.y_range.flipped = True  # type: ignore[attr-defined] - it is a DataRange1d
        plot.x_range.range_padding = plot.y_range.range_padding = 0  # type: ignore[attr-defined] - likewise
        image = plot.image("image", x=0, y=0, dw="dw", dh="dh", source=self._cells, color_mapper=self._colors)
        plot.add_tools(HoverTool(renderers=[image], tooltips=[("conductance", "@image")]))
        plot.add_layout(ColorBar(color_mapper=self._colors, width=8, padding=4), "right")
        plot.grid.visible = False
        return plot

    def _histogram(self) -> Any:
        plot = _plot("Conductances, cells with weights", "device units", y_axis_type="log")
        parts = {"left": "left", "right": "right", "bottom": 0.5, "source": self._conductances}
        plot.quad(top="before", color=BEFORE, legend_label="before", **parts)
        plot.quad(top="after", fill_color=None, line_color=ACCENT, line_width=1.5, legend_label="now", **parts)
        plot.legend.border_line_color = None
        return plot

    def _line(self, source: ColumnDataSource) -> Any:
        plot = _plot("", "row" if source is self._rows else "column")
        plot.yaxis.formatter = NumeralTickFormatter()
        plot.step("x", "y", source=source, color=ACCENT, line_width=1.8, mode="center")
        return plot


def _text(text: str = "") -> Div:
    return Div(text=text, sizing_mode="stretch_width", stylesheets=[InlineStyleSheet(css=TEXT)])


def _plot(title: str, x_label: str, **more: Any) -> Any:
    plot = figure(title=Title(text=title, text_color=INK), height=250, sizing_mode="stretch_width", toolbar_location=None, tools="", **more)
    plot.xaxis.axis_label = x_label
    plot.outline_line_color = None
    return plot


def _palette() -> tuple[str, ...]:
    return diverging_palette(_between(BLUES), _between(REDS), 255)


def _between(colors: tuple[str, ...]) -> tuple[str, ...]:
    """Return 128 colors from the first to the last."""
    points = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors], float)
    at = np.linspace(0, len(colors) - 1, 128)
    channels = [np.interp(at, range(len(colors)), points[:, channel]).round().astype(int) for channel in range(3)]
    return tuple("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in zip(*channels, strict=True))


def _set(sources: dict[str, ColumnDataSource], lists: dict[str, Any]) -> None:
    """Show lists of an epoch each; accuracy in percent."""
    for name, source in sources.items():
        values = np.array(lists.get(name, []), float) * (100 if name == "test_accuracy" else 1)
        thin = slice(None, None, -(-max(len(values), 1) // MOST_POINTS))
        source.data = {"x": np.arange(1, len(values) + 1)[thin], "y": values[thin]}


def _say(div: Div, *lines: str) -> None:
    text = "".join(f"<p>{escape(plain(line))}</p>" for line in lines)
    if div.text != text:
        div.text = text


def _table(facts: dict[str, str]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()) + "</table>"


def _title(watched: WatchedRun) -> str:
    run = watched.run
    settings = run.settings
    return plain(f"{settings.layers} on {settings.dataset}: {settings.schedule}, {run.manifest['device']} device, {run.manifest['board']}")
