"""Operations on an array by hand-written programs, over any board: reads with chosen drives, the read map, chosen pulses.

Nothing here asks for cells that can be read or written. They take the place of the program, the tables and the samples that the board
held, and scale register 0; the board is at rest afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Function, Instruction, Op, Region, Scale, Vector
from backpulse.firmware_py.registers import REG, Window
from backpulse.host.array_chain import Chain, room
from backpulse.host.board import EVALUATION, Board
from backpulse.host.errors import InputError

Tell = Callable[[int, int], None]
"""Called with (done, total) as an operation goes on."""

ROW_BYTE = 64
"""What a row that is pulsed holds: with `pulse_scale` a column's byte is its count."""


def rectangle(config: Config, tile: int = 0, row0: int = 0, rows: int | None = None, col0: int = 0, cols: int | None = None) -> Region:
    """Return a region of a tile, by default all from its corner on: `scale_log2` 0, no offsets.

    Raises
    ------
    InputError
        If it does not lie inside the tile.
    """
    rows, cols = config.tile_rows - row0 if rows is None else rows, config.tile_cols - col0 if cols is None else cols
    if not (0 <= tile < config.tiles and 0 <= row0 < row0 + rows <= config.tile_rows and 0 <= col0 < col0 + cols <= config.tile_cols):
        raise InputError(
            f"{rows} x {cols} cells from row {row0} and column {col0} of tile {tile} on are not on this board, "
            f"which has {config.tiles} tiles of {config.tile_rows} x {config.tile_cols}: name an area inside one of them"
        )
    return Region(tile=tile, row0=row0, rows=rows, col0=col0, cols=cols, row_offset=0, col_offset=0, scale_log2=0)


def read(
    board: Board,
    region: Region,
    drives: np.ndarray,
    *,
    transposed: bool = False,
    profile: int = 0,
    bank: int = EVALUATION,
    report: Tell | None = None,
) -> np.ndarray:
    """Drive the lines of a region, once for each row of `drives`, and return what the others sense.

    Parameters
    ----------
    board : Board
    region : Region
    drives : ndarray
        Integers of shape (reads, rows), or (reads, columns) if `transposed`: drive words, `drive_max` at most either way.
    transposed : bool
        Drive the columns and sense the rows: READT.
    profile, bank : int
        Of the reads; the bank of evaluation leaves the read noise of training alone.
    report : callable, optional
        Called with (reads done, reads).

    Returns
    -------
    ndarray
        Sense words, int64 of shape (reads, columns), or (reads, rows).

    Raises
    ------
    FaultError
        If the board stops: a profile that the tile does not know, a tile that fails.
    InputError
        If the drives have another length, a drive is beyond `drive_max`, or a region's lines do not fit this board's memories.
    """
    config, (driven, sensed) = board.config, (region.cols, region.rows) if transposed else (region.rows, region.cols)
    drives = np.asarray(drives)
    if drives.ndim != 2 or drives.shape[1] != driven or np.abs(drives).max(initial=0) > config.drive_max:
        raise InputError(
            f"Drives must be {driven} words a read, each from {-config.drive_max} to {config.drive_max}: one for each driven line"
        )
    count = min(len(drives), room(config, driven), config.vectors - 1, config.vector_words // sensed)
    if not len(drives):
        return np.zeros((0, sensed), np.int64)
    if not count:
        raise InputError(f"{sensed} lines do not fit this board's vector memory of {config.vector_words} words: sense fewer at a time")
    vectors = [Vector(base=0, length=driven, sample=1), *(Vector(base=i * sensed, length=sensed) for i in range(count))]
    op = Op.READT if transposed else Op.READ
    steps = [[Instruction(op=op, a=0, b=1 + i, function=Function.PARTIAL, profile=profile)] for i in range(count)]
    chain = Chain(board, steps, vectors, drives, [region], bank=bank)
    found: list[int] = []
    for at in range(0, len(drives), count):
        several = min(count, len(drives) - at)
        chain.run(np.arange(at, at + several), start=at == 0)
        found += board.link.read_words(Window.VECTOR_MEMORY.base, several * sensed)
        if report:
            report(at + several, len(drives))
    board.stop()
    return sensed_words(config, found).reshape(-1, sensed)


def sensed_words(config: Config, words: Sequence[int]) -> np.ndarray:
    """Return the sense words that forward reads without a function left in vector memory: int64."""
    return np.array(words, np.uint32).view(np.int32).astype(np.int64) >> config.forward_shift


def one_hot(config: Config, lines: int) -> np.ndarray:
    """Return the drives of a read map: each line alone, fully; int64 of shape (lines, lines)."""
    return config.drive_max * np.eye(lines, dtype=np.int64)


def read_map(
    board: Board, region: Region, *, transposed: bool = False, profile: int = 0, averages: int = 1, report: Tell | None = None
) -> np.ndarray:
    """Return what each cell of a region is sensed as when its line alone is driven, fully: the read map.

    Parameters
    ----------
    board, region, profile, report
        As of `read`.
    transposed : bool
        Drive the columns one by one and sense the rows.
    averages : int
        Reads of each line.

    Returns
    -------
    ndarray
        Mean sense words, float64 of shape (rows, columns) in either direction; `cell_sense` is their unit.
    """
    lines = region.cols if transposed else region.rows
    drives = np.tile(one_hot(board.config, lines), (averages, 1))
    mean = read(board, region, drives, transposed=transposed, profile=profile, report=report).reshape(averages, lines, -1).mean(axis=0)
    return mean.T if transposed else mean


def cell_sense(config: Config) -> float:
    """Return the sense words, not rounded, of a cell of one device unit that is driven alone and fully."""
    return config.drive_max * 2.0 ** (config.cell_frac - config.sense_shift)


def pulse_scale(config: Config) -> Scale:
    """Return the scale with which bytes of a sample, ROW_BYTE for a row and n for a column, plan n pulses (docs/machine.md, PULSE)."""
    # x = 23 - magnitude makes q = 0 and f = magnitude + 1; then u = (ROW_BYTE << shift) * rshift((n << shift) * mantissa, f) is n << 16.
    bits = 17 - ROW_BYTE.bit_length() - 2 * config.drive_shift
    return Scale(mantissa=1 << config.vector_frac + 1 + bits, exponent=23 - config.vector_frac)


def pulse(board: Board, region: Region, counts: np.ndarray, *, profile: int = 0, report: Tell | None = None) -> None:
    """Give each cell of a region its number of pulses, row by row.

    A row without pulses is left alone; one with more than `pulse_max` in a cell is pulsed several times.

    Parameters
    ----------
    board : Board
    region : Region
    counts : ndarray
        Integers of shape (rows, columns); positive is potentiation.
    profile : int
        Of the pulses.
    report : callable, optional
        Called with (rows pulsed, rows to pulse).

    Raises
    ------
    FaultError
        If the board stops: a profile that the tile does not know, a tile that fails.
    InputError
        If the counts have another shape, or a row does not fit a sample of this board.
    """
    config, counts = board.config, np.asarray(counts)
    if counts.shape != (region.rows, region.cols):
        raise InputError(f"Counts must be of the area's shape, {region.rows} x {region.cols}, not {' x '.join(map(str, counts.shape))}")
    rows: list[int] = []
    parts: list[np.ndarray] = []
    for row, left in enumerate(counts):
        while left.any():
            rows.append(row)
            parts.append(np.clip(left, -config.pulse_max, config.pulse_max))
            left = left - parts[-1]
    count = min(room(config, 1 + region.cols), config.regions)
    for at in range(0, len(rows), count):
        places = [replace(region, row0=region.row0 + row, rows=1) for row in rows[at : at + count]]
        pulse_rows(board, places, np.array(parts[at : at + count]), profile=profile)
        if report:
            report(at + len(places), len(rows))


def pulse_rows(board: Board, places: Sequence[Region], counts: np.ndarray, *, profile: int = 0) -> None:
    """Pulse regions of one row each, of equal width, as many as there is `room`; counts (regions, columns) of at most `pulse_max`."""
    vectors = [Vector(base=0, length=1, sample=1), Vector(base=1, length=counts.shape[1], sample=1)]
    steps = [[Instruction(op=Op.PULSE, region=i, a=0, b=1, profile=profile)] for i in range(len(places))]
    chain = Chain(board, steps, vectors, np.column_stack([np.full(len(counts), ROW_BYTE), counts]), places)
    board.link.write_words(REG["SCALE"].address, [pulse_scale(board.config).to_word()])
    chain.run(np.arange(len(places)))
    board.stop()
