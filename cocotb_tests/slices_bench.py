"""Bench of the slices on models of their chips: every line in every moment, and what goes wrong on the way."""

import cocotb
from cocotb.triggers import FallingEdge, First, ReadOnly, ValueChange

from backpulse.firmware_py.registers import Cause
from cocotb_tests.front_tb import FrontTB
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import PERIOD_NS, cycle, cycles

PARAMETERS = parameters()
SLICES = PARAMETERS.get("slices", 1)
LINES = 16 * SLICES
CODE = 1234
SWITCH_WAKE_NS = 2000


class TB(FrontTB):
    """Slices, and what must hold in every moment."""

    def __init__(self, dut, *, seed: int = 1, pause: str = "never") -> None:
        super().__init__(dut, lines=LINES, names=("lag",), seed=seed, pause=pause)
        self.codes = [0] * LINES

    async def start(self) -> None:
        await super().start()
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
        dut = self.dut
        dut.on.value = 1
        await self.until("enable")
        enabled = cycle()
        assert not any(self.connected())
        await self.until("cs_switch_n", 0)
        assert (cycle() - enabled) * PERIOD_NS >= SWITCH_WAKE_NS, "switches are spoken to too early"
        await self.until("ready")
        assert not int(dut.failed.value)
        assert all(self.connected())

    async def placed(self, codes: list[int], open_: list[bool]) -> None:
        await super().placed(codes, open_)
        self.codes = codes
        assert self.connected() == [not o for o in open_]

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

    def is_off(self) -> None:
        super().is_off()
        assert not any(int(pin.value) for pin in (self.dut.clr_n, self.dut.toggle))
        assert not any(self.drive())

    async def failure(self, cause: Cause) -> None:
        await self.until("failed", cause)
        self.dut.gate.value = 1
        await cycles(self.dut, 3)
        assert not int(self.dut.toggle.value), "a line moves after a failure"
        self.dut.gate.value = 0
        await super().failure(cause)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def drives_and_senses(dut, pause):
    """Random codes reach their lines with the gate and no earlier; random voltages come back as samples, in order."""
    tb = TB(dut, pause=pause)
    await tb.start()
    dut.lag.value, dut.sdo_delay.value = 0, 0
    await tb.on()
    for _ in range(2):
        await tb.load(*tb.some())
        for _ in range(2):
            await tb.pulse(tb.rng.randint(1, 30))
        await tb.convert()
        dut.gate.value = 1
        await cycles(dut, 2)
        await tb.convert()
        assert tb.drive() == tb.codes
        codes, open_ = tb.some()
        tb.offer(codes, open_)
        await tb.convert()  # asked for while codes come
        await tb.source.drain()
        await cycles(dut, 3)
        assert not int(dut.loaded.value)
        assert tb.drive() == tb.codes, "codes did not wait for the gate"
        dut.gate.value = 0
        await FallingEdge(dut.clk)
        await tb.placed(codes, open_)
        await tb.pulse(5)
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
    await tb.until("failed", Cause.CONVERTER)
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


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def opens_what_holds_it(dut):
    """An open key opens all lines and clears all voltages, whatever the FPGA does; `alive` tells of the clock while it is on."""
    tb = TB(dut, seed=41)
    await tb.start()
    before = int(dut.alive.value)
    await cycles(dut, 300)
    assert int(dut.alive.value) == before
    await tb.on()
    await tb.load([CODE] * LINES, [False] * LINES)
    dut.gate.value = 1
    await cycles(dut, 500)
    assert tb.drive() == tb.codes
    assert all(tb.connected())
    dut.interlock.value = 0
    await ReadOnly()
    assert not int(dut.closed.value)
    assert not any([*tb.drive(), *tb.connected()])
    await FallingEdge(dut.clk)
    dut.gate.value = 0
    await tb.off()
