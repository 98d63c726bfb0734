"""Bench of the whole machine behind the link: random programs against the golden machine; failing ones are shrunk."""

import os
from contextlib import suppress

import cocotb
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge, ReadOnly
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyFailure

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import SCALE_REGISTERS
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import REG, WINDOW_SHIFT, Counter, State, Window
from cocotb_tests.machine_image import held
from cocotb_tests.parameters import parameters
from cocotb_tests.random_programs import Case, cases
from cocotb_tests.streams import Source, cycles, nonzero, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
SEED = int(os.environ["COCOTB_RANDOM_SEED"])
COUNTERS = range(REG["COUNTER"].address, REG["COUNTER"].address + len(Counter))
SEEN = [
    *(REG[name].address for name in ("STATE", "FAULT", "CREDIT")),
    *COUNTERS,
    *range(REG["SCALE"].address, REG["SCALE"].address + SCALE_REGISTERS),
    *held(CONFIG, CONFIG.vector_words),
]
"""Addresses of all that a program changes."""
_TOGETHER = (Window.CELLS, Window.TABLE) if CONFIG.device is DeviceKind.TABLE else ()
"""Windows in which a write may be one to another word, too, or depend on the one before."""
LIMIT = 4000
"""Cycles within which every program ends; the longest takes a quarter of them."""


class TB:
    """The machine and its golden twin. When a case has passed both hold the same, so that of the next one only differences are written.

    `known` are the addresses at which they do.
    """

    def __init__(self, dut) -> None:
        self.dut, self.order = dut, Source(dut, "order", 16)
        self.twin, self.known = GoldenMachine(CONFIG), set[int]()
        for name in ("start", "halt", "abort", "clear_credit", "nonce", "bus__request"):
            getattr(dut, name).value = 0

    async def access(self, address: int, value: int | None = None) -> int:
        """Read a word, or write it."""
        dut = self.dut
        dut.bus__addr.value, dut.bus__write.value, dut.bus__w_data.value = address, int(value is not None), value or 0
        dut.bus__request.value = 1
        await nonzero(dut, dut.bus__ack)
        word, error = int(dut.bus__r_data.value), int(dut.bus__error.value)
        assert not error, f"address {address:#x} is an error"
        await FallingEdge(dut.clk)
        dut.bus__request.value = 0
        await FallingEdge(dut.clk)
        return word

    async def strobe(self, name: str) -> None:
        """Give a command for one cycle."""
        getattr(self.dut, name).value = 1
        await FallingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0

    async def load(self, case: Case) -> None:
        """Write what a case needs and is not there."""
        for address, word in case.image():
            before = self.twin.read(address)
            self.twin.write(address, word)
            if address not in self.known or self.twin.read(address) != before or address >> WINDOW_SHIFT in _TOGETHER:
                await self.access(address, word)
                self.known.add(address)

    async def run(self, case: Case) -> None:
        """Run a case on both and compare."""
        dut, twin = self.dut, self.twin
        await self.load(case)
        await self.strobe("start")
        self.order.send(case.order)
        await self.order.drain()
        await cycles(dut, 2)
        for _ in range(LIMIT // 8):
            state = State(int(dut.state.value))
            if state is not State.TRAINING:
                break
            await cycles(dut, 8)
        twin.start()
        twin.grant(case.order)
        twin.run(len(case.order))
        different = []
        for address in SEEN:
            got, want = await self.access(address), twin.read(address)
            if got != want:
                window, offset = Window(address >> WINDOW_SHIFT), address & ((1 << WINDOW_SHIFT) - 1)
                name = Counter(address - COUNTERS.start).name if address in COUNTERS else f"{window.name} {offset:#x}"
                different.append(f"{name} is {got:#x}, golden {want:#x}")
        assert not different, f"{len(different)} words differ: {'; '.join(different[:8])}\n{case}"
        if state is State.PAUSED:
            await self.strobe("halt")
            twin.halt()
            await cycles(dut, 4)

    async def recover(self) -> None:
        """After a case that failed: stop, and forget what is known of the machine."""
        await ReadOnly()
        await FallingEdge(self.dut.clk)
        self.dut.bus__request.value = 0
        await self.strobe("abort")
        await self.strobe("clear_credit")
        await cycles(self.dut, 100)
        self.known.clear()
        self.twin = GoldenMachine(CONFIG)
        for i, address in enumerate(COUNTERS):
            self.twin.memory.counters[i] = await self.access(address)
        for window, array in ((Window.RESULTS, self.twin.memory.results), (Window.OUTPUTS, self.twin.memory.outputs)):
            for i in range(len(array) // 2):
                array.view("<u4")[i] = await self.access(window.base + i)


@cocotb.test(timeout_time=PARAMETERS["examples"], timeout_unit="ms")
async def same(dut):
    """Counters, state, fault, memories, cells, random states and results are the golden machine's after each program."""
    tb = TB(dut)
    await start(dut)
    run, recover = resume(tb.run), resume(tb.recover)

    @seed(SEED)
    @settings(
        max_examples=PARAMETERS["examples"],
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if PARAMETERS["shrink"] else (Phase.generate,),
        suppress_health_check=list(HealthCheck),  # type: ignore[arg-type]  # an enumeration's members, says hypothesis' metaclass
        report_multiple_bugs=False,
    )
    @given(case=cases(CONFIG))
    def agree(case: Case) -> None:
        try:
            run(case)
        except BaseException as error:
            failures.append(error)
            with suppress(AssertionError):
                recover()
            raise

    # What depends on the moment, as of a counter's turn, may not come again when a case is shrunk.
    failures: list[BaseException] = []
    try:
        await bridge(agree)()
    except FlakyFailure:
        raise failures[-1] from None
