"""The circuit of the student kit: modules on a breadboard beside a ULX3S."""

from backpulse.gateware.front_end.circuit import HEADER, Circuit
from backpulse.gateware.front_end.interlock_circuit import add_interlock, pull
from backpulse.gateware.front_end.student_pins import SIDE

__all__ = ["ADC", "AMPLIFIER", "ARRAY", "DAC", "SWITCH", "student_circuit"]

DAC, ADC, SWITCH, AMPLIFIER = "Pmod DA4", "Pmod AD1", "CD74HC4066", "MCP6024"
ARRAY = "J2"
_COMMON = {"0+": "sclk", "0-": "cs_dac_n", "1+": "sdi", "1-": "enable"} | {
    "2+": "sclk_adc",
    "2-": "cs_adc_n",
    "3+": "alive",
    "3-": "interlock",
}
_ANSWERS_AT = 18


def student_circuit() -> Circuit:
    """Return the circuit of the student kit on the header of a ULX3S."""
    c = Circuit("student")
    lines = [f"{kind}{k}" for kind in "RC" for k in range(SIDE)]
    answers = {f"{_ANSWERS_AT + i // 2}{'+-'[i % 2]}": f"sdo_{i}" for i in range(2 * SIDE)}
    c.add(
        HEADER, "ULX3S GPIO", "2 x 40 pins", "FPGA board", {"GND": "GND", "3.3V": "3V3"} | _COMMON | answers
    )
    c.add(ARRAY, "array", "socket", "rows and columns of the array", {})
    add_interlock(c, {"enable": "connect"})
    pull(c, dict.fromkeys(("enable", "alive", "interlock"), "GND"))
    pull(c, dict.fromkeys(("cs_dac_n", "cs_adc_n", *answers.values()), "3V3"))
    c.add(
        "M1",
        DAC,
        "Pmod",
        "voltages of lines",
        {"SYNC": "cs_dac_n", "DIN": "sdi", "SCLK": "sclk", "VCC": "3V3", "GND": "GND"}
        | {f"VOUT{'ABCDEFGH'[i]}": f"{line}_set" for i, line in enumerate(lines)},
    )
    for i in range(SIDE):
        c.add(
            f"M{2 + i}",
            ADC,
            "Pmod",
            "currents of lines",
            {"CS": "cs_adc_n", "SCLK": "sclk_adc", "D0": f"sdo_{2 * i}", "D1": f"sdo_{2 * i + 1}"}
            | {"VCC": "3V3", "GND": "GND", "A0": f"{lines[2 * i]}_out", "A1": f"{lines[2 * i + 1]}_out"},
        )
    for i, line in enumerate(lines):
        amplifier, switch, letter, gate = f"U{3 + i // 4}", f"U{5 + i // 4}", "ABCD"[i % 4], i % 4 + 1
        if letter == "A":
            c.add(
                amplifier,
                AMPLIFIER,
                "DIP-14",
                "hold lines, turn currents into voltages",
                {"VDD": "3V3", "VSS": "GND"},
            )
            c.add(switch, SWITCH, "DIP-14", "connect lines", {"VCC": "3V3", "GND": "GND"})
        ends = {f"IN{letter}+": f"{line}_set", f"IN{letter}-": f"{line}_held", f"OUT{letter}": f"{line}_out"}
        c.join(amplifier, ends)
        c.join(switch, {f"{gate}Y": f"{line}_held", f"{gate}Z": line, f"{gate}E": "connect"})
        c.between(f"R{30 + i}", "10k 0.1 %", "axial", "Rf", f"{line}_held", f"{line}_out")
        c.between(f"C{30 + i}", "20p", "radial", "Cf", f"{line}_held", f"{line}_out")
        c.join(ARRAY, {line: line})
    for i in range(6):
        c.between(f"C{40 + i}", "100n", "radial", "supply", "3V3", "GND")
    return c
