"""Bench of the ledgers: counters, results and scale registers, while the machine and the host use them together."""

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import SCALE_REGISTERS
from backpulse.firmware_py.registers import Counter
from backpulse.firmware_py.timing import ALU_CYCLES
from backpulse.rtl.core.ledger import ROUND
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import cycles, generator, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
SCALES = 16
SAMPLE = 20 * ALU_CYCLES
"""Cycles of a sample."""
OF_ERR = (Counter.HITS, Counter.LOSS, Counter.RESULTS)
"""Counters that only ERR gives something: once in its cycles."""


class TB:
    """What the ledger is given, and the same in plain numbers."""

    def __init__(self, dut) -> None:
        self.dut, self.rng = dut, generator(3)
        self.most = {counter: PARAMETERS["most"][counter] for counter in Counter}
        self.given = [counter for counter, most in self.most.items() if most]
        self.totals, self.scales, self.ring = dict.fromkeys(Counter, 0), [0] * SCALE_REGISTERS, [0] * CONFIG.result_depth
        self.written: set[int] = set()
        self.when = {counter: self.rng.randrange(ALU_CYCLES) for counter in OF_ERR}
        self.when[Counter.HITS] = self.when[Counter.RESULTS]  # a hit comes with its result
        self.host, self.results = HostPortDriver(dut, limit=4 * ROUND), HostPortDriver(dut, "results", limit=4 * ROUND)
        for name in ("clear_results", "result", "look", "index", "n_index", "n_mantissa", "n_en"):
            getattr(dut, name).value = 0
        self.quiet()

    def quiet(self) -> None:
        """Give nothing."""
        self.since_result = 1
        for counter in self.given:
            getattr(self.dut, f"add_{counter.name.lower()}").value = 0
        self.dut.loss_en.value = 0

    async def give(self, samples: int) -> None:
        """Give everything that a machine can, sample by sample; sometimes all at once for long."""
        rng, dut = self.rng, self.dut
        for _ in range(samples):
            much = rng.random() < 0.5
            for cycle in range(SAMPLE):
                self.since_result = (cycle - self.when[Counter.RESULTS]) % ALU_CYCLES
                for counter in self.given:
                    most = self.most[counter]
                    add = most if much else rng.choice((0, 0, 1, rng.randint(0, most)))
                    if counter in OF_ERR and cycle % ALU_CYCLES != self.when[counter]:
                        add = 0
                    elif counter is Counter.RESULTS:
                        add = 1
                    if counter is Counter.LOSS:
                        dut.loss_en.value = int(cycle % ALU_CYCLES == self.when[counter])
                    if counter is Counter.RESULTS and add:
                        dut.result.value = at = rng.getrandbits(16)
                        self.ring[self.totals[counter] % CONFIG.result_depth] = at
                        self.written.add(self.totals[counter] % CONFIG.result_depth)
                    getattr(dut, f"add_{counter.name.lower()}").value = add
                    self.totals[counter] = (self.totals[counter] + add) & 0xFFFFFFFF
                await FallingEdge(dut.clk)
            self.quiet()

    async def compare(self) -> None:
        """Read everything."""
        for counter, total in self.totals.items():
            assert await self.host.read(counter) == total, counter.name
        for i, word in enumerate(self.scales):
            assert await self.host.read(SCALES + i) == word, f"scale register {i}"
        for address in {n // 2 for n in self.written}:
            word = await self.results.read(address)
            for n in range(2 * address, 2 * address + 2):
                assert n not in self.written or word >> 16 * (n % 2) & 0xFFFF == self.ring[n], f"result {n}"

    async def norm(self, index: int, mantissa: int) -> None:
        """Write a scale register as NORM2 does."""
        dut = self.dut
        while self.since_result not in range(1, ALU_CYCLES // 2):  # NORM2 and ERR never write together
            await FallingEdge(dut.clk)
        dut.n_index.value, dut.n_mantissa.value, dut.n_en.value = index, mantissa, 1
        await FallingEdge(dut.clk)
        dut.n_en.value = 0
        await cycles(dut, 2)
        self.scales[index] = mantissa | PARAMETERS["norm_exponent"] << 16

    async def look(self, index: int) -> None:
        """Ask for a scale register as an instruction does."""
        dut = self.dut
        dut.index.value, dut.look.value = index, 1
        await FallingEdge(dut.clk)
        dut.look.value = 0
        if CONFIG.lean:  # the others have them at once
            await cycles(dut, 6)
        assert int(dut.mantissa.value) == self.scales[index] & 0xFFFF, f"mantissa of register {index}"
        if CONFIG.lean:
            await cycles(dut, 1)
        exponent = self.scales[index] >> 16
        assert dut.exponent.value.to_signed() == (exponent ^ 128) - 128, f"exponent of register {index}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def keeps_books(dut):
    """Nothing given is lost, while scale registers are used and the host reads; RESULTS starts anew and no other does."""
    tb = TB(dut)
    await start(dut)
    for i in range(SCALE_REGISTERS):
        tb.scales[i] = tb.rng.getrandbits(24)
        await tb.host.write(SCALES + i, tb.scales[i])
    # Memories begin with nothing in particular but zero here.
    for _ in range(8):
        task = cocotb.start_soon(tb.give(6))
        while not task.done():
            match tb.rng.randrange(4):
                case 0:
                    await tb.norm(tb.rng.randrange(SCALE_REGISTERS), tb.rng.getrandbits(16))
                case 1:
                    i = tb.rng.randrange(SCALE_REGISTERS)
                    tb.scales[i] = tb.rng.getrandbits(24)
                    await tb.host.write(SCALES + i, tb.scales[i])
                case 2:
                    await tb.host.read(tb.rng.choice(list(Counter)))
                case _:
                    await tb.look(tb.rng.randrange(SCALE_REGISTERS))
            await cycles(dut, tb.rng.randint(8, 20))
        await tb.compare()
        if tb.rng.random() < 0.5:
            dut.clear_results.value, tb.totals[Counter.RESULTS] = 1, 0
            await FallingEdge(dut.clk)
            dut.clear_results.value = 0
            await tb.compare()
    assert (await tb.results.access(CONFIG.result_depth // 2))[1], "beyond the ring is an error"
    assert (await tb.results.access(0, 1))[1], "writing to the ring is an error"
