"""Number formats, random streams and activations against independent oracles."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.activation import activate, fprime, table_array, tanh_table
from firmware_py.config import CONFIG_WORDS, DEFAULT, IDEAL, PRESETS, Config
from firmware_py.formats import bit_length, rshift, sat, shift
from firmware_py.isa import ACTIVATIONS, FIELDS, INSTRUCTION_BITS, LEGAL, Function, Instruction, Op, Region, Scale, Vector, decode, hadamard
from firmware_py.streams import GAUSS_SIGMA, advance, draws, gauss, seed_lane, splitmix64, xorshift


@given(st.integers(-(1 << 50), 1 << 50), st.integers(0, 40))
def test_rshift_rounds_half_away_from_zero(value: int, bits: int) -> None:
    exact = Fraction(value, 1 << bits)
    rounded = math.floor(abs(exact) + Fraction(1, 2))
    assert rshift(value, bits) == (rounded if value >= 0 else -rounded)
    assert shift(value >> 20, bits % 12) == (value >> 20) << bits % 12


@given(st.integers(-(1 << 40), 1 << 40), st.integers(1, 1 << 30))
def test_sat_is_symmetric(value: int, limit: int) -> None:
    assert sat(value, limit) == max(-limit, min(limit, value)) == -sat(-value, limit)


@given(st.integers(0, 1 << 40))
def test_bit_length(value: int) -> None:
    assert bit_length(value) == value.bit_length()


def test_streams_are_the_published_ones() -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF
    assert xorshift(1) == 270369
    states = np.array([1, -5, 2**31 - 1], np.int32)
    expected = [xorshift(int(s) & 0xFFFFFFFF) for s in states]
    advance(states)
    assert [int(s) & 0xFFFFFFFF for s in states] == expected


def test_lanes_do_not_follow_each_other() -> None:
    lanes = [seed_lane(1, 0, lane) for lane in range(64)]
    words = np.zeros((64, 2000))
    for lane, state in enumerate(lanes):
        for i in range(words.shape[1]):
            state = xorshift(state)
            words[lane, i] = state
    worst = np.abs(np.corrcoef(words) - np.eye(64)).max()
    assert worst < 0.11  # 5 sigma of 2000 independent draws


def test_gauss_has_the_stated_moments() -> None:
    values = [gauss(int(w)) for w in draws(20000, 7)]
    assert abs(np.mean(values)) < 4
    assert np.std(values) == pytest.approx(GAUSS_SIGMA, rel=0.02)
    assert gauss(0) == -510
    assert gauss(0xFFFFFFFF) == 510


def test_tanh_table_is_the_nearest_word() -> None:
    for k, word in enumerate(tanh_table(DEFAULT)):
        assert abs(word - 4096 * math.tanh(k / 128)) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sigmoid", lambda z: 1 / (1 + math.exp(-z))),
        ("tanh", math.tanh),
        ("relu", lambda z: max(z, 0.0)),
        ("linear", lambda z: z),
    ],
)
def test_activations_follow_the_float_function(name: str, function: object) -> None:
    c, table = DEFAULT, table_array(DEFAULT)
    worst = 0.0
    for y in range(-32767, 32768, 7):
        word, _ = activate(int(ACTIVATIONS[name]), y, table, c.pre_frac, c.vector_frac, c.unit, c.vector_max)
        exact = function(y / 1024)  # type: ignore[operator]
        exact = max(-8.0, min(8.0, exact)) if name == "linear" else max(-127 / 128, min(127 / 128, exact))
        worst = max(worst, abs(word / 4096 - exact))
    # Half a table step times the steepest slope, and the table's own rounding.
    assert worst <= {"sigmoid": 0.25 / 128 + 2e-4, "tanh": 0.5 / 128 + 2e-4, "relu": 0.0, "linear": 1 / 4096}[name]


@pytest.mark.parametrize(("name", "slope"), [("sigmoid", lambda a: a * (1 - a)), ("tanh", lambda a: 1 - a * a)])
def test_fprime(name: str, slope: object) -> None:
    for a in range(-4064 if name == "tanh" else 0, 4065, 13):
        assert fprime(int(hadamard(name)), a, 12) == pytest.approx(4096 * slope(a / 4096), abs=0.5001)  # type: ignore[operator]
    assert fprime(int(hadamard("relu")), 1, 12) == 4096
    assert fprime(int(hadamard("relu")), 0, 12) == 0


@given(st.integers(0, (1 << INSTRUCTION_BITS) - 1))
def test_decode_takes_exactly_the_legal_words(word: int) -> None:
    op, function = word & 15, word >> FIELDS["function"][0] & 15
    if (op, function) in LEGAL:
        assert decode(word).encode() == word
    else:
        with pytest.raises(ValueError, match="Unknown instruction word 0x"):
            decode(word)


def test_instruction_fields_are_disjoint_and_checked() -> None:
    bits = sorted(bit for low, width in FIELDS.values() for bit in range(low, low + width))
    assert bits == list(range(INSTRUCTION_BITS))
    with pytest.raises(ValueError, match="Instruction field region must be 0 to 4095, not 4096"):
        Instruction(op=Op.READ, region=4096, function=Function.NONE).encode()
    with pytest.raises(ValueError, match="Unknown instruction word 0x00000000000"):
        decode(0)


@given(st.tuples(*[st.integers(0, 65535)] * 8))
def test_region_words(values: tuple[int, ...]) -> None:
    names = ("tile", "row0", "rows", "col0", "cols", "row_offset", "col_offset", "scale_log2")
    region = Region(**dict(zip(names, values, strict=True)))
    assert Region.from_words(region.to_words()) == region


@given(st.integers(0, 32767), st.integers(0, 32767), st.integers(0, 1), st.integers(0, 1))
def test_vector_word(base: int, length: int, sample: int, bias: int) -> None:
    entry = Vector(base=base, length=length, sample=sample, bias=bias)
    assert Vector.from_word(entry.to_word()) == entry


@given(st.floats(2.0**-39, 2.0**23))
def test_scale_is_the_nearest(value: float) -> None:
    scale = Scale.from_float(value)
    assert Scale.from_word(scale.to_word()) == scale
    assert 1 << 15 <= scale.mantissa < 1 << 16
    assert scale.value == pytest.approx(value, rel=2.0**-16)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e9])
def test_scale_refuses(value: float) -> None:
    with pytest.raises(ValueError, match="A scale must be 0 or from"):
        Scale.from_float(value)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_config_words_round_trip(config: Config) -> None:
    words = config.to_words()
    assert len(words) == CONFIG_WORDS
    assert Config.from_words(words) == config


def test_digest_is_of_the_meaning() -> None:
    assert DEFAULT.digest != IDEAL.digest
    assert Config(store_words=1024).digest == DEFAULT.digest


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"tile_rows": 0}, "Configuration field tile_rows must be an integer from 1 to 512, not 0"),
        ({"sense_bits": 13}, "Configuration field sense_bits must be an integer from 6 to 12, not 13"),
        ({"tiles": 1.5}, "Configuration field tiles must be an integer from 1 to 1024, not 1.5"),
        ({"device": 0, "spread": 1}, "Configuration field spread must be 0 for the ideal device"),
        ({"order_depth": 1000}, "Configuration field order_depth must be a power of two, not 1000"),
    ],
)
def test_config_says_what_is_wrong(values: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Config(**values)
