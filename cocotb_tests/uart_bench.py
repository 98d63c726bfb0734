"""Bench of the UART: real bits in time, with jitter, baud offset, bad stop bits, breaks and glitches."""

import cocotb
from cocotb.triggers import FallingEdge, Timer

from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, often, start

CLOCK_NS = 10


class Line:
    """Sends and receives 8N1 on a pair of pins, at `scale` times the bit length of the design."""

    def __init__(self, dut, *, scale=1.0, jitter=0.0, seed=1):
        self.dut, self.random = dut, generator(seed)
        self.bit_ps = parameters()["clocks_per_bit"] * CLOCK_NS * 1000 * scale
        self.jitter_ps = self.bit_ps * jitter
        self.received = []
        dut.rx.value = 1

    async def levels(self, levels):
        """Drive bits, each edge moved by the jitter, which does not add up."""
        moved = 0
        for level in levels:
            self.dut.rx.value = level
            move = round(self.random.uniform(-self.jitter_ps, self.jitter_ps))
            await Timer(round(self.bit_ps) + move - moved, "ps")
            moved = move

    async def send(self, data, *, idle_bits=0.0):
        for byte in data:
            await self.levels([0, *(byte >> i & 1 for i in range(8)), 1])
            if idle_bits:
                await Timer(round(self.bit_ps * self.random.uniform(0, idle_bits)) + 1, "ps")

    async def monitor(self):
        """Take bytes from `tx`, sampled in mid bit by the design's nominal rate."""
        half = round(self.bit_ps / 2)
        while True:
            await FallingEdge(self.dut.tx)
            await Timer(half, "ps")
            assert self.dut.tx.value == 0
            byte = 0
            for i in range(8):
                await Timer(2 * half, "ps")
                byte |= int(self.dut.tx.value) << i
            await Timer(2 * half, "ps")
            assert self.dut.tx.value == 1, "stop bit"
            self.received.append(byte)


def random_bytes(count, seed):
    """All bit patterns that matter, then random ones."""
    return [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, *generator(seed).randbytes(count)]


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(scale=[0.98, 1.0, 1.02], idle_bits=[0.0, 3.0])
async def receives(dut, scale, idle_bits):
    """Every byte arrives at a baud rate up to 2 % off, with jitter, back to back or not."""
    line = Line(dut, scale=scale, jitter=0.02)
    sink = Sink(dut, "o", 8)
    await start(dut)
    await cycles(dut, 5)
    sent = random_bytes(60, 2)
    await line.send(sent, idle_bits=idle_bits)
    await Timer(round(2 * line.bit_ps), "ps")
    sink.expect(sent)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sends(dut):
    """Bytes go out as they came, whatever the pauses."""
    line = Line(dut)
    source = Source(dut, "i", 8, pause=often(0.9, 3))
    await start(dut)
    cocotb.start_soon(line.monitor())
    sent = random_bytes(60, 4)
    source.send(sent)
    await source.drain()
    source.pause = lambda: False
    source.send(sent)
    await source.drain()
    await Timer(round(12 * line.bit_ps), "ps")
    assert line.received == 2 * sent


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def survives_a_bad_line(dut):
    """A byte without stop bit, a break and a glitch bring nothing and spoil nothing."""
    line = Line(dut)
    sink = Sink(dut, "o", 8)
    await start(dut)
    await line.send([0x12])
    await line.levels([0, *[1, 0] * 4, 0, 1])
    await line.send([0x34])
    await line.levels([0] * 35)
    await line.levels([1])
    await line.send([0x56])
    dut.rx.value = 0
    await cycles(dut, parameters()["clocks_per_bit"] // 4)
    await line.levels([1, 1])
    await line.send([0x78])
    await Timer(round(2 * line.bit_ps), "ps")
    sink.expect([0x12, 0x34, 0x56, 0x78])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def holds_a_byte_that_is_not_taken(dut):
    """A byte on offer stays; what comes meanwhile is dropped."""
    line = Line(dut)
    stalled = [True]
    sink = Sink(dut, "o", 8, pause=lambda: stalled[0])
    await start(dut)
    await line.send([1, 2, 3])
    await Timer(round(2 * line.bit_ps), "ps")
    stalled[0] = False
    await line.send([4])
    await Timer(round(2 * line.bit_ps), "ps")
    sink.expect([1, 4])
