"""Drives a host port (request held until ack) of a block from a bench."""

from typing import Any

from cocotb.triggers import FallingEdge, ReadOnly


class HostPortDriver:
    """Reads and writes words through the port `name` of a design.

    Parameters
    ----------
    dut, name
        Design and name of its port.
    limit
        Cycles after which an answer that has not come is a failure.
    """

    def __init__(self, dut: Any, name: str = "host", *, limit: int = 32) -> None:
        self._dut, self._name, self._limit = dut, name, limit
        self._pin("request").value = 0

    def _pin(self, part: str) -> Any:
        return getattr(self._dut, f"{self._name}__{part}")

    async def access(self, address: int, value: int | None = None, *, window: int | None = None) -> tuple[int, bool]:
        """Read a word, or write `value`; return the word read and whether it was an error."""
        await FallingEdge(self._dut.clk)
        self._pin("addr").value = address
        if window is not None:
            self._pin("window").value = window
        self._pin("write").value = int(value is not None)
        self._pin("w_data").value = (value or 0) & 0xFFFFFFFF
        self._pin("request").value = 1
        for _ in range(self._limit):
            await ReadOnly()
            answered = int(self._pin("ack").value)
            word, error = int(self._pin("r_data").value), bool(int(self._pin("error").value))
            await FallingEdge(self._dut.clk)
            if answered:
                self._pin("request").value = 0
                return word, error
        raise AssertionError(f"{self._name}: no answer to address {address} within {self._limit} cycles")

    async def read(self, address: int, *, window: int | None = None) -> int:
        """Return a word that must be there."""
        word, error = await self.access(address, window=window)
        assert not error, f"{self._name}: error on reading address {address}"
        return word

    async def write(self, address: int, value: int, *, window: int | None = None) -> None:
        """Write a word that must be there."""
        _, error = await self.access(address, value, window=window)
        assert not error, f"{self._name}: error on writing address {address}"
