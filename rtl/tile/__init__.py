"""The contract with the analog world, and the emulated tiles that keep it."""
