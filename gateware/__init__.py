"""What makes it a chip: UART, framing, top, Verilog export, virtual board."""
