"""The checks of tiles whose lines the host can drive one by one: 15 to 17 and 19 of the conformance bench.

What the host knows of such a tile is enough to hold it to its own numbers: the cycles of a pulse by the interlock, which counts for itself,
and all other times by the cycles of instructions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from backpulse.firmware_py.analog import (
    ARM_FIRST,
    ARM_SECOND,
    AVERAGES_AT,
    AVERAGES_LOG2_MAX,
    CODES,
    DIRECT_SAMPLES,
    OVER_AT,
    PHASE_WORDS,
    SCALE_FRAC,
    LineClass,
    Phase,
    ProfileFlag,
    ProfileWord,
)
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.isa import Instruction, Op, Region, Vector
from backpulse.firmware_py.registers import REG, ArrayWord, Capability, Cause, Counter, Fault, State, TileState, Window
from backpulse.host.analog_tile import CONVERSION_S, AnalogTile
from backpulse.host.array_bench import Bench, Figure, NotTestedError
from backpulse.host.array_chain import Chain
from backpulse.host.array_operations import ROW_BYTE, one_hot, pulse, pulse_scale, read, rectangle
from backpulse.host.commands import reads, writes
from backpulse.host.commands import words as words_of
from backpulse.host.errors import FaultError
from backpulse.host.run import STATUS_WORDS, state_of
from backpulse.host.stop import Stop

SETTINGS = (
    ArrayWord.LIMIT,
    ArrayWord.READ_LIMIT,
    ArrayWord.CODE_LIMIT,
    ArrayWord.READ_CODE_LIMIT,
    ArrayWord.SDO_DELAY,
    ArrayWord.BUDGET,
)
"""Words that these checks write, and write back."""
CUTS = 12
"""Pulses that are cut off."""
MORE = 4000
"""Cycles by which times are made longer."""
SPREAD = 0.1
"""Share of a time by which its cycles may differ: a front end's frames begin when its serial clock lets them."""
POLLS = 200
"""Looks at an array that should trip as it is armed."""


def direct_tile(bench: Bench) -> AnalogTile:
    """Return the tile, or raise NotTestedError if the host sees no line of it."""
    if Capability.DIRECT not in bench.claims or Capability.ARM not in bench.claims:
        raise NotTestedError("the tile claims no direct operations: the host sees no line of it")
    return AnalogTile(bench.board)


@contextmanager
def kept(bench: Bench, tile: AnalogTile) -> Iterator[None]:
    """Write limits, profile 0 and calibration back behind the body, whatever ends it."""
    stood, profile, tables = tile.words, tile.profile(0), tile.calibration()
    try:
        yield
    finally:
        board = bench.board
        with board.heeding(Stop()):
            board.link.started = True
            board.stop()
            board.disarm()
            for word in SETTINGS:
                tile.set_word(word, stood[word])
            tile.write_profile(0, profile)
            if any((tile.calibration()[at] != table).any() for at, table in tables.items()):
                tile.write_calibration(tables, stood[ArrayWord.CALIBRATION])
            bench.rest()


def _fault(bench: Bench, cause: Cause, operation: str, region: Region, counts: np.ndarray | None = None) -> list[str]:
    """Do a read, or pulses, and return what is wrong if that does not end with a cause."""
    try:
        if counts is None:
            read(bench.board, region, one_hot(bench.config, region.rows))
        else:
            pulse(bench.board, region, counts)
    except FaultError as error:
        if (error.fault, error.cause) != (Fault.TILE, cause):
            return [f"{operation} ended in fault {error.fault} with cause {error.cause}"]
        return []
    return [f"{operation} was done"]


def arming(bench: Bench) -> Figure:
    """Check 15: drivers are switched on by two words alone, not while there is a trip, and off at once: a pulse cut off is not counted."""
    tile, board, wrong = direct_tile(bench), bench.board, []
    cell, one = rectangle(bench.config, rows=1, cols=1), np.ones((1, 1), int)
    at = Window.ARRAY.base + ArrayWord.ARM
    limit = tile.words[ArrayWord.LIMIT]

    def tries(what: str, *words: tuple[int, int]) -> None:
        board.link.exchange([request for address, word in words for request in writes(address, [word])])
        if TileState.ARMED in board.tile_state()[0]:
            wrong.append(f"{what} has armed it")
            board.disarm()

    with kept(bench, tile):
        board.stop()
        board.disarm()
        if TileState.ARMED in board.tile_state()[0]:
            wrong.append("it cannot be disarmed")
        tries("the second word alone", (at, ARM_SECOND))
        tries(
            "the second word, with another write behind the first,",
            (at, ARM_FIRST),
            (at - ArrayWord.ARM + ArrayWord.LIMIT, limit),
            (at, ARM_SECOND),
        )
        wrong += _fault(bench, Cause.UNARMED, "a read while unarmed", rectangle(bench.config))
        bench.rest()
        if Capability.BUDGET in bench.claims:
            tile.set_word(ArrayWord.BUDGET, 0)
            wrong += _fault(bench, Cause.BUDGET, "a pulse without a budget", cell, one)
            tries("a pair of words while tripped", (at, ARM_FIRST), (at, ARM_SECOND))
            tile.set_word(ArrayWord.BUDGET, (1 << 32) - 1)
            bench.rest()
        cut = 0
        if tile.lines.pieces == 1:  # a pair's pulse has two halves, and is counted with the second
            for trial in range(CUTS):
                begun, done, said = _cut(bench, tile, cell, 1 + trial)
                wrong += said
                cut += begun - done == 1
                if begun - done not in (0, 1):
                    wrong.append(f"of {begun} pulses begun {done} count as done, and one was cut off at most")
                bench.rest()
                pulse(board, cell, -done * one)
            if not cut:
                wrong.append(f"none of {CUTS} pulses that may have been cut off was counted as such")
    said = f"armed by two words, right behind each other and without a trip; {cut} of {CUTS} times a pulse was cut off, and not counted"
    return Figure(value=len(wrong), limit=0, unit="wrong", said="; ".join(dict.fromkeys(wrong)) or said, details={"cut": cut})


def _cut(bench: Bench, tile: AnalogTile, cell: Region, later: int) -> tuple[int, int, list[str]]:
    """Disarm while a cell is pulsed, so many answers later; return the pulses that were begun and that count as done, and what is wrong."""
    board, config = bench.board, bench.config
    vectors = [Vector(base=0, length=1, sample=1), Vector(base=1, length=1, sample=1)]
    chain = Chain(board, [[Instruction(op=Op.PULSE, a=0, b=1)]], vectors, np.array([[ROW_BYTE, config.pulse_max]]), [cell])
    board.link.write_words(REG["SCALE"].address, [pulse_scale(config).to_word()])
    profile = tile.profile(0)
    profile[ProfileWord.GAP] = 1  # so that it is mostly within a pulse
    tile.write_profile(0, profile)
    before, counted = tile.words[ArrayWord.PULSES], board.raw_counters()
    status, between = (
        reads(REG["STATE"].address, STATUS_WORDS),
        [request for _ in range(later) for request in reads(REG["STATE"].address, 1)],
    )
    chain.start(np.zeros(8, int), [*between, *writes(Window.ARRAY.base + ArrayWord.ARM, [0]), *status])
    state, fault, _ = state_of(words_of(status))
    for _ in range(POLLS):
        if state is State.FAULT:
            break
        state, fault, _, _ = board.status()
    wrong = (
        [] if state is State.FAULT and fault & 0xFF == Fault.TILE else [f"being disarmed ended in state {state.name}, fault {fault & 0xFF}"]
    )
    gained = np.subtract(board.raw_counters(), counted)
    done = int(gained[Counter.PULSES_UP] + gained[Counter.PULSES_DOWN] - gained[Counter.PULSES_MISSED]) & 0xFFFFFFFF
    return (tile.words[ArrayWord.PULSES] - before) & 0xFFFFFFFF, done, wrong


def times(bench: Bench) -> Figure:
    """Check 16: a pulse is as long as the profile says, by the interlock; gaps, delay and settling are, by the cycles of instructions."""
    tile, wrong = direct_tile(bench), []
    cell, one = rectangle(bench.config, rows=1, cols=1), np.ones((1, 1), int)
    profile = tile.profile(0)
    width, settle = profile[ProfileWord.WIDTH], profile[ProfileWord.SETTLE]
    averages = 1 << (profile[ProfileWord.FLAGS] >> AVERAGES_AT & AVERAGES_LOG2_MAX)
    phases = 2 if profile[ProfileWord.FLAGS] & ProfileFlag.TWO_PHASE else 1
    count, given = bench.config.pulse_max, 0

    def cycles(counter: Counter, word: ProfileWord | None = None, value: int = 0) -> int:
        nonlocal given
        changed = [*profile]
        if word is not None:
            changed[word] = value
        tile.write_profile(0, changed)
        before = bench.board.raw_counters()[counter]
        if counter is Counter.PULSE_CYCLES:
            pulse(bench.board, cell, one * count)
            given += count
        else:
            read(bench.board, rectangle(bench.config), bench.drives(1, bench.config.tile_rows))
        return (bench.board.raw_counters()[counter] - before) & 0xFFFFFFFF

    with kept(bench, tile):
        tile.set_word(ArrayWord.LIMIT, width)
        try:
            pulse(bench.board, cell, one)
        except FaultError as error:
            wrong.append(f"a pulse of {width} cycles ended in cause {error.cause} with a limit of as many: it is longer")
            bench.rest()
        tile.set_word(ArrayWord.LIMIT, width - 1)
        before = bench.board.raw_counters()[Counter.PULSES_MISSED]
        wrong += _fault(bench, Cause.WIDTH, f"a pulse of {width} cycles with a limit of one less", cell, one)
        if bench.board.raw_counters()[Counter.PULSES_MISSED] - before & 0xFFFFFFFF != 1:
            wrong.append("a pulse that was cut off in its last cycle counts as done")
        bench.rest()
        stood = tile.words[ArrayWord.READ_LIMIT]
        tile.set_word(ArrayWord.READ_LIMIT, 1)
        wrong += _fault(bench, Cause.WIDTH, "a read with a limit of one cycle", rectangle(bench.config))
        bench.rest()
        tile.set_word(ArrayWord.READ_LIMIT, stood)
        tile.set_word(ArrayWord.LIMIT, width)
        extra = max(0, min(MORE, stood - settle - round(CONVERSION_S * 1000 * tile.clock_khz) * averages))
        # Of a pair each half has its pulse, and so its gap.
        gaps = tile.lines.pieces * count - 1
        pulses = cycles(Counter.PULSE_CYCLES)
        longer = {
            "gaps": (cycles(Counter.PULSE_CYCLES, ProfileWord.GAP, profile[ProfileWord.GAP] + MORE) - pulses, gaps * MORE),
            "the delay": (cycles(Counter.PULSE_CYCLES, ProfileWord.DELAY, profile[ProfileWord.DELAY] + MORE) - pulses, MORE),
            "settling": (
                cycles(Counter.READ_CYCLES, ProfileWord.SETTLE, settle + extra) - cycles(Counter.READ_CYCLES, ProfileWord.SETTLE, 0),
                phases * (settle + extra),
            ),
        }
        pulse(bench.board, cell, -given * one)
    for what, (found, asked) in longer.items():
        # What a front end needs anyway hides a part of what was there before.
        least = asked * (1 - SPREAD)
        slack = profile[ProfileWord.GAP] * gaps if what == "gaps" else profile[ProfileWord.DELAY] if what == "the delay" else 0
        if not least - slack <= found <= asked * (1 + SPREAD) + MORE * SPREAD:
            wrong.append(f"{what} took {found} cycles more, not {asked}")
    said = f"a pulse of {width} cycles is as long by the interlock; gaps, delay and settling take what the profile says"
    details: dict[str, float | int | str] = {
        "width_cycles": width,
        **{f"{what.split()[-1]}_cycles": found for what, (found, _) in longer.items()},
    }
    return Figure(value=len(wrong), limit=0, unit="wrong", said="; ".join(wrong) or said, details=details)


def code_limits(bench: Bench) -> Figure:
    """Check 17: no line gets more than the limits of codes, whatever a profile asks for."""
    tile, wrong = direct_tile(bench), []
    config, whole = bench.config, rectangle(bench.config)
    profile, dose = tile.profile(0), bench.dose
    full = rshift(config.drive_max * profile[ProfileWord.SCALE], SCALE_FRAC)
    most = max(abs(code) for phase in (Phase.UP, Phase.DOWN) for code in codes_of(profile, phase))
    towards = np.where(bench.map(whole) > 0, -1, 1) * dose
    with kept(bench, tile):
        sums = []
        for limit in (tile.words[ArrayWord.READ_CODE_LIMIT], full // 2):
            tile.set_word(ArrayWord.READ_CODE_LIMIT, limit)
            read(bench.board, whole, config.drive_max * np.ones((1, config.tile_rows), int))
            sums.append(sums_of(tile)[0][tile.lines.rows :])
        share = float(np.abs(sums[1]).sum() / max(1, np.abs(sums[0]).sum()))
        if not abs(share - 0.5) < 0.05:
            wrong.append(f"with half of a full drive as the limit a read senses {share:.3f} of what it did")
    moved = []
    with kept(bench, tile):
        for limit in (tile.words[ArrayWord.CODE_LIMIT], most // 4):
            tile.set_word(ArrayWord.CODE_LIMIT, limit)
            before = bench.map(whole)
            pulse(bench.board, whole, towards)
            moved.append(float(np.median(np.abs(bench.map(whole) - before))))
            pulse(bench.board, whole, -towards)
    if moved[1] > moved[0] / 2 + bench.seen:
        wrong.append(f"with a quarter of a pulse's voltage as the limit cells move by {moved[1]:.2f} LSB, and by {moved[0]:.2f} without")
    said = f"half of the limit, {share:.3f} of the current; a quarter, pulses of {moved[1]:.2f} LSB in place of {moved[0]:.2f}"
    return Figure(value=len(wrong), limit=0, unit="wrong", said="; ".join(wrong) or said)


def converters(bench: Bench) -> Figure:
    """Check 19: answers of converters that come at another time than they are taken are noticed before a line is connected."""
    tile, board = direct_tile(bench), bench.board
    stood, tripped = tile.words[ArrayWord.SDO_DELAY], []
    with kept(bench, tile):
        for delay in (15, 8, 4, 2):
            if delay == stood:
                continue
            board.stop()
            board.disarm()
            tile.set_word(ArrayWord.SDO_DELAY, delay)
            board.link.exchange(
                [request for word in (ARM_FIRST, ARM_SECOND) for request in writes(Window.ARRAY.base + ArrayWord.ARM, [word])]
            )
            state, trip = board.tile_state()
            for _ in range(POLLS):
                if TileState.TRIPPED in state or TileState.BUSY not in state:
                    break
                state, trip = board.tile_state()
            if TileState.TRIPPED in state:
                tripped.append(trip)
                board.link.write_words(Window.ARRAY.base + ArrayWord.TRIP, [0])
    wrong = [cause for cause in tripped if cause not in (Cause.CRC, Cause.CONVERTER)]
    said = f"taken at another time, answers were noticed {len(tripped)} times"
    if wrong:
        said = f"the cause was {wrong[0]}"
    elif not tripped:
        said = "answers that were taken at another time were not noticed"
    return Figure(value=len(wrong) + (not tripped), limit=0, unit="wrong", said=said)


def codes_of(profile: list[int], phase: Phase) -> list[int]:
    """Return the codes of a phase, by class of line."""
    return [(profile[CODES + PHASE_WORDS * phase + line] & 0xFFFF ^ 0x8000) - 0x8000 for line in LineClass]


def sums_of(tile: AnalogTile) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of samples of the last read, int64 of shape (lines), and whether one was at its rail."""
    words = np.array(tile.board.link.read_words(Window.TILE.base + DIRECT_SAMPLES, tile.lines.count), np.int64)
    sums = words & (1 << OVER_AT) - 1
    return sums - (sums >> OVER_AT - 1 << OVER_AT), words >> OVER_AT & 1
