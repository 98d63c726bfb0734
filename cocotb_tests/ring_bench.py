"""Bench of a ring against plain Python numbers."""

import cocotb
from cocotb.triggers import FallingEdge

from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import cycles, generator, pattern, start

PARAMETERS = parameters()


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def keeps(dut, pause):
    """The last words stand at their number modulo the depth, also while new ones come; what is outside or written is an error."""
    rng, idle = generator(5), pattern(pause, 6)
    depth = PARAMETERS["depth"]
    host = HostPortDriver(dut)
    dut.en.value, dut.clear.value = 0, 0
    words: list[int] = []
    await start(dut)

    async def write(count: int) -> None:
        for _ in range(count):
            while idle():
                await FallingEdge(dut.clk)
            words.append(rng.getrandbits(16))
            dut.word.value, dut.en.value = words[-1], 1
            await FallingEdge(dut.clk)
            dut.en.value = 0

    async def compare() -> None:
        for address in range(depth // 2):
            pair = await host.read(address)
            for half in range(2):
                at = 2 * address + half
                n = at + (len(words) - 1 - at) // depth * depth
                assert pair >> 16 * half & 0xFFFF == words[n], f"word {n}"

    for count in (depth, 3, depth // 2 + 1):
        await write(count)
        await cycles(dut, 1)
        await compare()
    first = len(words)
    task = cocotb.start_soon(write(depth // 2))
    settled = (first + depth // 2 + 1) // 2 % (depth // 2)  # a pair that is not being written
    old = await host.read(settled)
    await task
    assert await host.read(settled) == old
    dut.clear.value = 1
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    words.clear()
    await write(depth + 1)
    await cycles(dut, 1)
    await compare()
    for address, value in ((depth // 2, None), (0, 1)):
        assert (await host.access(address, value))[1], f"address {address} is no error"
