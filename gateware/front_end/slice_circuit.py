"""The circuit of slices: which pin of the FPGA, of which chip, is on which net."""

from backpulse.gateware.front_end.circuit import HEADER, Circuit
from backpulse.gateware.front_end.interlock_circuit import add_interlock, pull
from backpulse.gateware.front_end.slice_pins import SIDE

__all__ = ["ADC", "AMPLIFIER", "ARRAY", "DAC", "SWITCH", "slices_circuit"]

DAC, ADC, SWITCH, AMPLIFIER = "DAC81416", "ADS8686S", "ADGS1414D", "OPA4192"
ARRAY = "J2"
"""The array's connector: pins R0 and on, C0 and on."""

_COMMON = (
    {"0+": "sclk", "0-": "cs_dac_n", "1+": "cs_adc_n", "1-": "cs_switch_n"}
    | {"2+": "ldac_n", "2-": "toggle", "3+": "clr_n", "3-": "convst"}
    | {"4+": "reset_n", "4-": "enable", "5+": "alive", "5-": "alarm_n", "6+": "interlock"}
)
"""Two Pmods of the first header."""
_OWN_AT = 18
"""First pair of a slice's own pins, two pairs a slice: clear of those that the board itself uses."""
_DOWN = ("toggle", "clr_n", "reset_n", "enable", "convst", "alive", "interlock")
_UP = ("cs_dac_n", "cs_adc_n", "cs_switch_n", "ldac_n", "alarm_n")


def slices_circuit(slices: int) -> Circuit:
    """Return the circuit of so many slices on the header of a ULX3S."""
    c = Circuit(f"slices{slices}")
    c.add(HEADER, "ULX3S GPIO", "2 x 40 pins", "FPGA board", {"GND": "GND", "3.3V": "3V3"} | _COMMON)
    c.add(ARRAY, "array", "socket", "rows and columns of the array", {"GND": "GND"})
    add_interlock(c, {"clr_n": "clear_n", "enable": "switch_supply", "toggle": "gate"})
    pull(c, dict.fromkeys(_DOWN, "GND"))
    pull(c, dict.fromkeys(_UP, "3V3"))
    for s in range(slices):
        _add_slice(c, s)
    return c


def _add_slice(c: Circuit, s: int) -> None:
    base = 100 * (s + 1)
    own = {"+": ("sdi", "sdo_b"), "-": ("sdo_a", "busy")}
    for i in range(2):
        pair = _OWN_AT + 2 * s + i
        c.join(HEADER, {f"{pair}{sign}": f"{names[i]}_{s}" for sign, names in own.items()})
    lines = [f"{kind}{SIDE * s + k}" for kind in "RC" for k in range(SIDE)]
    c.add(
        f"U{base + 1}",
        DAC,
        "VQFN-40",
        "voltages of lines",
        {"CS": "cs_dac_n", "SCLK": "sclk", "SDI": f"sdi_{s}", "LDAC": "ldac_n", "CLR": "clear_n"}
        | {"RESET": "reset_n", "TOGGLE0": "gate", "TOGGLE1": "GND", "TOGGLE2": "GND", "ALMOUT": "alarm_n"}
        | {"VCC": "12V", "VSS": "-12V", "VAA": "5V", "VIO": "3V3", "GND": "GND"}
        | {f"OUT{k}": f"{line}_set" for k, line in enumerate(lines)},
    )
    c.add(
        f"U{base + 2}",
        ADC,
        "LQFP-80",
        "currents of lines",
        {"CS": "cs_adc_n", "SCLK/RD": "sclk", "SDI": f"sdi_{s}", "SDOA": f"sdo_a_{s}", "SDOB": f"sdo_b_{s}"}
        | {"CONVST": "convst", "BUSY": f"busy_{s}", "RESET": "reset_n"}
        | {"SER/BYTE/PAR": "3V3", "SER1W": "3V3", "REFSEL": "3V3", "HW_RANGESEL0": "GND"}
        | {"HW_RANGESEL1": "GND", "AVDD": "5V", "DVDD": "3V3", "GND": "GND"}
        | {f"AIN_{k % SIDE}{'AB'[k // SIDE]}": f"{line}_out" for k, line in enumerate(lines)},
    )
    for half in range(2):
        c.add(
            f"U{base + 3 + half}",
            SWITCH,
            "LGA-30",
            "connect lines",
            {"CS": "cs_switch_n", "SCLK": "sclk", "SDI": f"chain_{s}" if half else f"sdi_{s}"}
            | ({} if half else {"SDO": f"chain_{s}"})
            | {"RESET/VL": "switch_supply", "VDD": "12V", "VSS": "-12V", "GND": "GND"}
            | {f"S{k + 1}": f"{lines[SIDE * half + k]}_held" for k in range(SIDE)}
            | {f"D{k + 1}": lines[SIDE * half + k] for k in range(SIDE)},
        )
    c.between(f"R{base + 40}", "10k", "0603", "holds the chain's data line up", f"chain_{s}", "3V3")
    for k, line in enumerate(lines):
        amplifier, letter = f"U{base + 5 + k // 4}", "ABCD"[k % 4]
        if letter == "A":
            c.add(
                amplifier,
                AMPLIFIER,
                "SOIC-14",
                "hold lines, turn currents into voltages",
                {"V+": "12V", "V-": "-12V"},
            )
        ends = {f"IN{letter}+": f"{line}_set", f"IN{letter}-": f"{line}_held", f"OUT{letter}": f"{line}_out"}
        c.join(amplifier, ends)
        c.between(f"R{base + 10 + k}", "10k 0.1 %", "0603", "Rf", f"{line}_held", f"{line}_out")
        c.between(f"C{base + 10 + k}", "20p", "0603", "Cf", f"{line}_held", f"{line}_out")
        c.join(ARRAY, {line: line})
    supplies = (("12V", 7), ("-12V", 7), ("5V", 4), ("3V3", 4))
    number = base + 40
    for supply, count in supplies:
        for _ in range(count):
            c.between(f"C{number}", "100n", "0603", "supply", supply, "GND")
            number += 1
