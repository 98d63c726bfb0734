"""The C++ model of a physical array as a library, for the tests."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np

from backpulse.firmware_py.physical import Physical
from backpulse.gateware.sim.front_end_board import FOLDER, constants

_BINDING = """
extern "C" void* make(const char* bytes, long size) {
    auto* world = new array_model::World;
    return world->load(bytes, size) ? world : nullptr;
}
extern "C" void drive(void* world, long long cycle, const int* codes, const bool* connected) {
    static_cast<array_model::World*>(world)->drive(cycle, codes, connected);
}
extern "C" void convert(void* world, int* samples) { static_cast<array_model::World*>(world)->convert(samples); }
extern "C" int solve(void* made, double* rows, double* cols, double* across) {
    auto& world = *static_cast<array_model::World*>(made);
    const int sweeps = world.solve(), r = world.row_current.size(), c = world.col_current.size();
    std::copy(world.row_current.begin(), world.row_current.end(), rows);
    std::copy(world.col_current.begin(), world.col_current.end(), cols);
    for (int k = 0; k < r * c; ++k) across[k] = world.across(k / c, k % c);
    return sweeps;
}
extern "C" void cells(void* made, double* out) {
    auto& world = *static_cast<array_model::World*>(made);
    std::copy(world.cells.begin(), world.cells.end(), out);
}
"""


class World:
    """The C++ model of one physical array; lines are rows, then columns."""

    def __init__(self, folder: Path, tables: Physical) -> None:
        self._shape = tables.cells.shape
        self._lines = sum(self._shape)
        source, library = folder / "world.cpp", folder / "world.so"
        if not library.exists():  # one serves arrays of all sizes
            text = f'{constants(self._lines)}\n#include "{FOLDER}/array_world.h"\n{_BINDING}'
            source.write_text(text)
            subprocess.run(["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        self._library = ctypes.CDLL(str(library))
        self._library.make.restype = ctypes.c_void_p
        data = tables.to_bytes()
        self._world = ctypes.c_void_p(self._library.make(data, ctypes.c_long(len(data))))
        assert self._world

    def drive(self, cycle: int, codes: np.ndarray, connected: np.ndarray | None = None) -> None:
        """Set the lines' codes, from a cycle on, and which are connected."""
        codes = np.ascontiguousarray(codes, np.int32)
        closed = np.ones(self._lines, bool) if connected is None else np.ascontiguousarray(connected, bool)
        self._library.drive(self._world, ctypes.c_longlong(cycle), _at(codes), _at(closed))

    def convert(self) -> np.ndarray:
        """Return what the converters read."""
        samples = np.zeros(self._lines, np.int32)
        self._library.convert(self._world, _at(samples))
        return samples

    def solve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Return the currents into the amplifiers of rows and columns, the voltages across cells, and the sweeps it took."""
        rows, cols = self._shape
        found = np.zeros(rows), np.zeros(cols), np.zeros(self._shape)
        return *found, self._library.solve(self._world, *map(_at, found))

    @property
    def cells(self) -> np.ndarray:
        """Where the devices stand, in LSB."""
        found = np.zeros(self._shape)
        self._library.cells(self._world, _at(found))
        return found


def _at(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)
