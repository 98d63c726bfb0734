"""Check 21 of the conformance bench: what a read drives and samples, and what a tile makes of samples, by sign, codes and formula."""

import numpy as np

from backpulse.firmware_py.analog import (
    AVERAGES_AT,
    AVERAGES_LOG2_MAX,
    GAIN_FRAC,
    OFFSET_BITS,
    SCALE_FRAC,
    LineClass,
    LineWord,
    Phase,
    Profile,
    ProfileFlag,
    ProfileWord,
    Reference,
    sense_word,
)
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.registers import ArrayWord, Counter
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_bench import Bench, Figure
from backpulse.host.array_checks_direct import codes_of, direct_tile, kept, sums_of
from backpulse.host.array_operations import read, rectangle

READS = 4
"""Reads of each way of scaling."""
PASSIVE = 0.02
"""Share of the largest current of any line by which one may flow against its voltage, for offsets and noise."""


def scaled(bench: Bench) -> Figure:
    """Check 21: currents have the sign of their voltages, lines the codes of their drives, sense words are what samples make of them."""
    tile, wrong = direct_tile(bench), []
    with kept(bench, tile):
        wrong += _passive(bench, tile)
        wrong += _driven(bench, tile)
        words, said = _formula(bench, tile)
    wrong += said
    told = f"{words} sense words are those of their samples, calibration and drives; lines are driven as asked, and currents flow with them"
    return Figure(value=len(wrong), limit=0, unit="wrong", said="; ".join(wrong) or told, details={"words": words})


def _passive(bench: Bench, tile: AnalogTile) -> list[str]:
    """Cells are resistors: a line that is driven up makes a current flow into all others."""
    lines, wrong = tile.lines, []
    code = rshift(bench.config.drive_max * tile.profile(0)[ProfileWord.SCALE], SCALE_FRAC)
    for name, first, count, others in (
        ("row", 0, lines.rows, slice(lines.rows, lines.rows + lines.cols)),
        ("column", lines.rows, lines.cols, slice(0, lines.rows)),
    ):
        found = np.zeros((count, others.stop - others.start))
        for k in range(count):
            codes = np.zeros(lines.count, int)
            codes[first + k] = code
            found[k] = (tile.measure(codes).values - tile.measure(-codes).values)[others] / 2
        if (found < -PASSIVE * np.abs(found).max()).any() or not found.any():
            at = np.unravel_index(int(found.argmin()), found.shape)
            wrong.append(f"{name} {int(at[0])}, driven up, draws a current of {found.min():.0f} samples from a line: against its voltage")
    return wrong


def _driven(bench: Bench, tile: AnalogTile) -> list[str]:
    """The samples of a read are those of a direct measurement with the codes of its drives."""
    lines, config, wrong = tile.lines, bench.config, []
    profile = tile.profile(0)
    if profile[ProfileWord.FLAGS] & ProfileFlag.UNIPOLAR:
        return []  # its phases drive other lines
    whole, gain = rectangle(config), tile.calibration()[LineWord.GAIN] / (1 << GAIN_FRAC)
    averages = 1 << (profile[ProfileWord.FLAGS] >> AVERAGES_AT & AVERAGES_LOG2_MAX)
    two = bool(profile[ProfileWord.FLAGS] & ProfileFlag.TWO_PHASE)
    for transposed in (False, True):
        drives = bench.drives(1, config.tile_cols if transposed else config.tile_rows)
        read(bench.board, whole, drives, transposed=transposed)
        sums, _ = sums_of(tile)
        codes = np.array([rshift(int(drive) * profile[ProfileWord.SCALE], SCALE_FRAC) for drive in drives[0]])
        ways = []
        for sign, phase in ((1, Phase.READ), (-1, Phase.READ_NEGATIVE))[: 1 + two]:
            rest = codes_of(profile, phase)
            driven = np.full(lines.count, rest[LineClass.SELECTED_GATE])
            driven[: lines.rows], driven[lines.rows : lines.rows + lines.cols] = rest[LineClass.SELECTED_ROW], rest[LineClass.SELECTED_COL]
            if not transposed:
                driven[: lines.rows] = sign * codes
            elif lines.reference is Reference.PAIRS:
                driven[lines.rows : lines.rows + lines.cols] = sign * np.column_stack([codes, -codes]).ravel()
            else:
                driven[lines.rows : lines.rows + lines.cols] = sign * codes
            ways.append(tile.measure(driven).values)
        sensed = slice(0, lines.rows) if transposed else slice(lines.rows, lines.rows + lines.cols)
        right = ways[0] - ways[1] if two else ways[0]
        off = np.abs((sums / averages - right) * gain / (1 + two))[sensed]
        if off.max() > bench.tolerance():
            name = "row" if transposed else "column"
            wrong.append(f"{name} {int(off.argmax())} senses {off.max():.1f} LSB else than when its lines are driven directly")
    return wrong


def _formula(bench: Bench, tile: AnalogTile) -> tuple[int, list[str]]:
    """Sense words of random calibrations, phases, averages and shifts are those of `sense_word`; return how many, and what is wrong."""
    lines, config, rng = tile.lines, bench.config, bench.rng
    stood, perfect, limit = tile.profile(0), tile.calibration(), tile.words[ArrayWord.READ_LIMIT]
    whole, words, wrong, said = rectangle(config), 0, 0, ""
    signed = OFFSET_BITS - 4
    for two_phase in (True, False):
        for averages_log2 in (0, min(2, tile.most_averages(0, limit))):
            shift = int(rng.integers(3))
            profile = Profile(two_phase=two_phase, averages_log2=averages_log2, sense_shift=shift)
            flags = ProfileFlag.VALID | ProfileFlag.TWO_PHASE * two_phase | averages_log2 << AVERAGES_AT
            changed = [*stood]
            changed[ProfileWord.FLAGS], changed[ProfileWord.SENSE_SHIFT] = flags, shift
            tile.write_profile(0, changed)
            tables = {
                **perfect,
                LineWord.OFFSET: rng.integers(-(1 << signed), 1 << signed, lines.count),
                LineWord.GAIN: np.minimum(perfect[LineWord.GAIN] * rng.uniform(0.3, 2.0, lines.count), (1 << GAIN_FRAC + 1) - 1).astype(
                    int
                ),
                LineWord.FACTOR: rng.integers(-(1 << GAIN_FRAC), 1 << GAIN_FRAC, lines.count),
            }
            tile.write_calibration(tables, 0)
            for number in range(READS):
                transposed = bool(number % 2)
                drives = bench.drives(1, config.tile_cols if transposed else config.tile_rows)
                before = bench.board.raw_counters()[Counter.SENSE_CLIPPED]
                found = read(bench.board, whole, drives, transposed=transposed)[0]
                clipped = bench.board.raw_counters()[Counter.SENSE_CLIPPED] - before & 0xFFFFFFFF
                sums, over = sums_of(tile)
                right, overs = _right(tile, config.sense_max, profile, tables, sums, over, int(drives.sum()), transposed=transposed)
                off = found != right
                words, wrong = words + len(found), wrong + int(off.sum())
                if off.any() and not said:
                    at = int(off.argmax())
                    said = f"{'row' if transposed else 'column'} {at} reads {found[at]}, and its samples make {right[at]}"
                if clipped != overs:
                    wrong, said = wrong + 1, said or f"over was said {clipped} times, not {overs}"
    return words, [f"{wrong} of {words} sense words are not what samples, calibration and drives make: {said}"] if wrong else []


def _right(
    tile: AnalogTile,
    sense_max: int,
    profile: Profile,
    tables: dict[LineWord, np.ndarray],
    sums: np.ndarray,
    over: np.ndarray,
    drives: int,
    *,
    transposed: bool,
) -> tuple[np.ndarray, int]:
    """Return what all lines of a read should sense, and how many of them `over` goes with."""
    lines = tile.lines
    pieces = 1 if transposed else lines.pieces
    first, count = (0, lines.rows) if transposed else (lines.rows, lines.logical_cols)
    found, overs = np.zeros(count, np.int64), 0
    for k in range(count):
        at = slice(first + pieces * k, first + pieces * (k + 1))
        gains, offsets = tables[LineWord.GAIN][at].tolist(), tables[LineWord.OFFSET][at].tolist()
        factor = 0 if lines.reference is Reference.PAIRS else int(tables[LineWord.FACTOR][first + k])
        found[k], beyond = sense_word(sums[at].tolist(), gains, profile, sense_max, offsets=offsets, factor=factor, drives=drives)
        overs += bool(beyond or over[at].any())
    return found, overs
