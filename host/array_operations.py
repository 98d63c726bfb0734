"""Operations on an array by hand-written programs, over any board: reads with chosen drives, the read map, chosen pulses.

Nothing here asks for cells that can be read or written. They take the place of the program, the tables and the samples that the board
held, and scale register 0; the board is at rest afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.framing import Opcode
from backpulse.firmware_py.image import instruction_words
from backpulse.firmware_py.isa import Function, Instruction, Op, Region, Scale, Vector
from backpulse.firmware_py.registers import REG, Cause, Counter, Fault, State, Window
from backpulse.host.board import EVALUATION, Board
from backpulse.host.commands import check, command, granted, words, writes
from backpulse.host.errors import HostError, InputError, NoProgressError
from backpulse.host.run import counter_reads, state_of, status_reads

Tell = Callable[[int, int], None]
"""Called with (done, total) as an operation goes on."""

PATIENCE_S = 60.0
"""Time in which a board that answers must end a sample, if its own watchdog does not end it: a row of slow pulses takes a while."""
POLL_S = 0.002
"""Longest pause between two looks at a board that works."""
ROW_BYTE = 64
"""What a row that is pulsed holds: with `pulse_scale` a column's byte is its count."""


class FaultError(HostError):
    """The controller stopped with a fault in the middle of an operation (exit code 1).

    Attributes
    ----------
    fault : int
        A Fault.
    cause : int
        Cause of a tile that failed.
    done : int
        Samples of the operation that had ended.
    """

    def __init__(self, code: int, address: int, done: int) -> None:
        self.fault, self.cause, self.done = code & 0xFF, code >> 8, done
        name = Fault(self.fault).name if self.fault in set(Fault) else str(self.fault)
        why = f" ({Cause(self.cause).name if self.cause in set(Cause) else self.cause})" if self.cause else ""
        super().__init__(f"The board stopped with fault {name}{why} at program address {address} of an operation on its array")


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


class Chain:
    """A program that is a chain of one instruction and a NEXT for each sample, loaded into a board at rest.

    Many samples run between two exchanges, on any board: each instruction may leave its result in a vector of its own.

    Parameters
    ----------
    board : Board
    steps : sequence of Instruction
        The first is for the first sample; behind the last the first follows.
    vectors : sequence of Vector
    samples : ndarray
        Integers of shape (samples, bytes), each -128 to 127.
    regions : sequence of Region
    bank : int
        Bank of the read-noise stream.
    """

    def __init__(
        self,
        board: Board,
        steps: Sequence[Instruction],
        vectors: Sequence[Vector],
        samples: np.ndarray,
        regions: Sequence[Region],
        *,
        bank: int = EVALUATION,
    ) -> None:
        self._board, self._bank = board, bank
        chain = [Instruction(op=Op.NEXT, region=1)]
        for at, step in enumerate(steps):
            chain += [step, Instruction(op=Op.NEXT, region=2 * at + 3 if at + 1 < len(steps) else 1)]
        records = np.zeros((len(samples), -(-samples.shape[1] // 4) * 4), np.int8)
        records[:, : samples.shape[1]] = samples
        records = records.view("<u4")
        board.stop()
        board.write(
            [
                (Window.PROGRAM.base, instruction_words(ins.encode() for ins in chain)),
                (Window.REGIONS.base, [word for region in regions for word in region.to_words()]),
                (Window.VECTORS.base, [vector.to_word() for vector in vectors]),
                (REG["STRIDE"].address, [records.shape[1]]),
            ]
        )
        board.upload(records)

    def start(self) -> None:
        """Begin with the first instruction: the board waits for a sample."""
        self._board.link.run([*writes(REG["ENTRY"].address, [0, self._bank]), command(Opcode.START)])

    def grant(self, indices: np.ndarray) -> None:
        """Let the board work on samples, which must fit its order and its store."""
        provided = self._board.provide(indices)
        self._board.link.exchange(provided)
        check(request for request in provided if request.opcode is not Opcode.GRANT)
        taken = granted([request for request in provided if request.opcode is Opcode.GRANT])
        self._board.taken(taken)
        if taken < len(indices):
            raise NoProgressError(f"The board took {taken} of {len(indices)} samples, and its order is not that short")

    def run(self, indices: np.ndarray) -> None:
        """Let the board work on samples, and wait until it is paused behind them.

        Raises
        ------
        FaultError
            If it stops with a fault.
        NoProgressError
            If it does not go on.
        """
        link = self._board.link
        before = self._board.raw_counters()[Counter.STEPS]
        self.grant(indices)
        done, moved = 0, monotonic()
        while True:
            status, counters = status_reads(), counter_reads()
            link.exchange([*status, *counters])
            steps = (words(counters)[Counter.STEPS] - before) & 0xFFFFFFFF
            state, code, at = state_of(words(status))
            if state is State.FAULT:
                raise FaultError(code, at, steps)
            if steps == len(indices) and state is State.PAUSED:
                return
            if steps != done:
                done, moved = steps, monotonic()
            if monotonic() - moved > max(PATIENCE_S, link.patience_s):
                link.abort()
                raise NoProgressError(f"The board has ended no read or pulse for {PATIENCE_S:.0f} s, and was aborted")
            link.wait(POLL_S)


def room(config: Config, sample_bytes: int) -> int:
    """Return how many samples a chain may have in one go: its program, the order and the store are as long.

    Raises
    ------
    InputError
        If not even one fits.
    """
    stride = -(-sample_bytes // 4)
    if sample_bytes > config.page_bytes or stride > config.store_words:
        raise InputError(
            f"A sample of {sample_bytes} bytes does not fit this board, whose page has {config.page_bytes}: take a smaller area"
        )
    return min((config.program_words - 1) // 2, config.order_depth, config.store_words // stride)


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
    steps = [Instruction(op=op, a=0, b=1 + i, function=Function.PARTIAL, profile=profile) for i in range(count)]
    chain = Chain(board, steps, vectors, drives, [region], bank=bank)
    found: list[int] = []
    chain.start()
    for at in range(0, len(drives), count):
        several = min(count, len(drives) - at)
        chain.run(np.arange(at, at + several))
        found += board.link.read_words(Window.VECTOR_MEMORY.base, several * sensed)
        if report:
            report(at + several, len(drives))
    board.stop()
    return np.array(found, np.uint32).view(np.int32).astype(np.int64).reshape(-1, sensed) >> config.forward_shift


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
    steps = [Instruction(op=Op.PULSE, region=i, a=0, b=1, profile=profile) for i in range(len(places))]
    chain = Chain(board, steps, vectors, np.column_stack([np.full(len(counts), ROW_BYTE), counts]), places)
    board.link.write_words(REG["SCALE"].address, [pulse_scale(board.config).to_word()])
    chain.start()
    chain.run(np.arange(len(places)))
    board.stop()
