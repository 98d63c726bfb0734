"""The controller core and the tiles, in Amaranth. No pins, no clock names, no boards."""
