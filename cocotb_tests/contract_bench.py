"""Bench of the core's side of the tile contract: a machine trains on a tile that is slow, fails, trips or miscounts."""

from dataclasses import replace

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import CAUSE_AT, REG, ArrayWord, Cause, Counter, Fault, State, Window
from backpulse.rtl.tile.signature import Status
from cocotb_tests.core_bench import CONFIG, SEED, TB, compiled
from cocotb_tests.machine_image import loading
from cocotb_tests.scripted_tile import Plan, ScriptedTile
from cocotb_tests.streams import cycles, start

TIMERS = (Counter.CYCLES, Counter.READ_CYCLES, Counter.PULSE_CYCLES)
PROGRAM = compiled({})


class Bench(TB):
    """The machine, its golden twin and the tile."""

    def __init__(self, dut) -> None:
        super().__init__(dut)
        self.tile = ScriptedTile(dut, CONFIG)
        self.before = dict.fromkeys(Counter, 0)

    async def begin_with(self, script=None, program: Program = PROGRAM) -> GoldenMachine:
        """Load, START with a script, and wait until it asks for samples; return the twin."""
        twin = await self.load(loading(program, lr=4.0, seed=SEED))
        self.tile.script = script or (lambda _command, _number: Plan())
        self.tile.commands.clear()
        self.tile.done = self.tile.aborts = 0
        twin.start()
        await self.begin()
        self.before = {counter: await self.count(counter) for counter in Counter}
        return twin

    async def count(self, counter: Counter) -> int:
        """Read a counter."""
        return await self.bus.read(REG["COUNTER"].address + counter)

    async def counted(self, counter: Counter) -> int:
        """Return what a counter has counted since the beginning."""
        return await self.count(counter) - self.before[counter]

    async def same(self, twin: GoldenMachine, what: str) -> None:
        """Compare with the twin all that does not depend on time."""
        for counter in set(Counter) - {*TIMERS, Counter.RESULTS}:
            twin.memory.counters[counter] += self.before[counter]
        for counter in TIMERS:
            twin.memory.counters[counter] = await self.count(counter)
        await self.compare(PROGRAM, twin, what, leave=(Window.RESULTS, Window.OUTPUTS, Window.VECTOR_MEMORY))

    async def fault(self) -> tuple[Fault, Cause, Op]:
        """Wait for a fault; return its code, its cause and the operation at its address."""
        await self.until(State.FAULT)
        word = await self.bus.read(REG["FAULT"].address)
        return Fault(word & ((1 << CAUSE_AT) - 1)), Cause(word >> CAUSE_AT & 255), PROGRAM.instructions[word >> 16].op

    async def trains(self, what: str) -> None:
        """Begin anew with a tile that is right: the machine trains as if nothing had been."""
        twin = await self.begin_with()
        await self.train([2, 5], twin)
        await self.same(twin, what)
        assert await self.counted(Counter.PULSES_MISSED) == 0
        await self.strobe("halt")
        await self.until(State.IDLE)

    def give(self, *indices: int) -> None:
        """Grant samples, and do not wait."""
        self.order.send(indices)


def only(op: Op, plan: Plan, *, number: int = 0):
    """Return a script: the plan is for the command with this number among those of an operation."""
    seen = [0]

    def script(command: dict, _: int) -> Plan:
        if command["op"] != op:
            return Plan()
        seen[0] += 1
        return plan if seen[0] == number + 1 else Plan()

    return script


async def ready(dut) -> Bench:
    """Return the bench, out of reset."""
    bench = Bench(dut)
    await start(dut)
    return bench


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def slow(dut):
    """Delays of thousands of cycles before each answer and each completion change no word and no count."""
    bench = await ready(dut)
    twin = await bench.begin_with(lambda _command, number: Plan(wait=(3000, 7, 1111)[number % 3]))
    await bench.train([3], twin)
    await bench.same(twin, "slow")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def progress(dut):
    """The watchdog counts from the last progress: a tile that shows some may take for ever, and one that shows none may not."""
    bench = await ready(dut)
    limit = 200
    await bench.bus.write(REG["WATCHDOG"].address, limit)
    for op in (Op.READ, Op.READT, Op.PULSE):
        twin = await bench.begin_with(only(op, Plan(wait=10 * limit, progress=limit - 20)))
        await bench.train([3], twin)
        await bench.same(twin, f"{op.name} with progress")
        await bench.strobe("halt")
        await bench.until(State.IDLE)
        await bench.begin_with(only(op, Plan(wait=limit + 50)))
        bench.give(3)
        assert await bench.fault() == (Fault.WATCHDOG, Cause.NONE, op)
        await bench.trains(f"after a {op.name} without progress")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def fails(dut):
    """A command that fails, before its last sense word or behind its data, is a fault that names tile and cause."""
    bench = await ready(dut)
    for op, cause, words in (
        (Op.READ, Cause.CRC, 1),
        (Op.READT, Cause.CONVERTER, 0),
        (Op.READ, Cause.RAIL, None),
        (Op.PULSE, Cause.WIDTH, None),
    ):
        for wait in (0, 50):
            await bench.begin_with(only(op, Plan(status=Status.FAILED, cause=cause, words=words, wait=wait)))
            bench.give(1)
            assert await bench.fault() == (Fault.TILE, cause, op)
            assert not bench.tile.aborts, "a command that has completed is aborted"
        await bench.trains(f"after a {op.name} that failed")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def miscounts(dut):
    """Pulses that were not asked for as planned, or rows that do not add up, are faults; missed pulses that are named are counted."""
    bench = await ready(dut)
    twin = await bench.begin_with(only(Op.PULSE, Plan(missed=(2, 1))))
    bench.give(3)
    await bench.until(State.TRAINING)
    await bench.until(State.PAUSED)
    assert twin.grant([3])
    twin.run(1)
    assert await bench.counted(Counter.PULSES_MISSED) == 3
    up, down = await bench.counted(Counter.PULSES_UP), await bench.counted(Counter.PULSES_DOWN)
    assert up + down - 3 == bench.tile.done > 0
    twin.memory.counters[Counter.PULSES_MISSED] = 3
    await bench.same(twin, "missed pulses")
    await bench.strobe("halt")
    await bench.until(State.IDLE)
    for plan in (
        Plan(asked=1),
        Plan(asked=-1, wait=100),
        Plan(missed=(2,), named=1),
        Plan(missed=(2,), named=-1, wait=30),
        Plan(missed=(1,), late=True),
    ):
        for number in (0, 1):
            await bench.begin_with(only(Op.PULSE, plan, number=number))
            bench.give(1)
            assert await bench.fault() == (Fault.TILE, Cause.MISCOUNT, Op.PULSE), plan
        await bench.trains(f"after {plan}")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def wrong_tag(dut):
    """A completion with another command's tag ends nothing."""
    bench = await ready(dut)
    await bench.bus.write(REG["WATCHDOG"].address, 300)
    await bench.begin_with(only(Op.READT, Plan(tag=1)))
    bench.give(1)
    assert await bench.fault() == (Fault.WATCHDOG, Cause.NONE, Op.READT)
    await bench.trains("after a wrong tag")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def refuses(dut):
    """Profiles reach the tile; one that it does not know is a fault at that instruction."""
    bench = await ready(dut)

    def profiled(ins, profile):
        return replace(ins, profile=profile) if ins.operation.region else ins

    for op, refused in ((Op.READ, False), (Op.PULSE, True), (Op.READT, True)):
        words = [profiled(ins, 3 + ins.op).encode() for ins in PROGRAM.instructions]
        writes = [(Window.PROGRAM.base + 2 * i + half, word >> 32 * half & 0xFFFFFFFF) for i, word in enumerate(words) for half in (0, 1)]
        twin = await bench.begin_with(only(op, Plan(status=Status.REFUSED)) if refused else None)
        for address, word in writes:
            await bench.bus.write(address, word)
        bench.give(1)
        if refused:
            code, cause, at = await bench.fault()
            assert (code, cause, at) == (Fault.BAD_OPERAND, Cause.NONE, op)
        else:
            await bench.until(State.TRAINING)
            await bench.until(State.PAUSED)
            twin.grant([1])
            twin.run(1)
            await bench.same(twin, "profiles")
            await bench.strobe("halt")
        assert {(c["op"], c["profile"]) for c in bench.tile.commands} <= {(o, 3 + o) for o in (Op.READ, Op.READT, Op.PULSE)}
        assert bench.tile.commands[-1]["op"] == op or not refused


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def trips(dut):
    """A trip leads to a fault from idle, starting, paused and running; a start while it lasts ends there again."""
    bench = await ready(dut)

    async def tripped(cause: Cause) -> None:
        for _ in range(3):
            await FallingEdge(dut.clk)
        word = await bench.bus.read(REG["FAULT"].address)
        assert State(await bench.bus.read(REG["STATE"].address)) is State.FAULT
        assert word & 0xFFFF == Fault.TILE | cause << CAUSE_AT
        await bench.strobe("start")
        await cycles(dut, 10)
        assert State(int(dut.state.value)) is State.FAULT, "a start while it lasts"
        assert await bench.bus.read(REG["FAULT"].address) & 0xFFFF == Fault.TILE | cause << CAUSE_AT
        dut.pins__trip.value = 0

    # Idle.
    dut.pins__trip.value = Cause.INTERLOCK
    await tripped(Cause.INTERLOCK)
    await bench.trains("after a trip while idle")
    # Paused.
    await bench.begin_with()
    dut.pins__trip.value = Cause.SUPPLY
    await tripped(Cause.SUPPLY)
    await bench.trains("after a trip while paused")
    # Starting, which a busy tile makes last.
    dut.pins__busy.value = 1
    await bench.strobe("start")
    await cycles(dut, 20)
    assert State(int(dut.state.value)) is State.TRAINING
    dut.pins__trip.value = Cause.ALIVE
    await cycles(dut, 2)
    dut.pins__busy.value = 0
    await tripped(Cause.ALIVE)
    await bench.trains("after a trip while starting")
    # Running: the command is aborted.
    for op in (Op.READ, Op.READT, Op.PULSE):
        await bench.begin_with(only(op, Plan(wait=1000)))
        bench.give(1)
        while not bench.tile.commands or bench.tile.commands[-1]["op"] != op:
            await FallingEdge(dut.clk)
        await cycles(dut, 100)
        dut.pins__trip.value = Cause.BUDGET
        await tripped(Cause.BUDGET)
        assert bench.tile.aborts == 1
        await bench.trains(f"after a trip in a {op.name}")
    # The first reason stays.
    await bench.strobe("abort")
    dut.pins__trip.value = Cause.WIDTH
    await cycles(dut, 4)
    assert await bench.bus.read(REG["FAULT"].address) & 0xFFFF == Fault.ABORTED
    dut.pins__trip.value = 0
    await bench.trains("after a trip in a fault")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def busy(dut):
    """A tile that is busy, and not safe, is left alone while no command is in work; START waits for it."""
    bench = await ready(dut)
    dut.pins__busy.value, dut.pins__safe.value = 1, 0
    await cycles(dut, 500)
    assert not bench.tile.aborts, "a busy tile is aborted"
    assert not int(dut.busy.value)
    assert await bench.bus.read(Window.ARRAY.base + ArrayWord.KIND), "the host gets no answer"
    await bench.strobe("start")
    await cycles(dut, 500)
    assert State(int(dut.state.value)) is State.TRAINING, "START does not wait"
    assert not bench.tile.commands
    dut.pins__busy.value, dut.pins__safe.value = 0, 1
    await bench.until(State.PAUSED)
    await bench.strobe("halt")
    await bench.until(State.IDLE)
    await bench.trains("after waiting for a busy tile")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def aborts(dut):
    """An abort lasts until the command has completed, however long that takes; what was not done is counted, and START waits."""
    bench = await ready(dut)
    for op in (Op.READ, Op.READT, Op.PULSE):
        for wait in (3, 9, 12, 15, 400):
            bench.tile.parking = 700
            await bench.begin_with(only(op, Plan(wait=1000)))
            bench.give(1)
            while not bench.tile.commands or bench.tile.commands[-1]["op"] != op:
                await FallingEdge(dut.clk)
            await cycles(dut, wait)
            await bench.strobe("abort")
            assert (await bench.fault())[:2] == (Fault.ABORTED, Cause.NONE)
            await cycles(dut, 100)
            assert int(dut.pins__abort.value), "the abort ends before the command"
            assert int(dut.busy.value)
            await bench.strobe("start")
            await cycles(dut, 300)
            assert State(int(dut.state.value)) is State.TRAINING, "START does not wait"
            assert int(dut.pins__abort.value)
            await bench.until(State.PAUSED)
            assert bench.tile.aborts == 1
            up, down, missed = [await bench.counted(counter) for counter in (Counter.PULSES_UP, Counter.PULSES_DOWN, Counter.PULSES_MISSED)]
            assert up + down - missed == bench.tile.done
            assert missed == (1 if op is Op.PULSE and up + down else 0)
            bench.tile.parking = 3
            await bench.strobe("halt")
            await bench.until(State.IDLE)
        await bench.trains(f"after an abort of a {op.name}")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def over(dut):
    """SENSE_CLIPPED counts what the tile says of its converters, clamped word or not."""
    bench = await ready(dut)
    twin = await bench.begin_with(lambda _command, _number: Plan(over=True))
    await bench.train([3], twin)
    words = sum(c["cols" if c["op"] == Op.READ else "rows"] for c in bench.tile.commands if c["op"] != Op.PULSE)
    assert await bench.counted(Counter.SENSE_CLIPPED) == words
