"""Bench of the whole board through its UART pins: a host's bytes in, the golden endpoint's bytes out."""

from collections.abc import Iterator

import cocotb

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import Frame, Opcode
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import REG, Window
from cocotb_tests.machine_image import Writes, loading, visible
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import cycles, start
from cocotb_tests.uart_bench import Line

NONCE = bytes(range(1, 9))
SAMPLES = 6
CHUNK = 40
"""Words of one WRITE or READ."""


def chunks(addresses: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (first address, count) of runs of neighbours."""
    begin = 0
    for end in range(1, len(addresses) + 1):
        if end == len(addresses) or addresses[end] != addresses[end - 1] + 1 or end - begin == CHUNK:
            yield addresses[begin], end - begin
            begin = end


def commands(writes: Writes, reads: list[int]) -> tuple[list[Frame], list[Frame]]:
    """Return the frames until the samples are granted, and those that read the result."""
    words = dict(writes)
    first = [Frame(Opcode.READ, 0, bytes(5))]  # a bad length, answered so
    first += [Frame(Opcode.READ, 0, REG["CONFIG"].address.to_bytes(4, "little") + bytes([REG["CONFIG"].count]))]
    for address, count in chunks(sorted(words)):
        data = b"".join(words[address + i].to_bytes(4, "little") for i in range(count))
        first.append(Frame(Opcode.WRITE, 0, address.to_bytes(4, "little") + data))
    first.append(Frame(Opcode.START, 0))
    first.append(Frame(Opcode.GRANT, 0, b"".join(i.to_bytes(2, "little") for i in range(SAMPLES))))
    last = [Frame(Opcode.READ, 0, address.to_bytes(4, "little") + bytes([count])) for address, count in chunks(reads)]
    last += [Frame(Opcode.HALT, 0), Frame(Opcode.READ, 0, REG["STATE"].address.to_bytes(4, "little") + bytes([2]))]
    numbered, number = [], 0
    for frame in first + last:
        numbered.append(Frame(frame.opcode, number & 0xFF, frame.payload))
        number += frame.opcode != Opcode.HALT
    return [Frame(Opcode.HELLO, 0, NONCE), *numbered[: len(first)]], numbered[len(first) :]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def trains_through_the_pins(dut):
    """Load, train, read everything back: each answer is the golden endpoint's, byte for byte."""
    config = Config.from_words(parameters()["config"])
    program = compile_network(Network(layers=(5, 4, 3)), config)
    writes, reads = loading(program, count=SAMPLES, seed=2), sorted(visible(program))
    if config.trace_words:  # what the tile answers is recorded, in the golden machine's bits and cycles
        writes = [*writes, (REG["TRACE_ON"].address, 1)]
        reads += [REG["TRACE_WRITTEN"].address, *(Window.TRACE.base + i for i in range(CHUNK * SAMPLES))]
    first, last = commands(writes, reads)
    machine = GoldenMachine(config)
    endpoint = Endpoint(machine)
    line = Line(dut)
    await start(dut)
    cocotb.start_soon(line.monitor())
    await cycles(dut, 20)
    noise = bytes([7, 7, 0, 1, 0])

    async def talk(frame: Frame, junk: bytes = b"") -> None:
        line.received.clear()
        data = junk + frame.encode()
        expected = list(endpoint.feed(data))
        await line.send(data)
        for _ in range(200):
            if len(line.received) >= len(expected):
                break
            await cycles(dut, 400)
        await cycles(dut, 100)
        assert line.received == expected, frame

    await talk(Frame(Opcode.START, 0))  # nobody has said HELLO
    for i, frame in enumerate(first):
        await talk(frame, junk=noise if i % 5 == 1 else b"")
        if i == 3:
            await talk(frame)  # again: executed once
    assert machine.run(SAMPLES) == SAMPLES
    await cycles(dut, SAMPLES * (program.cycles_per_step + 100))
    for frame in last:
        await talk(frame)
