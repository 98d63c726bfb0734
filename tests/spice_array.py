"""A physical array as a circuit for ngspice: wires, cells that move by themselves, and an amplifier with a pole at each line."""

import math

import numpy as np

from backpulse.firmware_py import physical as places
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import STEP_FRAC
from backpulse.firmware_py.physical import Physical
from backpulse.firmware_py.registers import TileParameter

GAIN_BANDWIDTH_HZ, OPEN_LOOP = 10e6, 1e5
"""Of the amplifiers."""
FEEDBACK_F, LINE_F = 20e-12, 10e-12
"""Capacitance across an amplifier's feedback, and of a line to ground."""


def circuit(tables: Physical, unit: float, clock_hz: float) -> tuple[list[str], list[str]]:
    """Return the netlist of an array with ideal devices, and its probes: the amplifiers' outputs, then the cells in device units.

    Source k is what line k's amplifier holds its line at. A cell's state is the charge of a capacitor of its own.

    Parameters
    ----------
    tables : Physical
    unit : float
        Siemens of a conductance of 1 in the tables.
    clock_hz : float
        Clock that the tables were made for.
    """
    rows, cols = tables.cells.shape
    netlist: list[str] = []

    def add(kind: str, rest: str) -> None:
        netlist.append(f"{kind}x{len(netlist)} {rest}")

    def resistor(a: str, b: str, conductance: float) -> None:
        if conductance > 0:
            add("r", f"{a} {b} {1 / (conductance * unit):.12g}")

    ends = [(f"a{i}_0", tables.row_end[i]) for i in range(rows)] + [(f"b0_{j}", tables.col_end[j]) for j in range(cols)]
    for k, (first, conductance) in enumerate(ends):
        netlist.append(f"vs{k} plus{k} 0 external")
        resistor(f"minus{k}", first, conductance)
        add("g", f"0 pole{k} plus{k} minus{k} 1")
        add("r", f"pole{k} 0 {OPEN_LOOP}")
        add("c", f"pole{k} 0 {1 / (2 * math.pi * GAIN_BANDWIDTH_HZ):.12g}")
        add("e", f"out{k} 0 pole{k} 0 1")
        add("r", f"out{k} minus{k} {tables.feedback[k] / unit:.12g}")
        add("c", f"out{k} minus{k} {FEEDBACK_F}")
        add("c", f"{first} 0 {LINE_F}")
    volts, law = tables.numbers[places.PULSE_VOLTS], tables.numbers[places.LAW]
    lsb = 1 << DEFAULT.cell_frac
    step = tables.parameters[TileParameter.BASE_UP] / (lsb << STEP_FRAC)
    rate = step / (tables.numbers[places.PULSE_CYCLES] / clock_hz)
    for i in range(rows):
        for j in range(cols):
            if j:
                resistor(f"a{i}_{j - 1}", f"a{i}_{j}", tables.row_wire[j, i])
            if i:
                resistor(f"b{i - 1}_{j}", f"b{i}_{j}", tables.col_wire[i, j])
            seen = f"v(a{i}_{j},b{i}_{j})"
            zero, per_unit = tables.numbers[places.ZERO] * unit, tables.numbers[places.PER_LSB] * lsb * unit
            add("b", f"a{i}_{j} b{i}_{j} i={seen}*({zero:.12g}+{per_unit:.12g}*v(cell{i}_{j}))")
            add("b", f"0 cell{i}_{j} i=1e-6*{rate / math.sinh(law):.12g}*sinh({law / volts:.12g}*{seen})")
            add("c", f"cell{i}_{j} 0 1e-6 ic={tables.cells[i, j] / lsb:.12g}")
    return netlist, [f"out{k}" for k in range(rows + cols)] + [f"cell{i}_{j}" for i in range(rows) for j in range(cols)]


def outputs(probes: list[float], tables: Physical) -> tuple[np.ndarray, np.ndarray]:
    """Return what the probes say: volts of the amplifiers' outputs, and the cells in device units, (R, C)."""
    lines = sum(tables.cells.shape)
    return np.array(probes[:lines]), np.array(probes[lines:]).reshape(tables.cells.shape)
