"""The interlock outside the FPGA: a key, a detector of missing pulses, and gates behind the FPGA's pins."""

from backpulse.gateware.front_end.circuit import Circuit

__all__ = ["DETECTOR", "GATES", "KEY", "add_interlock", "pull"]

GATES = "SN74LVC08A"
DETECTOR = "SN74HC123"
KEY = "key switch"
_RETRIGGER_MS = 2.5
"""For how long the detector waits: more than two periods of `alive`."""


def add_interlock(circuit: Circuit, gated: dict[str, str]) -> None:
    """Add key, detector and gates; `gated` has for each of the FPGA's nets, at most three, the one behind."""
    circuit.between("S1", KEY, "panel", "opens the interlock", "3V3", "interlock")
    circuit.add(
        "U2",
        DETECTOR,
        "SOIC-16",
        f"detector of missing pulses, {_RETRIGGER_MS:g} ms",
        {"1B": "alive", "1A": "GND", "1CLR": "interlock", "1Q": "pulses", "1Rext/Cext": "detector_rc"}
        | {"1Cext": "detector_c", "VCC": "3V3", "GND": "GND"},
    )
    circuit.between("R1", "56k", "0603", "time of the detector", "3V3", "detector_rc")
    circuit.between("C1", "100n", "0603", "time of the detector", "detector_rc", "detector_c")
    gates = {"1A": "interlock", "1B": "pulses", "1Y": "safe", "VCC": "3V3", "GND": "GND"}
    for gate, (net, behind) in enumerate(gated.items(), 2):
        gates |= {f"{gate}A": net, f"{gate}B": "safe", f"{gate}Y": behind}
    circuit.add("U1", GATES, "SOIC-14", "lets drivers be on only while the interlock holds", gates)


def pull(circuit: Circuit, nets: dict[str, str]) -> None:
    """Add a resistor from each net to a supply: what holds while the FPGA is not configured."""
    first = 10 + len(circuit.of("10k"))
    for i, (net, supply) in enumerate(nets.items(), first):
        role = f"holds a line {'down' if supply == 'GND' else 'up'}"
        circuit.between(f"R{i}", "10k", "0603", role, net, supply)
