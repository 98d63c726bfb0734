"""Proofs about the RTL, with the tools that come as wheels."""
