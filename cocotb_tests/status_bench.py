"""Bench of a tile's status: the ARRAY window against what the tile says, and the first cause of a trip."""

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.registers import ARRAY_WORDS, ArrayWord, Cause, TileState, Window
from backpulse.rtl.tile.signature import window_code
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import start

PARAMETERS = parameters()
CYCLES = 4
"""Within which every word is answered."""


class TB:
    """The status and its host."""

    def __init__(self, dut) -> None:
        self.dut, self.host = dut, HostPortDriver(dut, "bus", limit=CYCLES)
        for name in ("safe", "busy", "idle", "cause", "work", "inner__ack", "inner__r_data", "inner__error", "bus__window"):
            getattr(dut, name).value = 0

    async def read(self, word: int) -> int:
        """Read a word of the window."""
        return await self.host.read(word, window=window_code(Window.ARRAY))

    async def write(self, word: int, value: int) -> bool:
        """Write a word of the window; return whether that was possible."""
        _, error = await self.host.access(word, value, window=window_code(Window.ARRAY))
        return not error

    async def strobe(self, cause: Cause) -> None:
        """Give a cause for one cycle."""
        self.dut.cause.value = cause
        await FallingEdge(self.dut.clk)
        self.dut.cause.value = 0
        await FallingEdge(self.dut.clk)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words(dut):
    """All words can be read whatever the tile does; none can be written but TRIP and WORK, and those only while no command is executing."""
    tb = TB(dut)
    await start(dut)
    facts = {int(word): value for word, value in PARAMETERS["facts"]}
    for idle in (0, 1):
        for flags in range(4):
            dut.idle.value, dut.safe.value, dut.busy.value = idle, flags & 1, flags >> 1
            dut.work.value = 40 + flags
            expected = facts | {ArrayWord.STATE: TileState.SAFE * (flags & 1) | TileState.BUSY * (flags >> 1), ArrayWord.WORK: 40 + flags}
            for word in range(ARRAY_WORDS):
                assert await tb.read(word) == expected.get(word, 0), f"word {word}"
        for word in range(ARRAY_WORDS):
            assert await tb.write(word, 5) == (idle and word in (ArrayWord.TRIP, ArrayWord.WORK)), f"word {word}"
    assert (await tb.host.access(ARRAY_WORDS, window=window_code(Window.ARRAY)))[1], "beyond the window"
    assert (await tb.host.access(1 << 27, window=window_code(Window.ARRAY)))[1], "far beyond the window"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def trips(dut):
    """The first cause stays until TRIP is written while idle; a cause that lasts is there again."""
    tb = TB(dut)
    await start(dut)
    assert await tb.read(ArrayWord.TRIP) == Cause.NONE
    await tb.strobe(Cause.RAIL)
    await tb.strobe(Cause.WIDTH)
    assert int(dut.trip.value) == Cause.RAIL
    assert await tb.read(ArrayWord.TRIP) == Cause.RAIL
    assert await tb.read(ArrayWord.STATE) & TileState.TRIPPED
    assert not await tb.write(ArrayWord.TRIP, 0)
    assert int(dut.trip.value) == Cause.RAIL
    dut.idle.value = 1
    assert await tb.write(ArrayWord.TRIP, 0)
    assert int(dut.trip.value) == Cause.NONE
    dut.cause.value = Cause.INTERLOCK
    await FallingEdge(dut.clk)
    await tb.write(ArrayWord.TRIP, 0)
    assert await tb.read(ArrayWord.TRIP) == Cause.INTERLOCK, "the cause lasts"
    dut.cause.value = 0
    await tb.write(ArrayWord.TRIP, 0)
    assert await tb.read(ArrayWord.TRIP) == Cause.NONE
    assert not await tb.read(ArrayWord.STATE) & TileState.TRIPPED


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def leads_on(dut):
    """Other windows are the tile's: requests and answers go through at once, and ARRAY does not. A write of WORK is one strobe."""
    tb = TB(dut)
    await start(dut)
    dut.inner__r_data.value, dut.inner__ack.value = 0x1234, 1
    for window in (Window.CELLS, Window.SPREAD, Window.RANDOM, Window.TILE):
        assert await tb.host.read(7, window=window_code(window)) == 0x1234
    dut.inner__ack.value = 0
    starts, asked = 0, 0

    async def watch() -> None:
        nonlocal starts, asked
        while True:
            await FallingEdge(dut.clk)
            starts += int(dut.start.value)
            asked += int(dut.inner__request.value)

    cocotb.start_soon(watch())
    dut.idle.value = 1
    await tb.write(ArrayWord.WORK, 9)
    await tb.write(ArrayWord.TRIP, 9)
    await tb.read(ArrayWord.WORK)
    assert starts == 1
    assert not asked
