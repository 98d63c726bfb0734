"""Drives a host port (request held until ack) of a block from a bench."""

from typing import Any

from cocotb.triggers import FallingEdge, ReadOnly

from backpulse.firmware_py.registers import Counter, word_name


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
        self._name, self._limit = name, limit
        self._edge = FallingEdge(dut.clk)
        parts = ("addr", "window", "write", "w_data", "request", "ack", "r_data", "error")
        self._pins: dict[str, Any] = {part: getattr(dut, f"{name}__{part}", None) for part in parts}
        self._pins["request"].value = 0

    def _place(self, address: int) -> str:
        """Return what messages call an address: a word of the address map at the bus, or a counter, or an offset."""
        if self._name == "bus":
            return word_name(address)
        return address.name if isinstance(address, Counter) else f"address {address}"

    async def access(self, address: int, value: int | None = None, *, window: int | None = None) -> tuple[int, bool]:
        """Read a word, or write `value`; return the word read and whether it was an error."""
        pins = self._pins
        await self._edge
        pins["addr"].value = address
        if window is not None:
            pins["window"].value = window
        pins["write"].value = int(value is not None)
        pins["w_data"].value = (value or 0) & 0xFFFFFFFF
        pins["request"].value = 1
        for _ in range(self._limit):
            await ReadOnly()
            if answered := int(pins["ack"].value):
                word, error = int(pins["r_data"].value), bool(int(pins["error"].value))
            await self._edge
            if answered:
                pins["request"].value = 0
                return word, error
        raise AssertionError(f"{self._name}: no answer to {self._place(address)} within {self._limit} cycles")

    async def read(self, address: int, *, window: int | None = None) -> int:
        """Return a word that must be there."""
        word, error = await self.access(address, window=window)
        assert not error, f"{self._name}: error on reading {self._place(address)}"
        return word

    async def write(self, address: int, value: int, *, window: int | None = None) -> None:
        """Write a word that must be there."""
        _, error = await self.access(address, value, window=window)
        assert not error, f"{self._name}: error on writing {self._place(address)}"
