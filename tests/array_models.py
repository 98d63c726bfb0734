"""Arrays for the tests, and their currents by each model: direct, by relaxation, in C++, by ngspice."""

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

from backpulse.firmware_py.array import Array, Dead, Open, Read, Short, Stuck, Wires
from backpulse.firmware_py.config import IDEAL, Config
from backpulse.firmware_py.nodal import Nodal
from backpulse.firmware_py.relaxation import currents
from backpulse.firmware_py.wired import DRIVER, LEAK, READ, READT, SENSOR, Wired
from backpulse.gateware.sim.array_tile import FOLDER, constants, tables

BINDING = """
extern "C" void* make(const char* bytes, long size) {
    auto* model = new array_model::Model;
    return model->load(bytes, size) ? model : nullptr;
}
extern "C" int currents(void* made, const int16_t* cells, int way, int first, int count, const int* line, double* rows, double* cols) {
    auto& model = *static_cast<array_model::Model*>(made);
    std::copy(cells, cells + kRows * kTileCols, model.cells.begin());
    model.changed();
    model.drive(way, 0, first, count, line);
    const int sweeps = model.solve(way, 0);
    std::copy(model.row_current.begin(), model.row_current.end(), rows);
    std::copy(model.col_current.begin(), model.col_current.end(), cols);
    return sweeps;
}
extern "C" void words(void* made, int way, int row0, int rows, int col0, int cols, const int* line, int* out, bool* over) {
    static_cast<array_model::Model*>(made)->read(way, 0, row0, rows, col0, cols, 0, line, out, over);
}
"""


def config_of(rows: int, cols: int, **more: int) -> Config:
    """Return a configuration of one tile."""
    return replace(IDEAL, tile_rows=rows, tile_cols=cols, **more)


def broken(reference: str, ohm: float, **read: float) -> Array:
    """Return an array of 4 x 4 or more with everything that can be wrong with lines and cells."""
    return Array(
        wires=Wires(row_ohm=ohm, col_ohm=1.5 * ohm, driver_ohm=3.0, sense_ohm=5.0),
        read=Read(reference=reference, drive_error=0.01, gain_error=0.01, **read),  # type: ignore[arg-type]  # pydantic checks
        stuck=[Stuck(row=1, col=1, value=0.5), Stuck(row=2, col=0, value=-1.5)],
        open=[Open(row=2, col=2, what="row"), Open(row=1, col=0, what="col"), Open(row=0, col=0), Open(row=3, col=0, what="row")],
        short=[Short(row=3, col=3, ohm=100.0)],
        dead=Dead(rows=[0], cols=[2]),
    )


def inputs(config: Config, way: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random cells, as wide as the golden model's lanes, and drives of all lines."""
    random = np.random.RandomState(seed)
    lsb = 1 << config.cell_frac
    cells = random.randint(-lsb, lsb + 1, (config.rows, -(-config.tile_cols // 16) * 16)).astype(np.int16)
    return cells, random.randint(-127, 128, config.tile_rows if way == READ else config.tile_cols)


def relaxed(array: Wired, cells: np.ndarray, way: int, line: np.ndarray) -> np.ndarray:
    """Return the sensed currents of the golden model."""
    array.fresh[0] = -1
    currents(array, cells, 0, 0, way, 0, len(line), line)
    return (array.col_current if way == READ else array.row_current).copy()


def direct(array: Wired, way: int) -> np.ndarray:
    """Return the sensed currents by nodal analysis, of the cells and drives that `relaxed` was given."""
    rows, cols = Nodal(array, 0, array.g, way).currents(array.row_drive, array.col_drive)
    return cols if way == READ else rows


class Compiled:
    """The C++ model of one array, as a library."""

    def __init__(self, folder: Path, config: Config, array: Wired) -> None:
        source, library = folder / "model.cpp", folder / "model.so"
        source.write_text(f'{constants(config, 1)}\n#include "{FOLDER}/array_model.h"\n{BINDING}')
        subprocess.run(["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        self._library, self._array = ctypes.CDLL(str(library)), array
        self._library.make.restype = ctypes.c_void_p
        data = tables(array)
        self._model = ctypes.c_void_p(self._library.make(data, ctypes.c_long(len(data))))
        assert self._model

    def currents(self, cells: np.ndarray, way: int, line: np.ndarray) -> np.ndarray:
        """Return the sensed currents."""
        rows, cols = np.zeros(self._array.g.shape[0]), np.zeros(self._array.g.shape[1])
        cells = np.ascontiguousarray(cells[:, : self._array.asked.shape[1]])
        given = np.ascontiguousarray(line, np.int32)
        self._library.currents(self._model, _at(cells), way, 0, len(line), _at(given), _at(rows), _at(cols))
        return cols if way == READ else rows


def _at(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)


def netlist(array: Wired, way: int) -> tuple[list[str], list[str]]:
    """Return an array with its present cells and drives as a netlist, and the sources of the sensed lines."""
    rows, cols = array.g.shape
    lines: list[str] = []

    def resistor(a: str, b: str, conductance: float) -> None:
        if conductance > 0:
            lines.append(f"r{len(lines)} {a} {b} {1 / conductance:.17g}")

    for i in range(rows):
        for j in range(cols):
            resistor(f"a{i}_{j}", f"b{i}_{j}", array.g[i, j])
            resistor(f"a{i}_{j}", "0", LEAK)
            resistor(f"b{i}_{j}", "0", LEAK)
            if j:
                resistor(f"a{i}_{j - 1}", f"a{i}_{j}", array.row_wire[0, j, i])
            if i:
                resistor(f"b{i - 1}_{j}", f"b{i}_{j}", array.col_wire[0, i, j])
    for i in range(rows):
        lines.append(f"va{i} s{i} 0 dc {array.row_drive[i]:.17g}")
        resistor(f"s{i}", f"a{i}_0", array.row_line[0, i, SENSOR if way == READT else DRIVER])
    for j in range(cols):
        lines.append(f"vb{j} t{j} 0 dc {array.col_drive[j]:.17g}")
        resistor(f"t{j}", f"b0_{j}", array.col_line[0, j, SENSOR if way == READ else DRIVER])
    return lines, [f"vb{j}" for j in range(cols)] if way == READ else [f"va{i}" for i in range(rows)]
