"""Bench of Derivative and Finish: words and derivatives against the golden functions."""

import random

import cocotb

from backpulse.firmware_py.activation import TABLE_STEP_LOG2, TABLE_WORDS, activate, fprime, table_array
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.isa import Function
from backpulse.rtl.lib.ports import element_layout
from backpulse.rtl.units.activation import derivative_layout, word_layout
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, pattern, sink_pause, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
PAUSES = PARAMETERS["pauses"]
HADAMARD = [f for f in Function if f >= Function.HADAMARD_SIGMOID]


def words(rng: random.Random, bits: int, count: int) -> list[int]:
    """Return words of all magnitudes up to `bits` bits, and the corners."""
    top = (1 << bits) - 1
    corners = [0, 1, -1, top, -top, CONFIG.vector_max, -CONFIG.vector_max, CONFIG.vector_max + 1, CONFIG.unit, CONFIG.one]
    return corners + [rng.choice((-1, 1)) * rng.getrandbits(rng.randint(1, bits)) for _ in range(count)]


def steps(function: Function) -> list[int]:
    """Return the pre-activations on both sides of every step of a function's table, and all of a clipped ReLU between its ends."""
    if function == Function.RELU:
        gain = CONFIG.vector_frac - CONFIG.pre_frac
        top = CONFIG.unit >> gain if gain >= 0 else CONFIG.unit << -gain
        return list(range(-16, top + 17))
    if function not in (Function.SIGMOID, Function.TANH):
        return []
    width = 1 << CONFIG.pre_frac - TABLE_STEP_LOG2 + (function == Function.SIGMOID)
    edges = [k * width + width // 2 - below for k in range(TABLE_WORDS) for below in (0, 1)]
    return [sign * edge for edge in edges for sign in (1, -1)]


def outputs(rng: random.Random, function: Function, *, every: bool) -> list[int]:
    """Return words that may be outputs of a function's kind, a choice or every one."""
    low, high = {
        Function.HADAMARD_SIGMOID: (0, CONFIG.unit),
        Function.HADAMARD_TANH: (-CONFIG.unit, CONFIG.unit),
        Function.HADAMARD_RELU: (0, CONFIG.unit),
        Function.HADAMARD_LINEAR: (-CONFIG.vector_max, CONFIG.vector_max),
    }[function]
    if every and function != Function.HADAMARD_LINEAR:
        return list(range(low, high + 1))
    return [low, high, 0, 1, high - 1] + [rng.randint(low, high) for _ in range(200)]


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=PARAMETERS["block"] != "derivative")
@cocotb.parametrize(pause=PAUSES)
async def derivatives(dut, pause):
    """Each derivative comes with its word, once and in order, whatever pauses."""
    rng = generator(1)
    dut.clear.value = 0
    source = Source(dut, "i", element_layout(CONFIG), pause=pattern(pause, 2))
    sink = Sink(dut, "o", derivative_layout(CONFIG), pause=sink_pause(pause, 3))
    dut.function.value = 0
    await start(dut)
    for function in HADAMARD:
        dut.function.value = int(function)
        values = outputs(rng, function, every=pause == "never")
        source.send({"word": v, "second": 0, "last": i == len(values) - 1} for i, v in enumerate(values))
        await sink.wait(len(values))
        expected = [
            {"word": v, "fprime": fprime(int(function), v, CONFIG.vector_frac, CONFIG.unit), "last": int(i == len(values) - 1)}
            for i, v in enumerate(values)
        ]
        sink.expect(expected)


def finish(function: Function, word: int, derivative: int) -> tuple[int, int]:
    """Return the stored word, and how many clamps count."""
    c = CONFIG
    if function == Function.PARTIAL:
        return word, 0
    y = sat(word, c.vector_max)
    clipped = int(y != word)
    if function in HADAMARD:
        return rshift(y * derivative, c.vector_frac), clipped
    if function == Function.NONE:
        return y, clipped
    stored, more = activate(int(function), y, table_array(c), c.pre_frac, c.vector_frac, c.unit, c.vector_max)
    return stored, clipped + more


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=PARAMETERS["block"] != "finish")
@cocotb.parametrize(pause=PAUSES)
async def finishes(dut, pause):
    """Every function, at ascending addresses, one write a word."""
    rng = generator(4)
    dut.clear.value, dut.function.value, dut.w_base.value = 0, 0, 0
    source = Source(dut, "i", word_layout(CONFIG), pause=pattern(pause, 5))
    written: list[tuple[int, int, int]] = []
    saturated = [0]

    async def watch():
        while True:
            await cycles(dut)
            saturated[0] += int(dut.saturated.value)
            if int(dut.w_en.value):
                written.append((int(dut.w_addr.value), dut.w_data.value.to_signed(), int(dut.w_final.value)))

    await start(dut)
    cocotb.start_soon(watch())
    for function in Function:
        base = rng.randint(0, 1000)
        dut.function.value, dut.w_base.value = int(function), base
        some = words(rng, CONFIG.acc_bits - 1, 300) + (steps(function) if pause == "never" else [])
        values = [(w, rng.randint(0, CONFIG.one)) for w in some]
        source.send({"word": w, "fprime": d, "last": i == len(values) - 1} for i, (w, d) in enumerate(values))
        await source.drain()
        await cycles(dut, 4)
        results = [finish(function, w, d) for w, d in values]
        for i, (got, (word, _)) in enumerate(zip(written, results, strict=True)):
            assert got == (base + i, word, int(function != Function.PARTIAL)), f"{function.name} of {values[i]}"
        assert saturated[0] == sum(clipped for _, clipped in results), f"clamps of {function.name}"
        written.clear()
        saturated[0] = 0
