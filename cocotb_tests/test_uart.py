import pytest

from backpulse.gateware.link.uart import Receiver, Transmitter, Uart, divisor
from cocotb_tests.mutants import Variants
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb


def _uart(clocks_per_bit):
    return Uart(clk_hz=1e6 * clocks_per_bit, baud=1e6)


UARTS = Variants(_uart(13), {"too slow": _uart(14), "5": _uart(5), "4": _uart(4)})
"""One design: the others are wrong for this one's rate, and right for their own."""


@pytest.mark.parametrize("clocks_per_bit", [4, 5, 13])
def test_uart(clocks_per_bit):
    mutant = UARTS.number("none" if clocks_per_bit == 13 else str(clocks_per_bit))
    run_cocotb(UARTS, "uart_bench", name="uarts", clocks_per_bit=clocks_per_bit, mutant=mutant)


def test_broken_one_clock_too_slow():
    expect_failure(UARTS, "uart_bench", name="uarts", clocks_per_bit=13, mutant=UARTS.number("too slow"))


def test_divisor():
    assert divisor(clk_hz=12e6, baud=115200) == 104
    assert divisor(clk_hz=12e6, baud=3e6) == 4
    with pytest.raises(ValueError, match=r"Baud rate must be within 2 % of what a clock of 12000000 Hz makes \(1000000\), not 961000"):
        divisor(clk_hz=12e6, baud=961000)
    with pytest.raises(ValueError, match="Baud rate must be at most 3000000 with a clock of 12000000 Hz, not 4000000"):
        divisor(clk_hz=12e6, baud=4e6)
    with pytest.raises(ValueError, match="must be positive"):
        divisor(clk_hz=12e6, baud=0)


@pytest.mark.parametrize("half", [Receiver, Transmitter])
def test_clocks_per_bit(half):
    refused("Clocks per bit must be an integer of at least 4, not 3", half, clocks_per_bit=3)
