"""Words of the emulated tiles, full and lean: their parameters and sums."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import parameter_bits
from backpulse.firmware_py.registers import TileParameter

__all__ = ["parameter_layout", "sum_bits"]


def parameter_layout(config: Config) -> data.StructLayout:
    """Return the layout of the device parameters that all lanes share; those that a build leaves out have no bits, and are zero."""
    bits = {p: parameter_bits(config, p) or 0 for p in TileParameter if p < TileParameter.ROOT}
    return data.StructLayout({p.name.lower(): signed(-n) if n < 0 else unsigned(n) for p, n in bits.items()})


def sum_bits(config: Config) -> int:
    """Return the bits of an analog sum down a whole column or along a whole row, without noise."""
    most = max(config.tile_rows, config.tile_cols)
    return (most * config.drive_max << (config.cell_bits - 1)).bit_length() + 1
