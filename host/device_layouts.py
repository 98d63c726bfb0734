"""What the columns and rows of a measured table are: ramps, pulse numbers, programs of pulses, traces, tables of steps.

What can be read in two ways is refused with both readings.
"""

import itertools
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from backpulse.firmware_py.words import nearest
from backpulse.host.device_grid import Block, read_blocks
from backpulse.host.device_luts import is_lut, joined, lut_steps, named_steps
from backpulse.host.device_traces import LEAST_POINTS, Measured, Ramp, unit_of
from backpulse.host.errors import InputError
from backpulse.host.tables import count, some

LAYOUTS = {
    "ramps": "each column of conductances is a ramp, or several one after the other",
    "mirrored": "likewise, and the ways down are written from their end",
    "pulses": "the first column is the number of the pulse",
    "program": "a column of 1 and -1 is the pulse of each row",
    "traces": "each row is a ramp",
    "lut": "CrossSim: a row of conductances, one of probabilities, and a matrix of steps",
}
"""Forms of a table by name."""
TURN = 0.35
"""Share of the range that a way back must have to be another ramp."""
ALIKE = 1.5
"""Rows are ramps where they move so many times as far as columns, and the other way round."""
RUN = 5
"""Pulses of one sign that make a ramp."""

_ROLES = (
    ("cycle", r"cycle|cyc|sweep|loop|repeat"),
    ("device", r"device|dev|cell|dut|chip|sample|id"),
    ("program", r"program|polarity|direction|dir|sign|way"),
    ("pulse", r"pulse|pulses|n|no|nr|number|#|index|step|count|pulse number|pulse no|pulse index|pulse count"),
    ("left out", r"time|t|voltage|v|vread|date|temperature|width"),
)
_UP = re.compile(r"(?:^|[^a-z])(up|ltp|pot|potentiation|set|inc|increas\w*|rise|program|write)(?![a-z])", re.IGNORECASE)
_DOWN = re.compile(r"(?:^|[^a-z])(down|ltd|dep|depression|reset|dec|decreas\w*|fall|erase)(?![a-z])", re.IGNORECASE)
_SIGNS = {"up": 1, "+": 1, "+1": 1, "1": 1, "ltp": 1, "set": 1, "p": 1, "down": -1, "-": -1, "-1": -1, "ltd": -1, "reset": -1, "d": -1}
_DEVICE = re.compile(r"(?:^|[^a-z])(dev(?:ice)?|cell|dut|chip|sample)[\s_-]*(\w+)", re.IGNORECASE)


def read_measured(paths: list[Path], *, layout: str | None = None, separator: str | None = None, decimal: str | None = None) -> Measured:
    """Read the files of one kind of device.

    Parameters
    ----------
    paths : list of Path
        If each holds one direction only, they are of the same devices; else each is of devices of its own.
    layout : str, optional
        A name of `LAYOUTS`; told from the files if not given.
    separator, decimal : str, optional
        As of `read_blocks`.

    Raises
    ------
    InputError
        If a file is no measurement, or may be read in two ways.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"--layout must be one of {', '.join(LAYOUTS)}, not {layout!r:.20}{nearest(layout, LAYOUTS)}")
    whole = Measured()
    found: list[Measured] = []
    for path in paths:
        blocks = read_blocks(path, separator, decimal)
        one = Measured()
        words = [word for block in blocks for word in (*_values(block), *re.findall(r"[(\[][^)\]]*[)\]]", block.title))]
        one.unit = unit_of(words)
        _fill(one, blocks, path, layout)
        if not one.parts:
            raise InputError(f"{path.name} has no ramp: it must hold the conductance after pulses up and after pulses down")
        found.append(one)
    units = {one.unit for one in found if one.unit}
    if len(units) > 1:
        raise InputError(f"The files are in {' and in '.join(sorted(units))}: give all in one unit, or say it with --units")
    whole.unit = units.pop() if units else ""
    several = len(found) > 1 and all(len({part.up for part in one.parts}) == 2 for one in found)
    for path, one in zip(paths, found, strict=True):
        own = f"{path.stem} " if several else ""
        whole.ramps += [Ramp(**{**vars(r), "device": (own + r.device).strip()}) for r in one.ramps]
        whole.steps += [type(s)(**{**vars(s), "device": (own + s.device).strip()}) for s in one.steps]
        whole.symmetry += one.symmetry
        whole.remarks += [f"{path.name}: {text}" for text in one.remarks]
    whole.check(paths[0].name if len(paths) == 1 else "The measurement")
    return whole


def _values(block: Block) -> list[str]:
    return [name for name in block.names if name]


def _fill(one: Measured, blocks: list[Block], path: Path, layout: str | None) -> None:
    """Read the blocks of a file."""
    if layout is None and (steps := [step for block in blocks for step in named_steps(block)]):
        one.steps += steps
        return
    together = joined(blocks)
    if layout == "lut" or (layout is None and is_lut(together.values)):
        one.steps.append(lut_steps(together, _word_direction(f"{path.stem} {together.title}")))
        return
    unsaid: list[Ramp] = []
    for block in blocks:
        _read_block(one, block, path, layout, unsaid)
    rising = {ramp.up for ramp in one.ramps}
    if unsaid and len(rising) == 1 and layout is None and 1 < len(unsaid) == len(one.ramps):
        up = "up" if rising == {True} else "down"
        raise InputError(
            f"{path.name}: {some([ramp.where for ramp in unsaid], 4)} all go {up}: they may be {len(unsaid)} ramps {up}, or ramps up "
            "and down of which one is written mirrored: give --layout ramps with a file of the other direction, or --layout mirrored"
        )


def _word_direction(text: str) -> bool | None:
    """Return the direction that words say: True for up, None if none or both."""
    up, down = bool(_UP.search(text.replace("_", " "))), bool(_DOWN.search(text.replace("_", " ")))
    return up if up != down else None


def _named_role(name: str) -> str:
    """Return what a column's name says that it is, empty if nothing."""
    word = re.sub(r"[\s_.]+", " ", re.sub(r"[(\[].*", "", name)).strip().lower()
    return next((role for role, names in _ROLES if re.fullmatch(f"(?:{names})", word)), "")


def _role(block: Block, k: int) -> str:
    """Return what a column is."""
    name = block.names[k]
    column = block.values[:, k]
    if k in block.words:
        signs = all(word.lower() in _SIGNS for word in block.words[k])
        return "program" if signs else "device"
    role = _named_role(name)
    present = column[~np.isnan(column)]
    if set(np.unique(present[:1000])) <= {-1.0, 0.0, 1.0} and {-1.0, 1.0} <= set(np.unique(present)):
        return "program"
    if role == "program" or (role == "pulse" and not _counts(present, named=True)):
        return ""
    if role:
        return role
    # A name in words that are not known, as of another language, says nothing against it; a direction or a unit does.
    nameless = not name or (_word_direction(name) is None and not unit_of([name]) and bool((present % 1 == 0).all()))
    if nameless and k == 0 and block.values.shape[1] > 1 and _counts(present, named=False):
        return "pulse"
    return ""


def _counts(column: np.ndarray, named: bool) -> bool:
    """Say whether numbers count pulses: they grow, and without a name by one from 0 or 1, roughly, again and again maybe."""
    if len(column) < 3:
        return False
    steps = np.diff(column)
    if named:
        return bool((column >= 0).all())
    again = np.flatnonzero(steps < 0) + 1
    pieces = np.split(column, again)
    near = all(np.abs(piece - piece[0] - np.arange(len(piece))).max() < 1 and -0.5 <= piece[0] < 2 for piece in pieces)
    return near and len(pieces) <= len(column) / LEAST_POINTS


def _read_block(one: Measured, block: Block, path: Path, layout: str | None, unsaid: list[Ramp]) -> None:
    """Add the ramps of a block."""
    roles = [_role(block, k) for k in range(block.values.shape[1])]
    if layout == "pulses" and roles[0] != "pulse":
        roles[0] = "pulse"
    if layout in ("ramps", "mirrored") and all(roles):
        roles = ["" if role == "pulse" else role for role in roles]
    if layout == "program" and "program" not in roles:
        raise InputError(f"{block.file}: no column has 1 and -1 alone: --layout program needs the pulse of each row")
    value_columns = [k for k, role in enumerate(roles) if not role]
    for k, role in enumerate(roles):
        if role == "left out":
            one.remarks.append(f"column {k + 1} ({block.names[k]}) is left out")
        elif role == "pulse" and block.names[k] and not _named_role(block.names[k]) and layout != "pulses":
            one.remarks.append(f"column {k + 1} ({block.names[k]}) counts, and is taken as the number of the pulse")
    if not value_columns:
        raise InputError(
            f"{block.file}: no column is a conductance: columns are {some([n or str(k + 1) for k, n in enumerate(block.names)])}"
        )
    if layout == "traces" or (layout is None and not any(roles) and _rows_are_ramps(block)):
        _rows(one, block, path, layout, unsaid)
        return
    title = f"{path.stem} {block.title if not _values(block) else ''}"
    pulses = [k for k, role in enumerate(roles) if role == "pulse"]
    keys = [k for k, role in enumerate(roles) if role in ("device", "cycle")]
    signs = next((k for k, role in enumerate(roles) if role == "program"), None)
    for rows, key in _groups(block, keys):
        for k in value_columns:
            # Columns of a pulse number each: the nearest one to the left counts.
            counter = max((p for p in pulses if p < k), default=pulses[0] if pulses else None)
            column = block.values[rows, k]
            used = np.flatnonzero(~np.isnan(column))
            if not used.size:
                continue
            last = used[-1] + 1
            rows_used = rows[:last]
            _check_holes(block, rows_used, k)
            n = block.values[rows_used, counter] if counter is not None else np.arange(len(rows_used), dtype=np.float64)
            if counter is not None:
                _check_holes(block, rows_used, counter)
            named = _DEVICE.search(block.names[k])
            device = " ".join(filter(None, [key, named[0].strip() if named else ""]))
            label = f" ({block.names[k]})" if block.names[k] else ""
            where = f"{block.file}: column {k + 1}{label}, rows {block.rows[rows_used[0]]} to {block.rows[rows_used[-1]]}"
            g = block.values[rows_used, k]
            if signs is not None:
                _program(one, block, rows_used, signs, g, device, where)
                continue
            said = _word_direction(block.names[k]) if block.names[k] else None
            said = _word_direction(title) if said is None else said
            _series(one, n, g, device, where, said, layout, unsaid)


def _check_holes(block: Block, rows: np.ndarray, k: int) -> None:
    """Refuse an empty cell inside a ramp."""
    holes = np.flatnonzero(np.isnan(block.values[rows, k]))
    if holes.size:
        raise InputError(
            f"{block.file}: {block.cell(int(rows[holes[0]]), k)} has no value, and the ramp goes on below it: fill it, or leave the row out"
        )


def _groups(block: Block, keys: list[int]) -> list[tuple[np.ndarray, str]]:
    """Return the rows of each device and cycle, and the device's name."""
    if not keys:
        return [(np.arange(len(block.rows)), "")]
    named = {k: block.words.get(k) or [f"{value:g}" for value in block.values[:, k]] for k in keys}
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in range(len(block.rows)):
        groups[tuple(named[k][row] for k in keys)].append(row)
    devices = [i for i, k in enumerate(keys) if _role(block, k) == "device"]
    return [(np.array(rows), " ".join(key[i] for i in devices)) for key, rows in groups.items()]


def _rows_are_ramps(block: Block) -> bool:
    """Say whether each row is a ramp, and not each column; refuse what may be either."""
    values = block.values
    rows, columns = values.shape
    if columns < 2 * LEAST_POINTS or block.words:
        return False
    if rows < LEAST_POINTS:
        return True

    def moves(lines: np.ndarray) -> float:
        used = [line[~np.isnan(line)] for line in lines]
        return float(np.median([np.ptp(line) for line in used if len(line) > 1] or [0.0]))

    down, across = moves(values.T), moves(values)
    if across > ALIKE * down:
        return True
    if down > ALIKE * across:
        return False
    raise InputError(
        f"{block.file}: the numbers change as much along the rows as along the columns: each of the {columns} columns may be a ramp "
        f"(--layout ramps), or each of the {rows} rows (--layout traces)"
    )


def _rows(one: Measured, block: Block, path: Path, layout: str | None, unsaid: list[Ramp]) -> None:
    """Add a ramp for each row."""
    for r in range(len(block.rows)):
        line = block.values[r]
        used = np.flatnonzero(~np.isnan(line))
        if not used.size:
            continue
        line = line[: used[-1] + 1]
        if np.isnan(line).any():
            raise InputError(
                f"{block.file}: {block.cell(r, int(np.argmax(np.isnan(line))))} has no value, and the ramp goes on behind it: fill the cell"
            )
        where = f"{block.file}: row {block.rows[r]}"
        said = _word_direction(f"{path.stem} {block.title}")
        _series(one, np.arange(len(line), dtype=np.float64), line, "", where, said, layout, unsaid)


def _program(one: Measured, block: Block, rows: np.ndarray, k: int, g: np.ndarray, device: str, where: str) -> None:
    """Add the ramps of a train of pulses: runs of one sign, and what an alternating train ends at."""
    if k in block.words:
        signs = np.array([_SIGNS[block.words[k][row].lower()] for row in rows])
    else:
        signs = np.nan_to_num(block.values[rows, k]).astype(np.int64)
    begins = [0, *(np.flatnonzero(np.diff(signs)) + 1).tolist(), len(signs)]
    alternating: list[int] = []
    for a, b in itertools.pairwise(begins):
        if signs[a] == 0:
            continue
        if b - a >= RUN:
            first = a if k in block.words else max(a - 1, 0)  # after signs of pulses: the state that the first one finds
            one.ramps.append(
                Ramp(device=device, up=bool(signs[a] > 0), n=np.arange(b - first, dtype=np.float64), g=g[first:b], where=where)
            )
        else:
            alternating += range(a, b)
    if len(alternating) >= 20:
        one.symmetry.append(float(np.mean(g[alternating[-len(alternating) // 4 :]])))
        one.remarks.append(f"{count(len(alternating), 'alternating pulse')} end at {one.symmetry[-1]:.4g}: the measured symmetry point")


def _series(
    one: Measured, n: np.ndarray, g: np.ndarray, device: str, where: str, said: bool | None, layout: str | None, unsaid: list[Ramp]
) -> None:
    """Add the ramps of a series: parted where the pulse number begins anew, and where the way turns."""
    pieces = [piece for piece in np.split(np.arange(len(g)), np.flatnonzero(np.diff(n) < 0) + 1) if len(piece)]
    if len(pieces) > len(g) / LEAST_POINTS:  # a number that falls throughout: the table is written from its end
        n, g, pieces = n[::-1], g[::-1], [np.arange(len(g))]
    for piece in pieces:
        turns = _turns(g[piece])
        parts = [piece[a : b + 1] for a, b in itertools.pairwise([0, *turns, len(piece) - 1])]
        if len(parts) > 1:
            reach = [abs(float(g[part[-1]] - g[part[0]])) for part in parts]
            if reach[-1] < 0.6 * max(reach):
                one.remarks.append(
                    f"{where}: the last {count(len(parts[-1]) - 1, 'pulse')} turn back before the end of the range and are left out"
                )
                parts.pop()
            said = None  # several ways have no one direction
        for part in parts:
            rises = _rises(g[part])
            points, numbers = g[part], n[part]
            mirrored = said is not None and said is not rises
            if layout == "mirrored" and said is None and rises and any(ramp.up for ramp in one.ramps):
                mirrored = True
            if mirrored:
                points, numbers = points[::-1], numbers[-1] - numbers[::-1]
                rises = not rises
                one.remarks.append(f"{where}: written mirrored, and read from its end")
            ramp = Ramp(device=device, up=rises, n=numbers, g=points, where=where)
            one.ramps.append(ramp)
            if said is None and len(parts) == 1:
                unsaid.append(ramp)


def _rises(g: np.ndarray) -> bool:
    """Say which way a ramp goes, by its first and last quarters."""
    quarter = max(len(g) // 4, 1)
    return bool(np.mean(g[-quarter:]) > np.mean(g[:quarter]))


def _turns(g: np.ndarray) -> list[int]:
    """Return where a series turns back by more than `TURN` of its range."""
    from scipy.ndimage import uniform_filter1d

    window = max(len(g) // 100, 1)
    smooth = uniform_filter1d(g, window, mode="nearest")
    least = TURN * np.ptp(smooth)
    if least == 0:
        return []
    stride = max(len(g) // 5000, 1)
    turns: list[int] = []
    low = high = 0
    way = 0
    for at in range(0, len(g), stride):
        value = smooth[at]
        low = at if value < smooth[low] else low
        high = at if value > smooth[high] else high
        if way >= 0 and smooth[high] - value > least:
            turns += [high] if way else []  # the first way begins at the beginning
            way, low = -1, at
        elif way <= 0 and value - smooth[low] > least:
            turns += [low] if way else []
            way, high = 1, at
    return [turn for turn in turns if 0 < turn < len(g) - 1]
