"""CRC-8 with the polynomial x^8 + x^2 + x + 1, from 0: that of the DAC81416 and the ADS8686S, bit by bit."""

# Amaranth's types do not know what its operators give.
# pyright: reportReturnType=false

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib.crc.catalog import CRC8_SMBUS

__all__ = ["crc8", "skip", "step"]

BITS = CRC8_SMBUS.crc_width


def crc8(data: bytes) -> int:
    """Return the CRC of bytes."""
    return CRC8_SMBUS(data_width=8).compute(data)


def step(crc: Value, bit: Value) -> Value:
    """Return the CRC after one more bit, the most significant one first."""
    return (crc << 1)[:BITS] ^ Mux(crc[-1] ^ bit, Const(CRC8_SMBUS.polynomial, BITS), 0)


def skip(crc: Value, bits: int) -> Value:
    """Return the CRC after so many bits of zero."""
    images = [_skipped(1 << i, bits) for i in range(BITS)]
    return Cat(reduce(xor, (crc[i] for i in range(BITS) if images[i] >> o & 1)) for o in range(BITS))


def _skipped(crc: int, bits: int) -> int:
    for _ in range(bits):
        crc = crc << 1 & (1 << BITS) - 1 ^ (CRC8_SMBUS.polynomial if crc >> BITS - 1 else 0)
    return crc
