"""Layouts of the emulated tiles, full and lean: parameters and sums."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import parameter_bits
from backpulse.firmware_py.registers import TileParameter

__all__ = ["parameter_layout", "sum_bits"]


def parameter_layout(config: Config) -> data.StructLayout:
    """Return the layout of the device parameters; those that a configuration leaves out have no bits."""
    bits = {p: parameter_bits(config, p) or 0 for p in TileParameter if p < TileParameter.ROOT}
    return data.StructLayout({p.name.lower(): signed(-n) if n < 0 else unsigned(n) for p, n in bits.items()})


def sum_bits(config: Config) -> int:
    """Return the bits of a noiseless analog sum over a whole column or row, whichever is longer."""
    most = max(config.tile_rows, config.tile_cols)
    return (most * config.drive_max << (config.cell_bits - 1)).bit_length() + 1
