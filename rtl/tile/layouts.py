"""Layouts of the emulated tiles, full and lean: parameters and sums."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import parameter_bits
from backpulse.firmware_py.registers import TableParameter, TileParameter
from backpulse.firmware_py.streams import GAUSS_MEAN
from backpulse.firmware_py.table_device import BASE_BITS, CLASS_BITS, DELTA_BITS, TABLE_BITS

__all__ = ["MEAN_BITS", "parameter_layout", "segment_layout", "sum_bits", "table_layout"]


def parameter_layout(config: Config) -> data.StructLayout:
    """Return the layout of the device parameters; those that a configuration leaves out have no bits."""
    bits = {p: parameter_bits(config, p) or 0 for p in TileParameter if p < TileParameter.ROOT}
    return data.StructLayout({p.name.lower(): signed(-n) if n < 0 else unsigned(n) for p, n in bits.items()})


def table_layout(config: Config) -> data.StructLayout:
    """Return the layout of the table device's parameters but for AGE, which counts by itself.

    REST is no wider than a cell, so that no leak leaves a cell word.
    """
    return data.StructLayout(
        {
            p.name.lower(): signed(min(-n, config.cell_bits)) if n < 0 else unsigned(n)
            for p, n in TABLE_BITS.items()
            if p is not TableParameter.AGE
        }
    )


MEAN_BITS = TABLE_BITS[TableParameter.APPARENT] + GAUSS_MEAN.bit_length()
"""Of the mean of the bytes' sum, times APPARENT."""


def segment_layout() -> data.StructLayout:
    """Return the layout of a segment of a table: its two words in the TABLE window, one behind the other."""
    return data.StructLayout({"base": BASE_BITS, "delta": signed(DELTA_BITS), "kind": CLASS_BITS})


def sum_bits(config: Config) -> int:
    """Return the bits of a noiseless analog sum over a whole column or row, whichever is longer."""
    most = max(config.tile_rows, config.tile_cols)
    return (most * config.drive_max << (config.cell_bits - 1)).bit_length() + 1
