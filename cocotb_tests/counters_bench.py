"""Bench of the counters and of the result ring against plain Python numbers."""

import random

import cocotb
from cocotb.triggers import FallingEdge

from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.runner import parameters
from cocotb_tests.streams import cycles, pattern, start
from firmware_py.config import Config
from firmware_py.registers import Counter

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
BLOCK = PARAMETERS["block"]


@cocotb.test(timeout_time=5, timeout_unit="ms", skip=BLOCK != "counters")
async def counts(dut):
    """Each counter is the sum of what it was given, modulo 2**32; RESULTS starts anew and no other does."""
    rng, idle = random.Random(3), pattern(PARAMETERS["pause"], 4)
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
async def keeps(dut):
    """The last results stand at their index modulo the depth, also while new ones come; what is outside or written is an error."""
    rng, idle = random.Random(5), pattern(PARAMETERS["pause"], 6)
    depth = CONFIG.result_depth
    host = HostPortDriver(dut)
    dut.en.value = 0
    results: list[int] = []
    await start(dut)

    async def write(count: int) -> None:
        for _ in range(count):
            while idle():
                await FallingEdge(dut.clk)
            results.append(rng.getrandbits(8))
            dut.index.value, dut.result.value, dut.en.value = len(results) - 1, results[-1], 1
            await FallingEdge(dut.clk)
            dut.en.value = 0

    for count in (depth, 3, depth // 2 + 1):
        await write(count)
        await cycles(dut, 1)
        for address in range(depth // 4):
            word = await host.read(address)
            for byte in range(4):
                at = 4 * address + byte
                n = at + (len(results) - 1 - at) // depth * depth
                assert word >> 8 * byte & 255 == results[n], f"result {n}"
    first = len(results)
    task = cocotb.start_soon(write(depth // 2))
    settled = (first + depth // 2 + 3) // 4 % (depth // 4)  # a word that is not being written
    old = await host.read(settled)
    await task
    assert await host.read(settled) == old
    for address, value in ((depth // 4, None), (0, 1)):
        assert (await host.access(address, value))[1], f"address {address} is no error"
