"""The virtual board and the gate level: the gateware as native programs."""
