"""Bench of the student kit on models of its chips."""

import cocotb
from cocotb.triggers import FallingEdge, First, ReadOnly, ValueChange

from backpulse.firmware_py.registers import Cause
from cocotb_tests.front_tb import FrontTB
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import cycle, cycles

PARAMETERS = parameters()
LINES, DROPPED = 8, 4
MOST = 2047 << DROPPED


class TB(FrontTB):
    """The kit; where lines are connected and the gate has been low for long, they are at one voltage."""

    def __init__(self, dut, *, seed: int = 1, pause: str = "never") -> None:
        super().__init__(dut, lines=LINES, dropped=DROPPED, seed=seed, pause=pause)

    async def start(self) -> None:
        await super().start()
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        dut = self.dut
        while True:
            await ReadOnly()
            assert int(dut.on.value) or not any(self.connected()), "a line is connected"
            await First(*map(ValueChange, (dut.connected, dut.on)))

    async def on(self) -> None:
        """Switch on, and wait until the front end is ready."""
        self.dut.on.value = 1
        while not int(self.dut.enable.value):
            assert not any(self.connected())
            await FallingEdge(self.dut.clk)
            assert not int(self.dut.failed.value)
        assert not any(self.drive())
        await self.until("ready")
        assert all(self.connected())

    async def moves(self, to: list[int]) -> int:
        """Wait until the lines move, all at once; return after how many cycles."""
        begin = cycle()
        await ValueChange(self.dut.drive)
        await ReadOnly()
        assert self.drive() == to
        return cycle() - begin

    async def pulse(self, codes: list[int], length: int) -> tuple[int, int]:
        """Pulse with the loaded codes; return after how many cycles lines go up and down."""
        self.dut.gate.value = 1
        up = await self.moves(codes)
        await FallingEdge(self.dut.clk)
        await cycles(self.dut, length - up - 1)
        self.dut.gate.value = 0
        down = await self.moves([0] * LINES)
        await FallingEdge(self.dut.clk)
        return up, down


def rounded(code: int) -> int:
    """Return the code that the DAC makes of one."""
    return min(code + (1 << DROPPED - 1) >> DROPPED << DROPPED, MOST)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def drives_and_senses(dut, pause):
    """Lines move together, as long after the gate rises as after it falls; random voltages come back as samples."""
    tb = TB(dut, pause=pause)
    await tb.start()
    await tb.on()
    await tb.convert()
    delays = set()
    for _ in range(PARAMETERS["sets"]):
        codes, open_ = tb.some()
        codes[0] = codes[0] or 12345
        open_[0] = False
        shown = [0 if o else rounded(c) for c, o in zip(codes, open_, strict=True)]
        await tb.load(codes, open_)
        for _ in range(2):
            await tb.until("loaded")
            delays |= set(await tb.pulse(shown, PARAMETERS["width_min"] + tb.rng.randint(0, 50)))
        await tb.until("loaded")
        dut.gate.value = 1
        await tb.moves(shown)
        await FallingEdge(dut.clk)
        await tb.convert()
        assert tb.drive() == shown
        dut.gate.value = 0
        await tb.until("loaded", 0)
    assert len(delays) == 1, f"lines follow the gate after {delays} cycles"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def tells_an_open_answer(dut):
    """An ADC that does not answer is a failure: in the first conversion no line is connected."""
    tb = TB(dut, seed=11)
    await tb.start()
    dut.fault.value = 1
    dut.on.value = 1
    await tb.failure(Cause.CONVERTER)
    dut.fault.value = 0
    await tb.on()
    dut.fault.value = 1
    await tb.strobe()
    await tb.failure(Cause.CONVERTER)
    assert not tb.sink.words


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def falls_at_any_time(dut):
    """Whatever it does, when `on` falls no line is connected in the same cycle, and the next start finds all as the first."""
    tb = TB(dut, seed=21)
    await tb.start()
    for _ in range(PARAMETERS["falls"]):
        task = cocotb.start_soon(_work(tb))
        await cycles(dut, tb.rng.randint(1, 6000))
        task.cancel()
        dut.convert.value = 0
        await tb.off()
        dut.gate.value = 0
        await cycles(dut, tb.rng.randint(1, 40))
    await tb.on()
    dut.gate.value = 1
    await cycles(dut, 300)
    assert not any(tb.drive()), "old codes came back"
    dut.gate.value = 0
    await tb.convert()


async def _work(tb: TB) -> None:
    await tb.on()
    while True:
        codes = [tb.rng.randint(-30000, 30000) for _ in range(LINES)]
        await tb.load(codes, [False] * LINES)
        await tb.pulse(list(map(rounded, codes)), PARAMETERS["width_min"])
        await tb.convert()
