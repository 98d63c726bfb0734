"""Bench of the counters and of a ring against plain Python numbers."""

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.registers import Counter
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.runner import parameters
from cocotb_tests.streams import cycles, generator, pattern, start

PARAMETERS = parameters()
BLOCK = PARAMETERS["block"]


@cocotb.test(timeout_time=5, timeout_unit="ms", skip=BLOCK != "counters")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def counts(dut, pause):
    """Each counter is the sum of what it was given, modulo 2**32; RESULTS starts anew and no other does."""
    rng, idle = generator(3), pattern(pause, 4)
    widths = {counter: PARAMETERS["widths"][counter] for counter in Counter}
    inputs = {counter: getattr(dut, f"add_{counter.name.lower()}") for counter in Counter}
    for pin in inputs.values():
        pin.value = 0
    dut.clear_results.value = 0
    totals = dict.fromkeys(Counter, 0)
    await start(dut)
    for _ in range(600):
        clear = rng.random() < 0.01
        dut.clear_results.value = int(clear)
        for counter, pin in inputs.items():
            add = 0 if idle() else rng.choice((0, 1, (1 << widths[counter]) - 1, rng.getrandbits(widths[counter])))
            pin.value = add
            totals[counter] = (totals[counter] + add) & 0xFFFFFFFF
        if clear:
            totals[Counter.RESULTS] = 0
        await FallingEdge(dut.clk)
        values = int(dut.values.value)
        for counter, total in totals.items():
            got = values >> 32 * counter & 0xFFFFFFFF
            assert got == total, f"{counter.name} is {got}, not {total}"


@cocotb.test(timeout_time=5, timeout_unit="ms", skip=BLOCK != "ring")
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
