"""The board's end of the link: UART, frames, and the session in hardware or in a small processor."""
