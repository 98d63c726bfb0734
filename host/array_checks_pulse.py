"""The checks of an array's pulses, aborts, trips and refusals: 10 to 14, 18, 19 and 22 of the conformance bench."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from backpulse.firmware_py.isa import Function, Instruction, Op, Region, Vector
from backpulse.firmware_py.registers import REG, ArrayWord, Capability, Cause, Counter, Fault, TileKind, TileState, Window
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_bench import Bench, Figure, NotTestedError, where
from backpulse.host.array_chain import Chain
from backpulse.host.array_operations import ROW_BYTE, pulse, pulse_scale, read, rectangle, sensed_words
from backpulse.host.errors import FaultError
from backpulse.host.plots import ACCENT, REFERENCE, SOFT

HALF_SELECTS = 1000
"""Pulses of one cell, each way, of the half-select check."""
LEAST_SHARE = 0.75
"""Part of a change in what is read that the pulses must explain, where nobody knows what a pulse does."""
UNLIMITED = (1 << 32) - 1
"""What ArrayWord.BUDGET holds where there is no limit."""


def signs(bench: Bench) -> Figure:
    """Check 10: every cell goes the way of its pulses, up and down, and further with more of them."""
    wrong, cells, said = 0, 0, ""
    shown: list[tuple[np.ndarray, np.ndarray]] = []
    for region in bench.tiles():
        before = bench.observe(region)
        # Towards the middle first: a cell may lie at its bound.
        first = np.where(before > 0, -1, 1) * bench.dose
        for counts in (first, first * 2, -first, -first * 2):
            pulse(bench.board, region, counts, report=bench.report)
            after = bench.observe(region)
            shown.append((counts, after - before))
            before = after
        moved = [np.sign(counts) * change for counts, change in shown[-4:]]
        bad = np.zeros(before.shape, bool)
        for once, twice in (moved[:2], moved[2:]):
            bad |= (once <= bench.seen / 2) | (twice < once)
        wrong, cells = wrong + int(bad.sum()), cells + bad.size
        if bad.any() and not said:
            at = np.unravel_index(int(bad.argmax()), bad.shape)
            said = f": {where(bad, region)} went {', '.join(f'{m[at]:.2f}' for m in moved)} LSB along"

    def picture(axes: Axes) -> None:
        for counts, change in shown[:4]:
            jitter = np.random.default_rng(1).uniform(-0.3, 0.3, counts.shape)
            axes.plot((counts + jitter).ravel(), change.ravel(), ".", color=ACCENT, alpha=0.3, markersize=4)
        axes.set_xlabel("pulses")
        axes.set_ylabel("change of a cell, LSB")

    counts = f"{bench.dose} and {2 * bench.dose} pulses"
    return Figure(value=wrong, limit=0, unit="cells", said=f"of {cells} that did not follow {counts} up and down{said}", picture=picture)


def half_select(bench: Bench) -> Figure:
    """Check 11: the neighbours of a cell that gets 1,000 pulses stay; a row is pulsed as its cells are alone."""
    config, region = bench.config, rectangle(bench.config)
    row, col = config.tile_rows // 2, config.tile_cols // 2
    counts = np.zeros((config.tile_rows, config.tile_cols), int)
    counts[row, col] = HALF_SELECTS
    before = bench.observe(region)
    pulse(bench.board, region, counts, report=bench.report)
    moved = np.abs(bench.observe(region) - before)
    pulse(bench.board, region, -counts, report=bench.report)
    moved[row, col] = 0
    worst, limit, said = float(moved.max()), bench.seen, f"a cell that shares a line with it, or none: {where(moved, region)}"
    bench.lay()
    # One row: alone, cell by cell, and then whole.
    line = rectangle(config, row0=row, rows=1)
    changes = []
    for mask in (np.eye(config.tile_cols, dtype=int)[col], np.ones(config.tile_cols, int)):
        before = bench.observe(line)[0, col]
        pulse(bench.board, line, (mask * bench.dose)[None])
        changes.append(bench.observe(line)[0, col] - before)
        pulse(bench.board, line, (-mask * bench.dose)[None])
        bench.lay()
    apart = abs(changes[1] - changes[0])
    if bench.device.is_ideal or not bench.exact:  # else the two runs draw other noise
        worst, said = max((worst, said), (apart, f"column {col} in a pulsed row, against itself alone"))
    shown = moved

    def picture(axes: Axes) -> None:
        axes.bar(range(config.tile_cols), shown[row], color=ACCENT, label=f"row {row}")
        axes.plot(shown.max(axis=0), ".", color=REFERENCE, label="worst of its column")
        axes.axhline(limit, color=SOFT, linewidth=1)
        axes.set_xlabel("column")
        axes.set_ylabel(f"change by {HALF_SELECTS} pulses at column {col}, LSB")
        axes.legend()

    return Figure(value=worst, limit=limit, unit="LSB", said=f"moved beside {HALF_SELECTS} pulses, at most; worst: {said}", picture=picture)


def read_disturb(bench: Bench) -> Figure:
    """Check 12: reads leave the cells as they are."""
    if bench.kind is not TileKind.ANALOG:
        raise NotTestedError("hardware alone can show it")
    config, region = bench.config, rectangle(bench.config)
    before, count = bench.observe(region), min(config.order_depth, 256)
    vectors = [Vector(base=0, length=region.rows, sample=1), Vector(base=0, length=region.cols)]
    full = np.full((1, region.rows), config.drive_max)  # no read sees more
    chain = Chain(bench.board, [[Instruction(op=Op.READ, a=0, b=1)]], vectors, full, [region])
    for done in range(0, bench.reads, count):
        chain.run(np.zeros(count, int), start=done == 0)
        bench.report(done + count, bench.reads)
    bench.board.stop()
    moved = np.abs(bench.observe(region) - before)
    return Figure(
        value=float(moved.max()),
        limit=bench.seen,
        unit="LSB",
        said=f"moved by {bench.reads:,} reads, at most; worst: {where(moved, region)}",
    )


def settled(bench: Bench) -> Figure:
    """Check 13: a read right behind a pulse is the read of a while later."""
    config, rng = bench.config, bench.rng
    rows = min(config.tile_rows, config.page_bytes - 1 - config.tile_cols, config.vector_words // 2)
    whole, worst, said = rectangle(config, rows=rows), -1.0, ""
    vectors = [Vector(base=0, length=1, sample=1), Vector(base=1, length=config.tile_cols, sample=1)]
    vectors += [
        Vector(base=1 + config.tile_cols, length=rows, sample=1),
        *(Vector(base=i * config.tile_cols, length=config.tile_cols) for i in range(2)),
    ]
    for trial in range(8):
        line = rectangle(config, row0=int(rng.integers(rows)), rows=1)
        counts = bench.dose * np.where(np.arange(config.tile_cols) % 2, 1, -1)
        counts = np.clip(counts, -config.pulse_max, config.pulse_max) * (-1) ** trial
        reads = [Instruction(op=Op.READ, region=1, a=2, b=3 + i, function=Function.PARTIAL) for i in range(2)]
        sample = np.concatenate([[ROW_BYTE], counts, bench.drives(1, rows)[0]])[None]
        chain = Chain(bench.board, [[Instruction(op=Op.PULSE, a=0, b=1), *reads]], vectors, sample, [line, whole])
        bench.board.link.write_words(REG["SCALE"].address, [pulse_scale(config).to_word()])
        chain.run(np.arange(1))
        first, later = sensed_words(config, bench.board.link.read_words(Window.VECTOR_MEMORY.base, 2 * config.tile_cols)).reshape(2, -1)
        bench.board.stop()
        off = np.abs(first - later)
        if off.max() > worst:
            worst, said = float(off.max()), f"column {int(off.argmax())}, behind a pulse of row {line.row0}"
    return Figure(value=worst, limit=bench.tolerance(), unit="LSB", said=f"between a read right behind a pulse and the next; worst: {said}")


def refusals(bench: Bench) -> Figure:
    """Check 19: a profile that the tile does not know is refused, takes no data, and the next command is right."""
    profiles = bench.board.facts.profiles
    if bench.config.lean:
        raise NotTestedError("a lean machine has no profiles to refuse")
    if profiles > 15:
        raise NotTestedError("the tile knows every profile that an instruction can name")
    region, wrong = rectangle(bench.config), []
    cells, drives = bench.observe(region), bench.drives(1, region.rows)
    before = read(bench.board, region, drives)
    pulses = np.full((region.rows, region.cols), bench.dose)
    for name, command in (
        ("READ", lambda: read(bench.board, region, drives, profile=profiles)),
        ("READT", lambda: read(bench.board, region, bench.drives(1, region.cols), transposed=True, profile=profiles)),
        ("PULSE", lambda: pulse(bench.board, region, pulses, profile=profiles)),
    ):
        try:
            command()
            wrong.append(f"{name} with profile {profiles} was done")
        except FaultError as error:
            if error.fault != Fault.BAD_OPERAND:
                wrong.append(f"{name} with profile {profiles} ended in fault {error.fault}")
        if np.abs(read(bench.board, region, drives) - before).max() > bench.tolerance():
            wrong.append(f"the read behind a refused {name} is another")
    if np.abs(bench.observe(region) - cells).max() > bench.seen:
        wrong.append("cells have moved")
    said = "; ".join(wrong) or f"READ, READT and PULSE with profile {profiles} were refused, and the next reads right"
    return Figure(value=len(wrong), limit=0, unit="wrong", said=said)


def budget(bench: Bench) -> Figure:
    """Check 18: the pulse behind the last of the budget trips the array, and the trip stays until it is cleared."""
    if Capability.TRIPS not in bench.claims:
        raise NotTestedError("the tile claims no trips")
    if Capability.BUDGET not in bench.claims:
        raise NotTestedError("the tile claims no budget of pulses, and nothing else that the host could make it trip by")
    board, config, wrong = bench.board, bench.config, []
    at, count = Window.ARRAY.base + ArrayWord.BUDGET, 2
    region = rectangle(config, rows=min(3, config.tile_rows))
    counts = np.full((region.rows, region.cols), count)
    # The first row, and one more: of a cell, or of the first half of a pair, whose pulse is done with its second.
    row, pieces = count * region.cols, AnalogTile(board).lines.pieces if Capability.DIRECT in bench.claims else 1
    left, given, asked = pieces * row + 1, row + (pieces == 1), 2 * row
    missed = board.raw_counters()[Counter.PULSES_MISSED]

    def faults(what: str, operation: Callable[[], object]) -> None:
        try:
            operation()
            wrong.append(f"{what} was done")
        except FaultError as error:
            if (error.fault, error.cause) != (Fault.TILE, Cause.BUDGET):
                wrong.append(f"{what} ended in fault {error.fault} with cause {error.cause}")

    try:
        board.link.write_words(at, [left])
        faults(f"{counts.sum()} pulses on a budget of {left}", lambda: pulse(board, region, counts))
        missed = board.raw_counters()[Counter.PULSES_MISSED] - missed & 0xFFFFFFFF
        if missed != asked - given:
            wrong.append(f"PULSES_MISSED gained {missed}, not {asked - given}")
        state, trip = board.tile_state()
        if trip != Cause.BUDGET or state & ~TileState.INTERLOCK != TileState.TRIPPED | TileState.SAFE:
            wrong.append(f"STATE {int(state)} and TRIP {trip} behind the trip")
        faults("a read while tripped", lambda: read(board, region, bench.drives(1, region.rows)))
        if board.tile_state()[1] != Cause.BUDGET:
            wrong.append("START has cleared the trip")
    finally:
        bench.rest()
        board.link.write_words(at, [UNLIMITED])
    pulse(board, region, counts)
    pulse(board, region, -counts)
    if board.tile_state()[1]:
        wrong.append("a write of TRIP did not clear it")
    bench.lay()
    return Figure(value=len(wrong), limit=0, unit="wrong", said="; ".join(wrong) or f"{left} pulses, then a trip that stayed until cleared")


def self_check(bench: Bench) -> Figure:
    """Check 22: after pulses of an outer product, what comes back through the array has changed by just these pulses."""
    config, rng = bench.config, bench.rng
    rows = min(config.tile_rows, config.page_bytes - config.tile_cols)
    region, board = rectangle(config, rows=rows), bench.board
    errors = bench.drives(32, region.cols)
    a = np.where(rng.integers(0, 2, rows), ROW_BYTE, -ROW_BYTE)
    b = rng.integers((config.pulse_max + 1) // 2, config.pulse_max + 1, region.cols) * rng.choice([-1, 1], region.cols)
    a[rows // 2] = a[rows // 2] if rows < 3 else 0
    passes = 1 if bench.exact else -(-bench.dose // max(1, config.pulse_max // 2))
    before, cells = read(board, region, errors, transposed=True), bench.cells(region) if bench.exact else None
    vectors = [Vector(base=0, length=rows, sample=1), Vector(base=rows, length=region.cols, sample=1)]
    counts = np.outer(np.sign(a), b)
    _outer(bench, region, vectors, a, b, passes)
    after = read(board, region, errors, transposed=True)
    found = (after - before).astype(float)
    if bench.steady and cells is not None:
        wanted = [bench.sensed(words, errors, transposed=True)[0] for words in (bench.pulsed(cells, counts), cells)]
        expected, limit = wanted[0] - wanted[1], 2 * bench.tolerance()
        off = np.abs(found - expected).max(axis=0)
        figure = Figure(
            value=float(off.max()),
            limit=limit,
            unit="LSB",
            said=f"between what came back and what the pulses mean, at most; worst: row {int(off.argmax())}",
        )
    else:
        expected = errors @ counts.T * 1.0
        expected *= float((found * expected).sum() / max(1e-9, (expected**2).sum()))
        left = ((found - expected) ** 2).sum() / max(1e-9, (found**2).sum())
        figure = Figure(
            value=100 * float(left), limit=100 * (1 - LEAST_SHARE), unit="%", said="of the change in what came back is not the pulses'"
        )
    _outer(bench, region, vectors, -a, b, passes)
    bench.lay()

    def picture(axes: Axes) -> None:
        axes.plot(expected.ravel(), found.ravel(), ".", color=ACCENT, alpha=0.4, markersize=4)
        ends = [float(expected.min()), float(expected.max())]
        axes.plot(ends, ends, color=REFERENCE, linewidth=1)
        axes.set_xlabel("dW'd, LSB")
        axes.set_ylabel("e after less e before, LSB")

    return replace(figure, picture=picture)


def _outer(bench: Bench, region: Region, vectors: list[Vector], a: np.ndarray, b: np.ndarray, passes: int) -> None:
    """Pulse the outer product of two vectors of bytes over a region, in one instruction, several times."""
    chain = Chain(bench.board, [[Instruction(op=Op.PULSE, a=0, b=1)]], vectors, np.concatenate([a, b])[None], [region])
    bench.board.link.write_words(REG["SCALE"].address, [pulse_scale(bench.config).to_word()])
    for number in range(passes):
        chain.run(np.zeros(1, int), start=number == 0)
    bench.board.stop()
