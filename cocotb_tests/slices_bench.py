"""Bench of the slices on models of their chips: every line in every moment, and what goes wrong on the way."""

import cocotb
from cocotb.triggers import FallingEdge, First, ReadOnly, Timer, ValueChange

from backpulse.firmware_py.registers import Cause
from backpulse.rtl.tile.analog.signature import code_layout, sample_layout
from cocotb_tests.runner import parameters
from cocotb_tests.streams import PERIOD_NS, Sink, Source, cycle, cycles, generator, pattern, sink_pause, start

PARAMETERS = parameters()
SLICES = PARAMETERS.get("slices", 1)
LINES = 16 * SLICES
SWITCH_WAKE_NS = 2000
READY_LIMIT = 20_000
CODE_MOST, CODE_LEAST = 32767, -32768


def signed(value: int) -> int:
    """Return 16 bits as a signed number."""
    return value - 65536 if value & 0x8000 else value


class TB:
    """The tile's side, the array's side, and what must hold in every moment."""

    def __init__(self, dut, *, seed: int = 1, pause: str = "never") -> None:
        self.dut, self.rng = dut, generator(seed)
        for name in ("on", "gate", "convert", "sdo_delay", "lag", "fault", "mutant", "sense"):
            getattr(dut, name).value = 0
        dut.interlock.value = 1
        self.source = Source(dut, "codes", code_layout(), pause=pattern(pause, seed + 1))
        self.sink = Sink(dut, "samples", sample_layout(), pause=sink_pause(pause, seed + 2))
        self.codes = [0] * LINES
        self.open = [True] * LINES

    def drive(self) -> list[int]:
        """Return the DACs' voltages."""
        bits = int(self.dut.drive.value)
        return [signed(bits >> 16 * i & 0xFFFF) for i in range(LINES)]

    def connected(self) -> list[bool]:
        """Return which lines are connected."""
        bits = int(self.dut.connected.value)
        return [bool(bits >> i & 1) for i in range(LINES)]

    async def start(self) -> None:
        """Start the clock, the reset and the watch."""
        await start(self.dut)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        """At rest and while switches move all lines are at 0 V; none is on that should not be."""
        dut = self.dut
        before = self.connected()
        while True:
            await ReadOnly()
            drive, connected = self.drive(), self.connected()
            gate, on = int(dut.gate.value), int(dut.on.value)
            assert gate or not any(drive), "a line is not at rest"
            assert connected == before or not any(drive), "a switch moves under a voltage"
            assert on or not any([*drive, *connected]), "something is on"
            before = connected
            await First(*map(ValueChange, (dut.drive, dut.connected, dut.gate, dut.on)))

    async def on(self) -> None:
        """Switch on, and wait until the front end is ready."""
        self.dut.on.value = 1
        enabled = None
        for _ in range(READY_LIMIT):
            await FallingEdge(self.dut.clk)
            if enabled is None and int(self.dut.enable.value):
                enabled = cycle()
                assert not any(self.connected())
            if not int(self.dut.cs_switch_n.value):
                assert enabled is not None, "switches are spoken to without supply"
                assert (cycle() - enabled) * PERIOD_NS >= SWITCH_WAKE_NS, "switches are spoken to too early"
            assert not int(self.dut.failed.value), f"failed: {Cause(int(self.dut.failed.value)).name}"
            if int(self.dut.ready.value):
                break
        assert int(self.dut.ready.value), "never ready"
        assert all(self.connected())
        self.codes, self.open = [0] * LINES, [False] * LINES

    async def load(self, codes: list[int], open_: list[bool]) -> None:
        """Load codes and wait until they are in place."""
        words = [{"code": c, "open": int(o), "last": int(i == LINES - 1)} for i, (c, o) in enumerate(zip(codes, open_, strict=True))]
        self.source.send(words)
        await self.source.drain()
        await FallingEdge(self.dut.clk)
        assert not int(self.dut.loaded.value)
        await self.until("loaded")
        self.codes, self.open = codes, open_
        assert self.connected() == [not o for o in open_]

    async def until(self, name: str, limit: int = 20_000) -> None:
        """Wait for a signal."""
        for _ in range(limit):
            if int(getattr(self.dut, name).value):
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"{name} does not come")

    async def pulse(self, length: int) -> None:
        """Raise the gate for some cycles and look at the lines."""
        self.dut.gate.value = 1
        await ReadOnly()
        assert self.drive() == self.codes
        await cycles(self.dut, length)
        self.dut.gate.value = 0
        await ReadOnly()
        assert not any(self.drive())
        await FallingEdge(self.dut.clk)

    async def strobe(self) -> None:
        """Ask for a conversion."""
        self.dut.convert.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.convert.value = 0

    async def convert(self) -> None:
        """Convert random voltages, which are there in one cycle alone, and compare the samples."""
        sense = [self.rng.choice((CODE_MOST, CODE_LEAST, 0, -1, self.rng.randint(CODE_LEAST, CODE_MOST))) for _ in range(LINES)]
        await self.strobe()
        await cycles(self.dut, 1)
        self.dut.sense.value = sum((v & 0xFFFF) << 16 * i for i, v in enumerate(sense))
        await cycles(self.dut, 1)
        self.dut.sense.value = self.rng.getrandbits(16 * LINES)
        await self.sink.wait(LINES)
        values = [CODE_MOST if v == CODE_LEAST else -v for v in sense]
        overs = [int(v in (CODE_MOST, CODE_LEAST)) for v in sense]
        self.sink.expect([{"value": v, "over": o, "last": int(i == LINES - 1)} for i, (v, o) in enumerate(zip(values, overs, strict=True))])

    async def failure(self, cause: Cause) -> None:
        """Wait for a failure and switch off."""
        await self.until("failed")
        assert Cause(int(self.dut.failed.value)) == cause
        self.dut.gate.value = 1
        await cycles(self.dut, 3)
        assert not int(self.dut.toggle.value), "a line moves after a failure"
        self.dut.gate.value = 0
        await self.off()
        assert not int(self.dut.failed.value)

    async def off(self) -> None:
        """Switch off in the middle of a cycle: at once all is off."""
        dut = self.dut
        await FallingEdge(dut.clk)
        self.dut.on.value = 0
        await ReadOnly()
        assert not any(int(pin.value) for pin in (dut.clr_n, dut.enable, dut.toggle))
        assert not any([*self.drive(), *self.connected()])
        self.source.drop()
        self.sink.forget()
        await cycles(dut, 2)
        self.sink.words.clear()

    def some(self) -> tuple[list[int], list[bool]]:
        """Return random codes, and which lines are open."""
        codes = [self.rng.choice((0, CODE_MOST, CODE_LEAST, self.rng.randint(CODE_LEAST, CODE_MOST))) for _ in range(LINES)]
        return codes, [self.rng.random() < 0.3 for _ in range(LINES)]


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def drives_and_senses(dut, pause):
    """Random codes reach their lines with the gate and no earlier; random voltages come back as samples, in order."""
    tb = TB(dut, pause=pause)
    await tb.start()
    dut.lag.value, dut.sdo_delay.value = 0, 0
    await tb.on()
    for _ in range(PARAMETERS.get("sets", 3)):
        await tb.load(*tb.some())
        for _ in range(2):
            await tb.pulse(tb.rng.randint(1, 30))
        await tb.convert()
        dut.gate.value = 1
        await cycles(dut, 2)
        await tb.convert()
        assert tb.drive() == tb.codes
        dut.gate.value = 0
        await FallingEdge(dut.clk)
    await tb.off()
    await tb.on()
    dut.gate.value = 1
    await cycles(dut, 3)
    assert not any(tb.drive()), "old codes came back"
    dut.gate.value = 0
    await cycles(dut, 2)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def bears_late_answers(dut):
    """With the register set to the lag of the lines all is as without; with one that is not, the front end fails."""
    tb = TB(dut, seed=11)
    await tb.start()
    for lag in PARAMETERS["lags"]:
        dut.lag.value, dut.sdo_delay.value = lag, lag
        await tb.on()
        await tb.convert()
        await tb.off()
    dut.lag.value, dut.sdo_delay.value = 4, 1
    dut.on.value = 1
    await tb.until("failed")
    assert not int(dut.enable.value)
    await tb.off()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def tells_failures(dut):
    """A stuck or missing BUSY, an open or wrong answer and a wrong frame are failures, after which no line moves."""
    tb = TB(dut, seed=21)
    await tb.start()
    for fault, cause in ((1, Cause.CONVERTER), (2, Cause.CONVERTER), (4, Cause.CONVERTER), (16, Cause.CONVERTER)):
        await tb.on()
        await tb.load(*tb.some())
        dut.fault.value = fault
        dut.gate.value = 1
        await tb.strobe()
        await tb.failure(cause)
        dut.fault.value = 0
    await tb.on()
    dut.fault.value = 8
    tb.source.send([{"code": 0, "open": 0, "last": int(i == LINES - 1)} for i in range(LINES)])
    await tb.failure(Cause.CRC)
    dut.fault.value = 0
    for _ in range(3):  # one bit of the results
        await tb.on()
        await tb.strobe()
        while int(dut.cs_adc_n.value):
            await FallingEdge(dut.clk)
        await cycles(dut, tb.rng.randint(20, 100) * PARAMETERS["divisor"])
        dut.fault.value = 4
        await cycles(dut, PARAMETERS["divisor"])
        dut.fault.value = 0
        await tb.failure(Cause.CRC)
        assert not tb.sink.words
    await tb.on()
    await tb.convert()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def falls_at_any_time(dut):
    """Whatever it does, when `on` falls all is off in the same cycle, and the next start finds everything as the first."""
    tb = TB(dut, seed=31)
    await tb.start()
    for _ in range(PARAMETERS.get("falls", 12)):
        dut.on.value = 1
        stop = tb.rng.randint(1, 12_000)
        task = cocotb.start_soon(_work(tb))
        await cycles(dut, stop)
        task.cancel()
        dut.convert.value = 0
        await tb.off()
        dut.gate.value = 0
        await cycles(dut, tb.rng.randint(1, 40))
    await tb.on()
    await tb.load(*tb.some())
    await tb.pulse(5)
    await tb.convert()


async def _work(tb: TB) -> None:
    await tb.on()
    while True:
        await tb.load(*tb.some())
        await tb.pulse(tb.rng.randint(1, 300))
        await tb.convert()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def shows_that_it_lives(dut):
    """`alive` toggles with its period while `on` is high, and stands still while it is not; the interlock passes."""
    tb = TB(dut)
    await tb.start()
    await cycles(dut, 250)
    last = int(dut.alive.value)
    await cycles(dut, 250)
    assert int(dut.alive.value) == last
    dut.on.value = 1
    await ValueChange(dut.alive)
    first = cycle()
    await ValueChange(dut.alive)
    assert cycle() - first == PARAMETERS["alive"]
    assert int(dut.closed.value)
    await FallingEdge(dut.clk)
    dut.interlock.value = 0
    await Timer(1, "ns")
    assert not int(dut.closed.value)
