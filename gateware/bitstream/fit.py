"""Says without synthesis whether a network fits a board, and how large a configuration becomes.

Memories and multipliers are counted: every memory of the design is listed here with its width, depth and
ports, and each family's block shapes say how many blocks it takes. LUTs are a linear model, fitted by least
squares to stored reports of builds (`fit_reports.json`); those marked `held_out` are only tested against.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.analog import (
    CODE_BITS,
    FACTOR_BITS,
    LINE_WORDS,
    PROFILE_WORDS,
    PROFILES,
    SUM_BITS,
)
from backpulse.firmware_py.compiler import Options, compile_network, fits
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.dead import NONE, Dead
from backpulse.firmware_py.isa import REGION_WORDS
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import REGISTER_WORDS
from backpulse.firmware_py.table_device import (
    CLASSES,
    LEAK_BITS,
    LEAKS,
    ROOT_BITS,
    ROOTS,
    SEGMENTS,
    SPREAD_BITS,
    VISIT_BITS,
)
from backpulse.firmware_py.tile_facts import EMULATED, TileFacts
from backpulse.gateware.boards.boards import BOARDS, Board
from backpulse.gateware.chip.store import bank_depths
from backpulse.gateware.link.microcode import DATA_BYTES, PROGRAM_WORDS
from backpulse.rtl.core.fetch import places
from backpulse.rtl.core.ledger import ring_at
from backpulse.rtl.tile.analog.tile import FACTS
from backpulse.rtl.tile.layouts import segment_layout
from backpulse.rtl.tile.tables import PAIR

__all__ = ["REPORTS", "brams", "dsps", "estimate", "facts", "fit", "luts", "roomier"]

REPORTS = Path(__file__).parent / "fit_reports.json"
"""Stored reports: family, configuration words, whether held out, and what place and route counted."""

_SHAPES = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
"""Depth and width that one block memory can have."""


def memories(config: Config, *, store: bool) -> list[tuple[int, int]]:
    """Return (depth, width) of every memory of a machine, with or without the sample store."""
    c = config
    stored = [(depth, 32) for depth in bank_depths(c)] if store else []
    if c.lean:
        return [
            *[(c.rows, c.cell_bits)] * c.tile_cols,
            (c.vector_words, c.acc_bits),
            (c.vector_words, c.vector_bits),
            (512, c.vector_frac + 2),
            (places(c)["end"], 32),
            (c.vectors, 5),
            (ring_at(c) + c.result_depth, 16),
            (c.page_bytes // 2, 32),
            (c.order_depth, 16),
            (256, 8),
            (PROGRAM_WORDS, 16),
            (DATA_BYTES, 8),
            *stored,
        ]
    full = c.device is not DeviceKind.IDEAL
    lane = [(c.rows, c.cell_bits)] + [(c.rows, 8)] * c.spread + [(c.pulse_max + 1, 16)] * full
    tile = lane * c.tile_cols
    if c.device is DeviceKind.TABLE:
        lane = (
            [(c.rows, c.cell_bits)] * 2
            + [(c.rows, SPREAD_BITS)] * c.spread
            + [(2 * SEGMENTS, segment_layout().size)]
        )
        tile = lane * c.tile_cols + [(CLASSES * ROOTS, ROOT_BITS)] * -(-c.tile_cols // PAIR)
        tile += [(c.rows, VISIT_BITS), (LEAKS, LEAK_BITS)]
    if c.device is DeviceKind.REAL:
        lines = c.tile_rows + c.tile_cols
        tile = [
            (PROFILES * PROFILE_WORDS, 32),
            (LINE_WORDS * lines, FACTOR_BITS),
            (lines, CODE_BITS + 1),
            (lines, SUM_BITS + 1),
            (max(c.tile_rows, c.tile_cols), c.drive_bits),
            (c.tile_cols, 32),
        ]
    return [
        *tile,
        *[(c.vector_words, c.acc_bits)] * 2,
        (512, c.vector_frac + 1),
        (c.program_words, 32),
        (c.program_words, 10),
        (REGION_WORDS * c.regions, 32),
        (c.vectors, 32),
        (c.vectors, 5),
        (REGISTER_WORDS, 32),
        (c.result_depth // 2, 32),
        *[(c.output_depth // 2, 32)] * (c.output_depth > 0),
        *[(c.trace_words, 32)] * (c.trace_words > 0),
        (c.page_bytes // 2, 32),
        (c.order_depth, 16),
        *[(256, 8)] * 3,
        *stored,
    ]


def brams(family: str, config: Config, *, store: bool = True) -> int:
    """Return the block memories that a machine takes."""
    return sum(_blocks(family, depth, width) for depth, width in memories(config, store=store))


def _blocks(family: str, depth: int, width: int) -> int:
    """Return the block memories of one memory; small ones become LUTs where the family can."""
    if family != "ice40" and _in_luts(depth, width):
        return 0
    return min(-(-depth // rows) * -(-width // bits) for rows, bits in _SHAPES[family])


def _in_luts(depth: int, width: int) -> bool:
    """Return whether synthesis prefers LUTs of 16 x 4 bits: it counts 4 each, ports, and 128 for a block."""
    return 4 * -(-depth // 16) * -(-width // 4) < 96


def dsps(family: str, config: Config) -> int:
    """Return the multipliers of a machine.

    They are a lane's and the planner's, four for spread, four of the vector units, one of read noise. Lanes
    of the table device have one more, and none for spread. A lean machine has one for each lane, and one for
    each column of the planner, which does everything else too.
    """
    if config.lean:
        return 2 * config.tile_cols
    if config.device is DeviceKind.REAL:
        return 9  # for any number of lines: the vector units', the serial planner's, the analog tile's
    lane = 4 if config.device is DeviceKind.TABLE else 3 + 4 * config.spread
    return config.tile_cols * lane + 4 + config.read_noise


def luts(family: str, config: Config) -> int | None:
    """Return the LUTs that a machine takes, by the fitted model; None for what there are no reports of."""
    if config.device is DeviceKind.REAL:
        return None
    found = _coefficients(family, config.lean)
    return None if found is None else round(float(_features(config) @ found))


@cache
def _coefficients(family: str, lean: int) -> np.ndarray | None:
    stored = [(Config.from_words(r["config"]), r) for r in json.loads(REPORTS.read_text())]
    reports = [
        (config, r["luts"])
        for config, r in stored
        if r["family"] == family and config.lean == lean and not r["held_out"]
    ]
    if not reports:
        return None
    features = np.array([_features(config) for config, _ in reports])
    found = np.array([number for _, number in reports], float)
    # Relative errors count, and a little damping keeps what the reports do not tell apart small.
    weights = 1 / found
    damping = 1e-3 * np.eye(features.shape[1]) / np.maximum(features.max(axis=0), 1)
    a = np.vstack([features * weights[:, None], damping * 1e-2])
    b = np.concatenate([found * weights, np.zeros(len(damping))])
    return np.linalg.lstsq(a, b, rcond=None)[0]


def _features(config: Config) -> np.ndarray:
    if config.lean:
        return np.array([1, config.cell_bits], float)
    lanes, tables = config.tile_cols, config.device is DeviceKind.TABLE
    full, spread = config.device is not DeviceKind.IDEAL, config.spread and not tables
    return np.array([1, lanes, lanes * full, lanes * spread, lanes * tables], float)


def estimate(board: Board) -> dict[str, int | None]:
    """Return what a board's machine takes: luts by the model, memories and multipliers counted."""
    family, config = board.part.family, board.config
    return {
        "luts": luts(family, config),
        "brams": brams(family, config, store=board.store == "bram"),
        "dsps": dsps(family, config),
    }


def roomier(board: Board, network: Network, schedule: str) -> list[str]:
    """Return the names of other boards that a network fits, with an array of their own where this one has."""

    def holds(other: Board) -> bool:
        alike = (other.front_end is None) == (board.front_end is None)
        if not alike or not fits(network, other.config, schedule, Options()):
            return False
        try:
            compile_network(network, other.config, schedule)
        except ValueError:  # it lacks a function
            return False
        return True

    return [other.name for other in BOARDS.values() if holds(other)]


def facts(board: Board) -> TileFacts:
    """Return what a board's tile says of itself."""
    return FACTS if board.front_end else EMULATED


def fit(board: Board, network: Network, schedule: str, dead: Dead = NONE) -> dict[str, Any]:
    """Return whether a network fits a board around its dead lines, and how fast it trains there.

    Returns
    -------
    dict
        `fits` with the `reason` if not, and other `boards` that it fits then (where no line is dead);
        `cycles_per_step`, `steps_per_second` at the board's clock (a physical array takes its own time
        beside these), `samples_on_board`, what is `left` beside dead lines (a text), and the `estimate` of
        the board's machine with its `fractions` of the part.

    Raises
    ------
    ValueError
        If the schedule is unknown.
    """
    numbers = estimate(board)
    verdict: dict[str, Any] = {
        "board": board.name,
        "layers": network.text,
        "left": dead.left(board.config) if dead != NONE else "",
        "estimate": numbers,
        "fractions": {
            name: round(n / getattr(board.part, name), 4) for name, n in numbers.items() if n is not None
        },
    }
    try:
        program = compile_network(network, board.config, schedule, dead=dead)
    except ValueError as error:
        if str(error).startswith("Unknown"):
            raise
        others = roomier(board, network, schedule) if dead == NONE else []
        return {**verdict, "fits": False, "reason": str(error), "boards": others}
    for name, fraction in verdict["fractions"].items():
        if fraction > 1:
            have = getattr(board.part, name)
            text = (
                f"the machine itself takes {numbers[name]} {name} and {board.part.name} has {have}; "
                "choose a larger board"
            )
            return {**verdict, "fits": False, "reason": text, "boards": []}
    cycles = program.cycles_per_step
    return {
        **verdict,
        "fits": True,
        "reason": None,
        "cycles_per_step": cycles,
        "steps_per_second": board.clk_hz / cycles,
        "samples_on_board": board.config.store_words // program.stride_words,
    }
