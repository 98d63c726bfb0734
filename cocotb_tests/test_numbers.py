"""The arithmetic helpers and random streams in hardware against the golden functions."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportCallIssue=false, reportInvalidTypeForm=false

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.rtl.lib.numbers import clamp, rshift, rshift_by, rshift_parts, sat, times
from backpulse.rtl.lib.xorshift import gauss, xorshift
from cocotb_tests.mutants import Mutants
from cocotb_tests.runner import expect_failure, run_cocotb

WIDTH, SHIFTS, LIMIT, KEPT = 11, (0, 1, 2, 5, 10, 11, 12), 127, 5
WORD = signed(WIDTH)
HELPERS = {f.__name__: f for f in (rshift, rshift_by, rshift_parts, times, sat, clamp, xorshift, gauss)}
WRONG = {
    "rshift": lambda value, n: (value + (1 << n >> 1)) >> n,
    "rshift_by": lambda value, n: value >> n,
    "rshift_parts": lambda m, value, n, width: rshift_parts(m, value >> 1, n, width),
    "times": lambda value, few: times(value, few[:3]),
    "sat": lambda value, limit: sat(value, limit >> 1),
    "clamp": lambda value, low, high: clamp(value, low, low),
    "xorshift": lambda word: xorshift(word ^ 1),
    "gauss": lambda word: gauss(word) + 1,
}


class Arithmetic(wiring.Component):
    """All helpers side by side, each replaceable."""

    value: In(WORD)
    n: In(4)
    low: In(WORD)
    high: In(WORD)
    shifted: Out(WORD).array(len(SHIFTS))
    shifted_by: Out(WORD)
    unsigned_by: Out(WIDTH)
    kept: Out(KEPT)
    half: Out(1)
    over: Out(1)
    multiplied: Out(WIDTH + 4)
    saturated: Out(8)
    clipped: Out(1)
    clamped: Out(WORD)
    word: In(32)
    next_word: Out(32)
    gaussian: Out(signed(10))

    def __init__(self, functions):
        self._f = functions
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        f = self._f
        saturated, clipped = f["sat"](self.value, LIMIT)
        bits = self.value.as_unsigned()
        kept, half, over = f["rshift_parts"](m, bits, self.n, KEPT)
        m.d.comb += [
            *(output.eq(f["rshift"](self.value, n)) for output, n in zip(self.shifted, SHIFTS, strict=True)),
            self.shifted_by.eq(f["rshift_by"](self.value, self.n)),
            self.unsigned_by.eq(f["rshift_by"](bits, self.n)),
            self.kept.eq(kept),
            self.half.eq(half),
            self.over.eq(over),
            self.multiplied.eq(f["times"](bits, self.n)),
            self.saturated.eq(saturated),
            self.clipped.eq(clipped),
            self.clamped.eq(f["clamp"](self.value, self.low, self.high)),
            self.next_word.eq(f["xorshift"](self.word)),
            self.gaussian.eq(f["gauss"](self.word)),
        ]
        return m


def test_widths():
    """No helper gives more bits than its result needs."""
    value, low, high, n = Signal(WORD), Signal(WORD), Signal(WORD), Signal(4)
    assert [rshift(value, k).shape() for k in (0, 1, 4, 11, 20)] == [WORD, signed(11), signed(8), signed(1), signed(1)]
    assert sat(value, 127)[0].shape() == signed(8)
    assert clamp(value, low, high).shape() == WORD
    assert rshift(n, 2).shape() == unsigned(3)


def test_a_limit_that_is_no_power_of_two_less_one_is_refused():
    with pytest.raises(ValueError, match="Limit must be a power of two less one, not 100"):
        sat(Signal(WORD), 100)


FUNCTIONS = dict(HELPERS)
MUTANTS = Mutants(Arithmetic(FUNCTIONS), tuple(WRONG))
for _name, _wrong in WRONG.items():
    FUNCTIONS[_name] = MUTANTS.either(_name, _wrong, HELPERS[_name])


def _run(run, name):
    told = {"width": WIDTH, "shifts": SHIFTS, "limit": LIMIT, "kept": KEPT}
    run(MUTANTS, "numbers_bench", name="numbers", mutant=MUTANTS.number(name), **told)


def test_numbers():
    _run(run_cocotb, "none")


@pytest.mark.parametrize("name", WRONG)
def test_broken(name):
    _run(expect_failure, name)
