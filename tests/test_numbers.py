"""Number formats, random streams and activations against independent oracles."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpulse.firmware_py.activation import activate, fprime, table_array, tanh_table
from backpulse.firmware_py.config import CONFIG_WORDS, DEFAULT, IDEAL, PRESETS, Config
from backpulse.firmware_py.formats import rshift, sat, shift
from backpulse.firmware_py.isa import (
    ACTIVATIONS,
    FIELDS,
    INSTRUCTION_BITS,
    LEGAL,
    OPERATIONS,
    RESERVED,
    USED_BITS,
    Function,
    Instruction,
    Op,
    Region,
    Scale,
    Vector,
    decode,
    hadamard,
)
from backpulse.firmware_py.lanes import bit_length
from backpulse.firmware_py.streams import GAUSS_SIGMA, draws, gauss, seed_lane, splitmix64, xorshift


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
        assert fprime(int(hadamard(name)), a, 12, 4064) == pytest.approx(4096 * slope(a / 4096), abs=0.5001)  # type: ignore[operator]


def slopes(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all pre-activations in order, the machine's derivative at each, and the finite differences of its own forward pass."""
    c, table = DEFAULT, table_array(DEFAULT)
    y = np.arange(-c.vector_max, c.vector_max + 1)
    out = np.array([activate(int(ACTIVATIONS[name]), int(v), table, c.pre_frac, c.vector_frac, c.unit, c.vector_max)[0] for v in y])
    said = np.array([fprime(int(hadamard(name)), int(a), c.vector_frac, c.unit) for a in out]) / c.one
    # Much wider than a step of the table, so that its stairs average out; exact where the function is a straight line.
    reach = 256 if name in ("sigmoid", "tanh") else 1
    inside = slice(reach, -reach)
    measured = (out[2 * reach :] - out[: -2 * reach]) / c.one / (2 * reach / (1 << c.pre_frac))
    return y[inside], said[inside], measured


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_derivative_of_a_curve_is_the_finite_difference(name: str) -> None:
    y, said, measured = slopes(name)
    # A curve's derivative is read off its output, which stops at the unit: beyond, what the curve has there remains, and no more.
    unit = DEFAULT.unit / DEFAULT.one
    rest = unit * (1 - unit) if name == "sigmoid" else 1 - unit * unit
    # A half-unit difference of the function: its bend, and one step of the table.
    bend = 0.008 if name == "sigmoid" else 0.022
    assert np.abs(said - measured).max() <= bend
    flat = np.abs(y) > (5.2 if name == "sigmoid" else 3.1) * (1 << DEFAULT.pre_frac)
    assert np.abs(said - measured)[flat].max() <= rest + 0.5 / DEFAULT.one
    assert said.max() == pytest.approx(0.25 if name == "sigmoid" else 1.0, abs=1e-3)


@pytest.mark.parametrize("name", ["relu", "linear"])
def test_derivative_of_a_line_is_the_finite_difference_up_to_its_ends(name: str) -> None:
    c = DEFAULT
    y, said, measured = slopes(name)
    # At a corner the difference has one foot on each side. LINEAR clips where words end, which is counted and no part of the function.
    low, high = (0, c.unit >> 2) if name == "relu" else (-(c.vector_max >> 2), c.vector_max >> 2)
    off_corner = (np.abs(y - low) > 1) & (np.abs(y - high) > 1)
    inside = (y > low) & (y < high)
    within = inside if name == "linear" else np.full(len(y), True)
    assert (said == measured)[off_corner & within].all()
    assert said[inside].min() == 1.0
    if name == "relu":
        assert said[~inside].max() == 0.0, "at both ends a pulse could move nothing"


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_error_is_the_finite_difference_of_the_loss(loss: str) -> None:
    """ERR's error, times f' for the squared loss, is what the loss of the machine's own logistic outputs falls by as z grows."""
    c, table = DEFAULT, table_array(DEFAULT)

    def output(y: int) -> int:
        return activate(int(ACTIVATIONS["sigmoid"]), y, table, c.pre_frac, c.vector_frac, c.unit, c.vector_max)[0]

    def value(t: float, a: float) -> float:
        return 0.5 * (t - a) ** 2 if loss == "squared" else -(t * math.log(a) + (1 - t) * math.log(1 - a))

    for t in (0, c.unit // 3, c.unit):
        for y in range(-3 << c.pre_frac, 3 << c.pre_frac, 97):
            below, above = output(y - 128), output(y + 128)
            fall = -(value(t / c.one, above / c.one) - value(t / c.one, below / c.one)) / (256 / (1 << c.pre_frac))
            a = output(y)
            slope = fprime(int(hadamard("sigmoid")), a, c.vector_frac, c.unit) / c.one if loss == "squared" else 1.0
            assert (t - a) / c.one * slope == pytest.approx(fall, abs=0.02), f"target {t}, z {y}"


@given(st.integers(0, (1 << USED_BITS) - 1), st.just(0) | st.integers(0, (1 << INSTRUCTION_BITS - USED_BITS) - 1))
def test_decode_takes_exactly_the_legal_words(word: int, beyond: int) -> None:
    op, function = word & 15, word >> FIELDS["function"][0] & 15
    profiled = word >> FIELDS["profile"][0] & 15 and not (op in OPERATIONS and OPERATIONS[Op(op)].region)
    word |= beyond << USED_BITS
    if (op, function) in LEGAL and not beyond and not profiled:
        assert decode(word).encode() == word
    else:
        with pytest.raises(ValueError, match="Illegal instruction word 0x"):
            decode(word)


def test_instruction_fields_are_disjoint_and_checked() -> None:
    bits = sorted(bit for low, width in FIELDS.values() for bit in range(low, low + width))
    assert bits == list(range(USED_BITS))
    reserved = sorted(bit for low, width in RESERVED.values() for bit in range(low, low + width))
    assert reserved == list(range(USED_BITS, USED_BITS + len(reserved)))
    with pytest.raises(ValueError, match="Instruction field region must be 0 to 4095, not 4096"):
        Instruction(op=Op.READ, region=4096, function=Function.NONE).encode()
    with pytest.raises(ValueError, match="Illegal instruction word 0x0000000000000000"):
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
        ({"device": 0, "spread": 1}, "Configuration field spread must be 0 but for the linear-step and the table device"),
        ({"order_depth": 1000}, "Configuration field order_depth must be a power of two, not 1000"),
    ],
)
def test_config_says_what_is_wrong(values: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Config(**values)  # type: ignore[arg-type]  # wrong values are the test
