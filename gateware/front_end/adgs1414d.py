"""ADGS1414D: eight switches between amplifiers and lines, several chips in a chain; open after power-up.

As of its data sheet, revision 0: bits are taken at the clock's rising edge, a switch closes within 615 ns,
opens within 265 ns, and nothing may be sent for 120 us after RESET/VL has risen.
"""

__all__ = ["CHAIN", "SWITCHES"]

SWITCHES = 8
"""Of a chip: bit 0 is S1. What was sent last is that of the first chip of the chain."""
CHAIN = 0x2500
"""The frame, of 16 bits, by which chips become a chain: their data lines delay by a byte already."""
