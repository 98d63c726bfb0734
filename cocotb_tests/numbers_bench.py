"""Bench of the arithmetic helpers: every value of the test component's width against the golden functions."""

import cocotb
from cocotb.triggers import Timer

from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.streams import gauss, xorshift
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import choose_mutant, generator

PARAMETERS = parameters()
WIDTH, SHIFTS, LIMIT, KEPT = (PARAMETERS[name] for name in ("width", "shifts", "limit", "kept"))


def signed_value(signal) -> int:
    """Return a port's value as a signed number."""
    return signal.value.to_signed()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def arithmetic(dut):
    """Shifts, products, saturation and clamping of all values."""
    choose_mutant(dut)
    rng = generator(5)
    half = 1 << (WIDTH - 1)
    for value in range(-half, half):
        n = rng.randrange(16)
        low, high = sorted(rng.randrange(-half, half) for _ in range(2))
        dut.value.value, dut.n.value, dut.low.value, dut.high.value = value, n, low, high
        await Timer(1, "ns")
        for i, shift in enumerate(SHIFTS):
            got = signed_value(getattr(dut, f"shifted__{i}"))
            assert got == rshift(value, shift), f"rshift({value}, {shift}) is {got}"
        assert signed_value(dut.shifted_by) == rshift(value, n), f"rshift_by({value}, {n})"
        bits = value % (2 * half)
        assert int(dut.unsigned_by.value) == rshift(bits, n), f"rshift_by({bits}, {n})"
        parts = tuple(int(getattr(dut, name).value) for name in ("kept", "half", "over"))
        assert parts == ((bits >> n) % (1 << KEPT), (bits << 1 >> n) & 1, bits >> n >= 1 << KEPT), f"rshift_parts({bits}, {n})"
        assert int(dut.multiplied.value) == bits * n, f"times({bits}, {n})"
        assert signed_value(dut.saturated) == sat(value, LIMIT)
        assert int(dut.clipped.value) == (abs(value) > LIMIT)
        assert signed_value(dut.clamped) == min(max(value, low), high)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def streams(dut):
    """xorshift and gauss of words, the extreme ones among them."""
    choose_mutant(dut)
    rng = generator(6)
    for word in [0, 1, 0xFFFFFFFF, 1 << 31, *(rng.getrandbits(32) for _ in range(500))]:
        dut.word.value = word
        await Timer(1, "ns")
        assert int(dut.next_word.value) == xorshift(word), f"xorshift(0x{word:08x})"
        assert signed_value(dut.gaussian) == gauss(word), f"gauss(0x{word:08x})"
