"""Verilog for projects without Python."""
