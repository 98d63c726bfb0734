"""Bench of the tile's windows."""

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.registers import STREAM_SHIFT, Stream, Window
from backpulse.rtl.tile.signature import window_code
from backpulse.rtl.tile.windows import tile_windows
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.streams import cycles, generator, start

WINDOWS = tile_windows(DEFAULT)


class Port:
    """Answers a port after some cycles, with a word that says what it was asked, and an error at every seventh address."""

    def __init__(self, dut, name: str, delay: int) -> None:
        self.dut, self.name, self.delay = dut, name, delay
        self.asked: list[tuple[int, ...]] = []
        for part in ("ack", "r_data", "error"):
            self.pin(part).value = 0
        cocotb.start_soon(self._run())

    def pin(self, part: str):
        return getattr(self.dut, f"{self.name}__{part}")

    async def _run(self) -> None:
        parts = ("addr", "write", "w_data") + (("window",) if self.name == "o_tile" else ())
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            if not int(self.pin("request").value):
                continue
            asked = tuple(int(self.pin(part).value) for part in parts)
            await cycles(self.dut, self.delay)
            self.pin("ack").value, self.pin("r_data").value = 1, self.answer(asked[0])
            self.pin("error").value = int(asked[0] % 7 == 0)
            self.asked.append(asked)
            await FallingEdge(self.dut.clk)
            self.pin("ack").value = 0

    def answer(self, address: int) -> int:
        """Return the word that this port gives at an address."""
        return (address * 2654435761 + (self.name == "o_tile")) & 0xFFFFFFFF


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def leads(dut):
    """Each access reaches its port once, whole, with its window; the answer and the error come back; the other port hears nothing."""
    rng = generator(7)
    hosts = {window: HostPortDriver(dut, window.name.lower()) for window in WINDOWS}
    for window in WINDOWS:
        for part in ("addr", "write", "w_data"):
            getattr(dut, f"{window.name.lower()}__{part}").value = 0
    tile, rounding = Port(dut, "o_tile", 2), Port(dut, "o_rounding", 1)
    await start(dut)
    for _ in range(200):
        window = rng.choice(list(WINDOWS))
        address = rng.getrandbits(WINDOWS[window])
        if window is Window.RANDOM:
            address = rng.choice(list(Stream)) << STREAM_SHIFT | rng.getrandbits(STREAM_SHIFT)
        to_rounding = window is Window.RANDOM and address >> STREAM_SHIFT == Stream.ROUNDING
        at = address & ((1 << STREAM_SHIFT) - 1) if to_rounding else address
        value = rng.choice((None, rng.getrandbits(32)))
        port, other = (rounding, tile) if to_rounding else (tile, rounding)
        port.asked.clear()
        word, error = await hosts[window].access(address, value)
        expected = (at, int(value is not None), value or 0)
        assert port.asked == [expected if to_rounding else (*expected, window_code(window))], f"{window.name} {address:#x}: {port.asked}"
        assert (word, error) == (port.answer(at), at % 7 == 0)
        assert not other.asked
        port.asked.clear()
        await cycles(dut, rng.randint(0, 2))
