"""Bench of decoder and register bank: every address answers as the golden machine's does."""

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from backpulse.firmware_py.config import SMALL
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import REG, REGISTER_WORDS, Counter, Window, word_name
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.streams import generator, start


async def slave(dut, name, memory, mask):
    """Answer the requests of a port from a list."""
    get = {part: getattr(dut, f"{name}__{part}") for part in ("request", "addr", "write", "w_data", "ack", "r_data", "error")}
    while True:
        await FallingEdge(dut.clk)
        get["ack"].value = 0
        await ReadOnly()
        if int(get["request"].value):
            address = int(get["addr"].value)
            if int(get["write"].value):
                memory[address] = int(get["w_data"].value) & mask
            await FallingEdge(dut.clk)
            get["ack"].value, get["r_data"].value, get["error"].value = 1, memory[address], 0


async def setup(dut):
    bus = HostPortDriver(dut, "bus")
    golden = GoldenMachine(SMALL)
    rng = generator(1)
    golden.session = rng.getrandbits(64)
    golden.memory.counters[:] = [rng.getrandbits(31) for _ in Counter]
    dut.session.value, dut.state.value, dut.credit.value, dut.fault.value = golden.session, 0, 0, 0
    dut.trace_written.value = 0
    for name in ("ledger", "store"):
        getattr(dut, f"{name}__ack").value = 0
    await start(dut)
    ledger, store = [0] * 32, [0] * 32
    ledger[: len(Counter)] = map(int, golden.memory.counters)
    cocotb.start_soon(slave(dut, "ledger", ledger, 0xFFFFFF))
    cocotb.start_soon(slave(dut, "store", store, 0xFFFFFFFF))
    return bus, golden, rng


async def compare(bus, golden, address, value=None):
    """Make one access on both sides."""
    try:
        want = golden.read(address) if value is None else golden.write(address, value)
        fails = False
    except BusError:
        want, fails = None, True
    word, error = await bus.access(address, value)
    assert error == fails, word_name(address)
    if value is None and not fails:
        assert word == want, word_name(address)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def registers(dut):
    """Reads, writes and reads again all there is, and beyond."""
    bus, golden, rng = await setup(dut)
    for _ in range(2):
        for address in [*range(REGISTER_WORDS + 8), 1 << 12, (1 << 28) - 1]:
            await compare(bus, golden, address)
            await compare(bus, golden, address, rng.getrandbits(32))
    for address in range(REGISTER_WORDS):
        await compare(bus, golden, address)
    assert [int(getattr(dut, n).value) for n in ("entry", "bank", "stride", "watchdog", "trace_on", "trace_read")] == [
        golden.read(REG[n].address) for n in ("ENTRY", "BANK", "STRIDE", "WATCHDOG", "TRACE_ON", "TRACE_READ")
    ]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def windows(dut):
    """Offsets beyond a window and windows that are not there are errors; the others reach their slave."""
    bus, _, rng = await setup(dut)
    words = [rng.getrandbits(32) for _ in range(32)]
    for i, word in enumerate(words):
        await bus.write(Window.STORE.base + i, word)
    assert [await bus.read(Window.STORE.base + i) for i in range(32)] == words
    for address in [Window.STORE.base + 32, Window.STORE.base | 1 << 27, *(w << 28 for w in range(1, 16) if w != Window.STORE)]:
        _, error = await bus.access(address)
        assert error, word_name(address)
