"""The checks of an array's reads: 3 to 9 of the conformance bench."""

import numpy as np
from matplotlib.axes import Axes

from backpulse.firmware_py.isa import Region
from backpulse.firmware_py.registers import Capability, Counter
from backpulse.host.array_bench import Bench, Figure, NotTestedError, where
from backpulse.host.array_operations import pulse, read, rectangle
from backpulse.host.plots import ACCENT, ARRAY_COLORS, INK, REFERENCE
from backpulse.host.stop import Stop

VECTORS = 1000
"""Random vectors of the linearity check."""
ZEROS = 64
"""Reads without drives, in each direction."""
RECTANGLES = 8
"""Random regions, besides the corners and edges."""
RAISED = 4
"""Doses at once by which check 8 moves the cells of a column whose converter is not over its range."""
CLIPS = 1.1
"""Times the full scale that a line must reach for its converter to be surely over its range."""


def read_map_order(bench: Bench) -> Figure:
    """Check 3: one-hot reads of each row and column are the read map, every line in its place."""
    misplaced, lines, said, shown = 0, 0, "", None
    for number, region in enumerate(bench.tiles()):
        known, forward, back = _marked(bench, region)
        shown = shown if shown is not None else forward
        for name, found, wanted in (
            ("row", forward, known),
            ("column", forward.T, known.T),
            ("row, transposed,", back, known),
            ("column, transposed,", back.T, known.T),
        ):
            fits = ((found[:, None, :] - wanted[None, :, :]) ** 2).sum(axis=2)
            own, best = np.diag(fits), fits.argmin(axis=1)
            out = own > fits.min(axis=1) + found.shape[1] * bench.tolerance() ** 2 + 1e-9
            misplaced, lines = misplaced + int(out.sum()), lines + len(found)
            if out.any() and not said:
                at = int(np.argmax(out))
                said = f": {name} {at} of tile {region.tile} is where {int(best[at])} should be"
        bench.report(number + 1, bench.config.tiles)

    def picture(axes: Axes) -> None:
        _map_picture(axes, shown if shown is not None else np.zeros((1, 1)), "sense words, one line driven fully")

    return Figure(
        value=misplaced, limit=0, unit="lines", said=f"out of place of {lines}, rows and columns either way{said}", picture=picture
    )


def _marked(bench: Bench, region: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a region's known pattern and its maps either way: its cells, or what pulses of a random pattern have changed."""
    if Capability.CELLS_READ in bench.claims:
        return (
            bench.observe(region) if bench.exact else _cells_in_words(bench, region),
            bench.map(region),
            bench.map(region, transposed=True),
        )
    before = bench.map(region), bench.map(region, transposed=True)
    counts = np.random.default_rng(3).integers(-3, 4, before[0].shape) * bench.dose
    counts = np.where(np.abs(before[0]) > bench.config.sense_max / 8, -np.sign(before[0]).astype(int) * np.abs(counts), counts)
    pulse(bench.board, region, counts, report=bench.report)
    after = bench.map(region), bench.map(region, transposed=True)
    pulse(bench.board, region, -counts, report=bench.report)
    forward, back = after[0] - before[0], after[1] - before[1]
    scale = float(np.abs(forward).mean() / max(1e-9, np.abs(counts).mean()))
    return counts * scale, forward, back


def _cells_in_words(bench: Bench, region: Region) -> np.ndarray:
    config = bench.config
    return bench.cells(region) * config.drive_max / (1 << config.sense_shift)


def transpose(bench: Bench) -> Figure:
    """Check 4: columns driven and rows sensed give the same map."""
    worst, said, shown = -1.0, "", np.zeros((1, 1))
    limit = bench.tolerance(reads=bench.averages) + bench.wires
    for number, region in enumerate(bench.tiles()):
        off = bench.map(region, transposed=True) - bench.map(region)
        if np.abs(off).max() > worst:
            worst, said, shown = float(np.abs(off).max()), where(np.abs(off), region), off
        bench.report(number + 1, bench.config.tiles)
    return Figure(
        value=worst,
        limit=limit,
        unit="LSB",
        said=f"between the map and the transposed map, at most; worst: {said}",
        picture=lambda axes: _map_picture(axes, shown, "transposed map less map, sense words"),
    )


def linearity(bench: Bench) -> Figure:
    """Check 5: random vectors, either way, are what the map says."""
    region = rectangle(bench.config)
    residuals, limit, said, worst = [], 0.0, "", -1.0
    for transposed in (False, True):
        driven = region.cols if transposed else region.rows
        drives = bench.drives(VECTORS // 2, driven)
        expected, tolerance = bench.expect(bench.known(region, transposed=transposed), drives, transposed=transposed)
        off = read(bench.board, region, drives, transposed=transposed, report=bench.report) - expected
        residuals.append(off.ravel())
        limit = max(limit, tolerance)
        if np.abs(off).max() > worst:
            worst = float(np.abs(off).max())
            at = np.unravel_index(int(np.abs(off).argmax()), off.shape)
            said = f"{'row' if transposed else 'column'} {int(at[1])} of vector {int(at[0])}{', transposed' if transposed else ''}"
    together = np.concatenate(residuals)

    def picture(axes: Axes) -> None:
        axes.hist(together, bins=61, color=ACCENT)
        for end in (-limit, limit):
            axes.axvline(end, color=REFERENCE, linewidth=1.2)
        axes.set_yscale("log")
        axes.set_xlabel("sense words less what they should be, LSB")
        axes.set_ylabel("words")

    return Figure(
        value=worst,
        limit=limit,
        unit="LSB",
        said=f"off, at most, of {VECTORS} random vectors; worst: {said}",
        picture=picture,
        details={"rms_lsb": float(np.sqrt((together**2).mean()))},
    )


def zero(bench: Bench) -> Figure:
    """Check 6: without drives every line reads zero."""
    region, worst, said = rectangle(bench.config), -1.0, ""
    lines: dict[str, np.ndarray] = {}
    for name, transposed in (("column", False), ("row", True)):
        driven = region.cols if transposed else region.rows
        # Driven reads between: what they leave must not be read.
        drives = np.zeros((2 * ZEROS, driven), np.int64)
        drives[1::2] = bench.drives(ZEROS, driven)
        mean = np.abs(read(bench.board, region, drives, transposed=transposed, report=bench.report)[2::2].mean(axis=0))
        lines[name] = mean
        if mean.max() > worst:
            worst, said = float(mean.max()), f"{name} {int(mean.argmax())}"

    def picture(axes: Axes) -> None:
        axes.bar(range(len(lines["column"])), lines["column"], color=ACCENT)
        axes.set_xlabel("column")
        axes.set_ylabel("mean of reads without drives, LSB")

    return Figure(
        value=worst, limit=bench.tolerance(reads=ZEROS), unit="LSB", said=f"read without drives, at most; worst: {said}", picture=picture
    )


def two_phase(bench: Bench) -> Figure:
    """Check 7: the drives and their negatives read as opposites, so that no offset is left."""
    if Capability.TWO_PHASE not in bench.claims:
        raise NotTestedError("the tile claims no two-phase reads")
    region, worst, said = rectangle(bench.config), -1.0, ""
    for name, transposed in (("column", False), ("row", True)):
        drives = bench.drives(ZEROS, region.cols if transposed else region.rows)
        there = read(bench.board, region, drives, transposed=transposed, report=bench.report)
        back = read(bench.board, region, -drives, transposed=transposed, report=bench.report)
        even = np.abs((there + back) / 2).max(axis=0)
        if even.max() > worst:
            worst, said = float(even.max()), f"{name} {int(even.argmax())}"
    return Figure(value=worst, limit=bench.tolerance(reads=2), unit="LSB", said=f"in common of opposite drives, at most; worst: {said}")


def over_range(bench: Bench) -> Figure:
    """Check 8: a converter beyond its range says so, on either side, and the next read is right."""
    board, config = bench.board, bench.config
    region = rectangle(config)
    if Capability.CELLS_WRITE in bench.claims:
        bench.lay(
            np.full((config.rows, config.tile_cols), int(0.95 * min(config.cell_max, bench.device.bound_up * (1 << config.cell_frac))))
        )
    given = np.zeros((region.rows, region.cols), int)
    try:
        found = bench.observe(region)
        col = int(np.abs(found).sum(axis=0).argmax())
        if Capability.CELLS_WRITE not in bench.claims:
            found = _raised(bench, region, col, found, given)
        reach = float(np.abs(found[:, col]).sum())
        if reach < CLIPS * config.sense_max:
            raise NotTestedError(
                f"all cells of the strongest column reach {reach:.0f} of {config.sense_max} sense words: no converter can be over"
            )
        push = np.where(found[:, col] >= 0, config.drive_max, -config.drive_max)
        calm = bench.drives(1, region.rows)[0] // 8
        drives = np.array([calm, push, calm, -push, calm])
        before = board.raw_counters()[Counter.SENSE_CLIPPED]
        words = read(board, region, drives)
        counted = board.raw_counters()[Counter.SENSE_CLIPPED] - before & 0xFFFFFFFF
        sums = drives / config.drive_max @ found
        surely, perhaps = int((np.abs(sums) > CLIPS * config.sense_max).sum()), int((np.abs(sums) > config.sense_max / CLIPS).sum())
        wrong = [] if surely <= counted <= perhaps else [f"over said {counted} times, not {surely} to {perhaps}"]
        wrong += [f"column {col} reads {w}" for w, sign in ((words[1, col], 1), (words[3, col], -1)) if w != sign * config.sense_max]
        after = np.abs(words[[2, 4]] - words[0]).max()
        if after > bench.tolerance():
            wrong.append(f"the read behind one over range is {after} LSB off")
    finally:
        with board.heeding(Stop()):
            pulse(board, region, -given)
            bench.lay()
    return Figure(value=len(wrong), limit=0, unit="wrong", said="; ".join(wrong) or f"over said {counted} times, and the next read right")


def _raised(bench: Bench, region: Region, col: int, found: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Pulse a column's cells away from zero while that helps and is needed; return the cells, and in `given` what has been given."""
    column = np.where(found[:, col] >= 0, 1, -1)
    while (reach := np.abs(found[:, col]).sum()) < CLIPS * bench.config.sense_max:
        counts = np.zeros_like(given)
        counts[:, col] = RAISED * column * bench.dose
        pulse(bench.board, region, counts)
        given += counts
        found = bench.observe(region)
        if np.abs(found[:, col]).sum() < reach + bench.seen * region.rows:
            break
    return found


def edges(bench: Bench) -> Figure:
    """Check 9: a region reads as itself, whatever lies beside it and was driven before."""
    config, rng = bench.config, bench.rng
    rows, cols = config.tile_rows, config.tile_cols
    shapes = [(0, 1, 0, 1), (rows - 1, 1, cols - 1, 1), (0, 1, 0, cols), (rows - 1, 1, 0, cols), (0, rows, 0, 1), (0, rows, cols - 1, 1)]
    shapes += [(0, rows, 0, cols), (0, max(1, rows // 2), 0, max(1, cols // 2))]
    for _ in range(RECTANGLES):
        height, width = int(rng.integers(1, rows + 1)), int(rng.integers(1, cols + 1))
        shapes.append((int(rng.integers(rows - height + 1)), height, int(rng.integers(cols - width + 1)), width))
    worst, limit, said = -1.0, 0.0, ""
    known = bench.known_tiles()
    for number, (row0, height, col0, width) in enumerate(shapes):
        tile = number % config.tiles
        region, whole = rectangle(config, tile, row0, height, col0, width), rectangle(config, tile)
        for transposed in (False, True):
            drives = bench.drives(4, width if transposed else height)
            inside = known[tile][transposed][row0 : row0 + height, col0 : col0 + width]
            expected, tolerance = bench.expect(inside, drives, transposed=transposed)
            read(bench.board, whole, bench.drives(1, cols if transposed else rows), transposed=transposed)
            off = np.abs(read(bench.board, region, drives, transposed=transposed) - expected)
            limit = max(limit, tolerance)
            if off.max() > worst:
                worst = float(off.max())
                said = f"{height} x {width} from row {row0}, column {col0} of tile {tile}{', transposed' if transposed else ''}"
        bench.report(number + 1, len(shapes))
    return Figure(value=worst, limit=limit, unit="LSB", said=f"off, at most, in {2 * len(shapes)} regions; worst: {said}")


def _map_picture(axes: Axes, values: np.ndarray, label: str) -> None:
    most = max(1.0, float(np.abs(values).max()))
    image = axes.imshow(values, cmap=ARRAY_COLORS, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    bar = axes.figure.colorbar(image, ax=axes)
    bar.set_label(label, color=INK)
