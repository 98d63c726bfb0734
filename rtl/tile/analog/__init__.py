"""The tile of a physical array: commands become codes, pulses and samples of lines."""
