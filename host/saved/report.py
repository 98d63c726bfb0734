"""The report of a saved run: one page of HTML with all that it needs inside, so that it opens with no network."""

import shlex
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from backpulse.host.audience import Audience
from backpulse.host.cell_names import cell_name
from backpulse.host.cost import told
from backpulse.host.errors import InputError
from backpulse.host.ledger import ledger_arrays
from backpulse.host.run_logs import replay_trace
from backpulse.host.saved import pictures
from backpulse.host.saved.folder import SavedRun
from backpulse.host.settings import prepare
from backpulse.host.software import train_software
from backpulse.host.storage import written_whole
from backpulse.host.terminal import plain
from backpulse.host.trace_file import read_trace

TOLD = ("config_digest", "build_digest", "program_digest", "data_digest")
"""Digests of the manifest."""
COUNTED = ("steps", "cycles", "read_cycles", "pulse_cycles", "pulses_up", "pulses_down", "pulses_clipped", "pulses_missed")
EVENTS = ("sense_clipped", "vector_saturated", "link_retries")


@dataclass(frozen=True)
class Known:
    """What a report says beside what is in the folder's files as it stands.

    Parameters
    ----------
    reference : dict or None
        Result of the float64 reference.
    ledger : dict or None
        Columns of the pulse ledger, as of `ledger_arrays`.
    notes : tuple of str
        Why something is not known, a sentence each.
    """

    reference: dict[str, Any] | None
    ledger: dict[str, np.ndarray] | None
    notes: tuple[str, ...]


def find_out(run: SavedRun, audience: Audience) -> Known:
    """Train the reference if the run has not, and replay the trace if nothing else tells the pulses of each cell."""
    notes = []
    reference, ledger = run.result.get("reference"), None
    if not reference and run.result:
        try:
            reference = reference_of(run)
        except InputError as error:
            notes.append(f"No reference: {error}")
    if run.pulses:
        done = run.pulses["up"] + run.pulses["down"]
        ledger = {"asked": done, "done": done, **run.pulses, "unsure": np.zeros_like(done)}
        if run.manifest["real"]:
            notes.append("The pulses are those that were asked for; what cells got is in a trace, --keep trace")
    elif run.trace:
        outcome = replay_trace(read_trace(run.trace), audience=audience)
        ledger = ledger_arrays(outcome.ledger)
        if outcome.divergence:
            notes.append(f"The board and the golden model differ: {outcome.divergence}")
    else:
        notes.append("The pulses of each cell were not kept: --keep pulses does")
    return Known(reference, ledger, tuple(notes))


def reference_of(run: SavedRun) -> dict[str, Any]:
    """Train the float64 reference on a run's data, at its rates.

    Raises
    ------
    InputError
        If the data cannot be read, or is not that of the run.
    """
    data = prepare(run.settings, run.config.drive_max, dataset=run.load())
    if data.digest != run.manifest["data_digest"]:
        raise InputError(f"The data set {run.settings.dataset} is not what the run was trained with, or this is another folder")
    return train_software(run.settings, data, run.result["epochs"], run.config.drive_max, rates=run.result["learning_rate"])


def write_report(path: Path, run: SavedRun, known: Known) -> None:
    """Write the page.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    text = files("backpulse.host.saved").joinpath("report.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(text).render(facts(run, known))
    with written_whole(path, "report") as file:
        file.write(page.encode())


def facts(run: SavedRun, known: Known) -> dict[str, Any]:
    """Return what the page says, by the names in its template."""
    result = run.result
    return {
        "title": plain(f"{run.settings.layers} on {Path(run.settings.dataset).name}"),
        "manifest": {name: plain(value) if isinstance(value, str) else value for name, value in run.manifest.items()},
        "state": plain(run.state),
        "settings": {
            name: plain(run.manifest["device"] if name == "device" else str(value))
            for name, value in run.settings.to_dict().items()
            if value not in (None, "")
        },
        "result": result,
        "cost": [plain(line) for line in told(result["cost"])] if result.get("cost") else [],
        "reference": known.reference,
        "notes": [plain(note) for note in (*known.notes, *result.get("warnings", ()))],
        "curves": pictures.curves(run, known.reference) if result else {},
        "confusion": pictures.confusion(run) if result.get("confusion") else {},
        "array": pictures.array(run),
        "pulses": pictures.pulses(run, known.ledger) if known.ledger else {},
        "most": _most(known.ledger),
        "counters": {name: result[name] for name in (*COUNTED, *EVENTS) if result.get(name) is not None},
        "digests": {
            **{name.replace("_", " "): run.manifest[name] for name in TOLD if run.manifest.get(name)},
            **({"cells": result["conductance_digest"]} if result.get("conductance_digest") else {}),
            **({"trace": result["trace"]["digest"]} if result.get("trace") else {}),
        },
        "command": shlex.join(run.manifest["command"]),
        "repeats": repeats(run),
    }


def repeats(run: SavedRun) -> str:
    """Say what the command that repeats a run comes to."""
    if nameless := run.manifest.get("nameless"):
        return f"It does not repeat the run, which had {' and '.join(nameless)}: no command line names that."
    if run.manifest["real"]:
        return "It trains the same network on the same data. Real devices give no two runs with the same bits."
    if run.ended and run.ended["how"] == "complete":
        return "It comes to the same digest of cells."
    return "It comes to the same bits as far as this run went, and goes on to its end."


def _most(ledger: dict[str, np.ndarray] | None) -> list[tuple[str, int]]:
    """Return the cells that have had the most pulses, with their number."""
    if ledger is None:
        return []
    pulses = ledger["done"] + ledger["unsure"]
    order = np.argsort(-pulses, axis=None, kind="stable")[:5]
    places = [tuple(map(int, np.unravel_index(int(at), pulses.shape))) for at in order]
    return [(cell_name(row, col), int(pulses[row, col])) for row, col in places if pulses[row, col]]
