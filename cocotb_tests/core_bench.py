"""Bench of the whole machine behind the link: training against the golden machine, word for word and cycle for cycle."""

import json
import os

import cocotb
from cocotb.triggers import FallingEdge, First, Timer, ValueChange

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, Program, compile_network
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import INSTRUCTION_BITS, REGION_WORDS, USED_BITS, Function, Instruction, Op, Region, Vector
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import REG, WINDOW_SHIFT, Counter, Fault, State, Window, word_name
from backpulse.firmware_py.timing import ALU_CYCLES
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.machine_image import golden, loading, visible
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import PERIOD_NS, Source, cycle, cycles, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
RUNS = PARAMETERS.get("runs", [{}])
STOPPED = PARAMETERS.get("stops")
"""The run that is stopped in every way."""
SEED = 1 + int(os.environ["COCOTB_RANDOM_SEED"])
PROGRAM = Window.PROGRAM.base
OFFSET = (1 << WINDOW_SHIFT) - 1


def compiled(run: dict) -> Program:
    """Return the program of one run of the test."""
    network = Network(layers=tuple(run.get("layers", (5, 4, 3))), **run.get("network", {}))
    orientations = run.get("orientations")
    return compile_network(
        network,
        CONFIG,
        run.get("schedule", DEFAULT_SCHEDULE),
        stochastic=run.get("stochastic", True),
        orientations=orientations and tuple(orientations),
    )


class TB:
    """The machine, its bus and its golden twin."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.bus = HostPortDriver(dut, "bus", limit=64)
        self.order = Source(dut, "order", 16)
        for name in ("start", "halt", "abort", "clear_credit", "nonce"):
            getattr(dut, name).value = 0

    async def load(self, writes) -> GoldenMachine:
        """Write an image into the machine and into its twin."""
        for address, word in writes:
            await self.bus.write(address, word)
        return golden(CONFIG, writes)

    async def strobe(self, name: str) -> None:
        """Give a command for one cycle."""
        getattr(self.dut, name).value = 1
        await FallingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0

    async def until(self, *states: State, limit: int = 20000) -> State:
        """Wait for a state, and be back at a falling edge."""
        await FallingEdge(self.dut.clk)
        first = cycle()
        while (state := State(int(self.dut.state.value))) not in states:
            left = limit - 1 - (cycle() - first)
            assert left > 0, f"State is {state.name} after {limit} cycles"
            await First(ValueChange(self.dut.state), Timer(left * PERIOD_NS - PERIOD_NS // 4, "ns"))
            await FallingEdge(self.dut.clk)
        return state

    async def begin(self) -> None:
        """START, and wait until it asks for samples."""
        await self.strobe("start")
        await self.until(State.PAUSED)

    async def train(self, indices: list[int], twin: GoldenMachine) -> None:
        """Train on samples, here and in the twin."""
        self.order.send(indices)
        await self.order.drain()
        await cycles(self.dut, 2)
        await self.until(State.PAUSED)
        assert twin.grant(indices)
        twin.run(len(indices))

    async def compare(self, program: Program, twin: GoldenMachine, what: str, *, leave: tuple[Window, ...] = ()) -> None:
        """Compare all that the host can see, but for some windows."""
        different = []
        for address in visible(program):
            if address >> WINDOW_SHIFT not in leave:
                got, want = await self.bus.read(address), twin.read(address)
                if got != want:
                    different.append(f"{word_name(address)} is {got:#x}, golden {want:#x}")
        assert not different, f"{what}: {len(different)} words differ: {'; '.join(different[:12])}"


def name_of(run: dict) -> str:
    """Return a run's description for messages."""
    return json.dumps(run)


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def trains(dut):
    """Each run ends with the golden machine's words and counters, the cycles among them."""
    tb = TB(dut)
    await start(dut)
    before = [0] * len(Counter)
    for run in RUNS:
        program = compiled(run)
        twin = await tb.load(loading(program, preset=run.get("device", "ideal"), lr=run.get("lr", 0.5), seed=SEED))
        twin.start()
        twin.memory.counters[:] = before
        twin.memory.counters[Counter.RESULTS] = 0
        # What an earlier run left behind in memories that are not loaded.
        for address in visible(program):
            if address >> WINDOW_SHIFT == Window.RESULTS:
                twin.memory.results.view("<u4")[address & OFFSET] = await tb.bus.read(address)
            if address >> WINDOW_SHIFT == Window.OUTPUTS:
                twin.memory.outputs.view("<u4")[address & OFFSET] = await tb.bus.read(address)
            if address >> WINDOW_SHIFT == Window.VECTOR_MEMORY:
                twin.write(address, await tb.bus.read(address))
        await tb.begin()
        await tb.train([3, 0, 5], twin)
        await tb.compare(program, twin, name_of(run))
        await tb.train([1, 7, 2, 4, 6, 6], twin)
        await tb.compare(program, twin, name_of(run))
        after = [int(v) for v in twin.memory.counters]
        spent, compiled_to = after[Counter.CYCLES] - before[Counter.CYCLES], 9 * program.cycles_per_step
        leaks = run.get("device") == "table"  # no program tells whether its device does
        assert spent > compiled_to if leaks else spent == compiled_to, "the compiler's cycles of a step"
        before = after
        await tb.strobe("halt")
        await tb.until(State.IDLE)


@cocotb.test(timeout_time=100, timeout_unit="ms", skip=STOPPED is None)
async def stops(dut):
    """HALT, ABORT at any moment, clear_credit and the watchdog leave a machine that trains as if new."""
    tb = TB(dut)
    await start(dut)
    assert STOPPED is not None
    program = compiled(STOPPED)
    writes = loading(program, preset=STOPPED.get("device", "ideal"), seed=SEED)

    async def trains_as_new(what: str) -> None:
        twin = await tb.load(writes)
        twin.start()
        before = [await tb.bus.read(REG["COUNTER"].address + i) for i in range(len(Counter))]
        twin.memory.counters[:] = before
        twin.memory.counters[Counter.RESULTS] = 0
        await tb.begin()
        await tb.train([2, 5], twin)
        await tb.compare(program, twin, f"after {what}", leave=(Window.RESULTS, Window.OUTPUTS, Window.VECTOR_MEMORY))
        await tb.strobe("halt")
        await tb.until(State.IDLE)

    await trains_as_new("reset")
    for delay in range(1, program.cycles_per_step + 60, 7):
        await tb.strobe("start")
        tb.order.send([1, 2, 3])
        await tb.order.drain()
        await cycles(dut, delay)
        await tb.strobe("abort")
        await tb.until(State.FAULT, limit=2)
        assert (await tb.bus.read(REG["FAULT"].address)) & 0xFFFF == Fault.ABORTED
        if delay % 3 == 0:
            await trains_as_new(f"abort after {delay} cycles")

    await tb.load(writes)
    await tb.begin()
    steps = await tb.bus.read(REG["COUNTER"].address + Counter.STEPS)
    tb.order.send([1, 2, 3, 4, 5])
    await tb.order.drain()
    await cycles(dut, program.cycles_per_step)
    await tb.strobe("clear_credit")
    await tb.until(State.PAUSED)
    assert await tb.bus.read(REG["CREDIT"].address) == 0
    assert await tb.bus.read(REG["COUNTER"].address + Counter.STEPS) - steps in (1, 2)
    await tb.strobe("halt")
    await tb.until(State.IDLE, limit=3)

    await tb.begin()
    await tb.bus.write(REG["WATCHDOG"].address, ALU_CYCLES - 2)
    tb.order.send([1])
    await tb.until(State.FAULT)
    assert (await tb.bus.read(REG["FAULT"].address)) & 0xFFFF == Fault.WATCHDOG
    await tb.bus.write(REG["WATCHDOG"].address, 1 << 24)
    await trains_as_new("watchdog")


@cocotb.test(timeout_time=20, timeout_unit="ms", skip=STOPPED is None)
async def faults(dut):
    """Illegal words and operands that cannot be used stop the machine where the golden one stops; so does END."""
    tb = TB(dut)
    await start(dut)
    program = compiled({})
    writes = loading(program, seed=SEED)
    read = program.instructions[1]
    other = {name: getattr(read, name) for name in ("region", "a", "b", "c", "function")}
    bad = [
        0,
        read.encode() & ~15 | 9,
        *(read.encode() | 1 << bit for bit in (USED_BITS, INSTRUCTION_BITS - 13, INSTRUCTION_BITS - 1)),
        Instruction(op=Op.PULSE, function=Function.NONE).encode(),
        Instruction(op=Op.READ, **{**other, "region": 20}).encode(),
        Instruction(op=Op.READ, **{**other, "a": 40}).encode(),
        Instruction(op=Op.READT, **{**other, "b": 41}).encode(),
        Instruction(op=Op.READ, **{**other, "c": 42, "function": Function.HADAMARD_TANH}).encode(),
        Instruction(op=Op.NORM2, a=43).encode(),
        Instruction(op=Op.NEXT, region=CONFIG.program_words).encode(),
        Instruction(op=Op.NEXT, region=0xFFF).encode(),
        Instruction(op=Op.END).encode(),
    ]
    long = Vector(base=0, length=CONFIG.longest + 1).to_word()
    far = Region.from_words([*program.regions[read.region].to_words()[:3], (CONFIG.longest + 1) << 16]).to_words()
    changes = [
        *([(PROGRAM + 2, word & 0xFFFFFFFF), (PROGRAM + 3, word >> 32)] for word in bad),
        *([(REG["ENTRY"].address, entry)] for entry in (CONFIG.program_words, 1 << 12, 1 << 13, 0xFFFF)),
        [(Window.VECTORS.base + read.b, long)],
        [(Window.REGIONS.base + REGION_WORDS * read.region + i, word) for i, word in enumerate(far)],
    ]
    for here in changes:
        twin = await tb.load([*writes, *here])
        await tb.strobe("start")
        tb.order.send([1, 2])
        await tb.order.drain()
        await tb.until(State.FAULT, State.IDLE)
        twin.start()
        twin.grant([1, 2])
        twin.run(2)
        for register in ("STATE", "FAULT"):
            got, want = await tb.bus.read(REG[register].address), twin.read(REG[register].address)
            assert got == want, f"writes {here}: {register} is {got:#x}, golden {want:#x}"
