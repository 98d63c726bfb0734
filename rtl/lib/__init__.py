"""What every block builds on: arithmetic, random streams, trees, FIFOs, clock gating and the interfaces that blocks share."""
