"""The blocks' common ground: arithmetic, random streams, trees, FIFOs, clock gating, shared interfaces."""
