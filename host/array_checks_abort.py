"""Check 14 of the conformance bench: an abort ends at a pulse boundary, counts what was done, and leaves the lines safe."""

import numpy as np

from backpulse.firmware_py.framing import Opcode
from backpulse.firmware_py.isa import Instruction, Op, Region, Vector
from backpulse.firmware_py.registers import REG, ArrayWord, Counter, Fault, State, TileState, Window
from backpulse.host.array_bench import Bench, Figure, NotTestedError
from backpulse.host.array_chain import Chain, room
from backpulse.host.array_operations import ROW_BYTE, pulse_scale, read, rectangle
from backpulse.host.commands import command, reads, words
from backpulse.host.run import look_reads, looked

TRIALS, LATER = 12, 3
"""Aborts of each operation: of ever lower regions, whose commands end earlier, behind none to two other commands of the line."""
SAMPLES = 64
"""Commands, one a sample, that an abort comes between."""
ANSWER_CYCLES = 800
"""Clock cycles that a board takes at least for an answer: 20 bytes of 10 bits of 4 cycles."""
MOST_ANSWERS = 200
"""Answers after which it is not waited any longer."""


def aborts(bench: Bench) -> Figure:
    """Check 14: aborts in the middle of READ, READT and PULSE."""
    config = bench.config
    side = min(config.tile_rows, config.page_bytes - config.tile_cols)
    region = rectangle(config, rows=side)
    drives = bench.drives(1, side)
    bench.lay()
    before = read(bench.board, region, drives)
    wrong: list[str] = []
    inside = total = 0
    for op in (Op.READ, Op.READT, Op.PULSE):
        for trial in range(TRIALS):
            landed, told = _abort(bench, op, rectangle(config, rows=side - trial % side), trial)
            inside, total, wrong = inside + landed, total + 1, wrong + told
            bench.report(total, 3 * TRIALS)
        bench.rest()
        bench.lay()
        if bench.steady or op is not Op.PULSE:  # elsewhere pulses leave their traces
            again = read(bench.board, region, drives)
            if np.abs(again - before).max() > bench.tolerance():
                wrong.append(f"the read behind an aborted {op.name} is another")
    if not inside and not wrong:
        raise NotTestedError(f"none of {total} aborts came while a command was executing: this board is never seen in the middle of one")
    said = "; ".join(dict.fromkeys(wrong)) or f"{inside} of {total} aborts came in the middle of a command"
    return Figure(value=len(wrong), limit=0, unit="wrong", said=said, details={"aborts": total, "inside": inside})


def _chain(bench: Bench, op: Op, region: Region, sign: int) -> Chain:
    config = bench.config
    count = min(room(config, region.rows + region.cols), SAMPLES)
    rows, cols = Vector(base=0, length=region.rows, sample=1), Vector(base=region.rows, length=region.cols, sample=1)
    result = Vector(base=0, length=max(1, min(config.vector_words, max(region.rows, region.cols))))
    operands = {Op.PULSE: (0, 1), Op.READ: (0, 2), Op.READT: (1, 2)}[op]
    step = Instruction(op=op, a=operands[0], b=operands[1])
    samples = np.hstack([np.full((count, region.rows), sign * ROW_BYTE), np.ones((count, region.cols), int)])
    chain = Chain(bench.board, [[step]] * count, [rows, cols, result], samples, [region])
    bench.board.link.write_words(REG["SCALE"].address, [pulse_scale(config).to_word()])
    return chain


def _abort(bench: Bench, op: Op, region: Region, trial: int) -> tuple[bool, list[str]]:
    """Abort a program that runs; return whether that was in the middle of a command, and what is wrong."""
    board, config, wrong = bench.board, bench.config, []
    bench.lay()
    sign = -1 if trial % 2 else 1
    chain = _chain(bench, op, region, sign)
    cells = bench.cells(region) if bench.steady else None
    counters = board.raw_counters()
    look = look_reads()
    between = [request for _ in range(trial % LATER) for request in reads(REG["STATE"].address, 1)]
    window = [] if config.lean else reads(Window.ARRAY.base + ArrayWord.STATE, 1)
    samples = np.arange(min(room(config, region.rows + region.cols), SAMPLES))
    chain.start(samples, [*between, command(Opcode.ABORT), *window, *look])
    (state, fault, at), _ = looked(look)
    inside = at % 2 == 1
    if state is not State.FAULT or fault & 0xFF != Fault.ABORTED:
        wrong.append(f"an abort of {op.name} ended in state {state.name}, fault {fault & 0xFF}")
    if window and (late := _answers_until_safe(bench, words(window)[0])):
        wrong.append(f"{op.name}: still not safe {late} answers behind the abort")
    if cells is not None:
        gained = np.subtract(board.raw_counters(), counters)
        counted = int(gained[Counter.PULSES_UP] + gained[Counter.PULSES_DOWN] - gained[Counter.PULSES_MISSED]) & 0xFFFFFFFF
        pulses = sign * (bench.cells(region) - cells) / bench.one_word
        if (pulses != np.round(pulses)).any():
            wrong.append(f"{op.name}: a cell has got part of a pulse")
        if round(float(pulses.sum())) != counted:
            wrong.append(f"{op.name}: {pulses.sum():g} pulses were done, {counted} are counted")
    return inside, wrong


def _answers_until_safe(bench: Bench, state: int) -> int:
    """Return the answers more than allowed in which a tile was not safe."""
    allowed = -(-bench.board.facts.safe_cycles // ANSWER_CYCLES) - 1
    unsafe = 0
    while not state & TileState.SAFE and unsafe < MOST_ANSWERS:
        unsafe += 1
        (state,) = bench.board.link.read_words(Window.ARRAY.base + ArrayWord.STATE, 1)
    return max(0, unsafe - allowed)
