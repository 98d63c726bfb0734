"""The tile's side of a front end's bench: codes, gates and conversions, and random voltages at the converters."""

from typing import Any

from cocotb.triggers import FallingEdge, ReadOnly

from backpulse.firmware_py.registers import Cause
from backpulse.rtl.tile.analog.signature import code_layout, sample_layout
from cocotb_tests.streams import Sink, Source, cycles, generator, pattern, sink_pause, start

CODE_MOST, CODE_LEAST = 32767, -32768
READY_LIMIT = 20_000


def signed(value: int) -> int:
    """Return 16 bits as a signed number."""
    return value - 65536 if value & 0x8000 else value


class FrontTB:
    """Drives a front end with the models of its chips.

    Parameters
    ----------
    lines
        How many.
    names
        Inputs of the board that begin at zero.
    dropped
        Bits by which the converters are narrower than codes and samples.
    """

    def __init__(self, dut: Any, *, lines: int, names: tuple[str, ...] = (), dropped: int = 0, seed: int = 1, pause: str = "never") -> None:
        self.dut, self.lines, self.dropped, self.rng = dut, lines, dropped, generator(seed)
        for name in ("on", "gate", "convert", "sdo_delay", "fault", "mutant", "sense", *names):
            getattr(dut, name).value = 0
        dut.interlock.value = 1
        self.source = Source(dut, "codes", code_layout(), pause=pattern(pause, seed + 1))
        self.sink = Sink(dut, "samples", sample_layout(), pause=sink_pause(pause, seed + 2))

    async def start(self) -> None:
        """Start the clock and the reset."""
        await start(self.dut)

    def drive(self) -> list[int]:
        """Return the DACs' voltages."""
        bits = int(self.dut.drive.value)
        return [signed(bits >> 16 * i & 0xFFFF) for i in range(self.lines)]

    def connected(self) -> list[bool]:
        """Return which lines are connected."""
        bits = int(self.dut.connected.value)
        return [bool(bits >> i & 1) for i in range(self.lines)]

    async def until(self, name: str, value: int = 1, limit: int = READY_LIMIT) -> None:
        """Wait for a signal."""
        for _ in range(limit):
            if int(getattr(self.dut, name).value) == value:
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"{name} does not become {value}")

    async def load(self, codes: list[int], open_: list[bool]) -> None:
        """Load codes and wait until they are in place."""
        self.offer(codes, open_)
        await self.source.drain()
        await FallingEdge(self.dut.clk)
        assert not int(self.dut.loaded.value)
        await self.placed(codes, open_)

    def offer(self, codes: list[int], open_: list[bool]) -> None:
        """Offer codes."""
        last = self.lines - 1
        self.source.send({"code": c, "open": int(o), "last": int(i == last)} for i, (c, o) in enumerate(zip(codes, open_, strict=True)))

    async def placed(self, codes: list[int], open_: list[bool]) -> None:
        """Wait until codes are in place."""
        await self.until("loaded")

    def some(self) -> tuple[list[int], list[bool]]:
        """Return random codes, and which lines are open."""
        codes = [self.rng.choice((0, CODE_MOST, CODE_LEAST, self.rng.randint(CODE_LEAST, CODE_MOST))) for _ in range(self.lines)]
        return codes, [self.rng.random() < 0.3 for _ in range(self.lines)]

    async def strobe(self) -> None:
        """Ask for a conversion."""
        self.dut.convert.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.convert.value = 0

    async def convert(self) -> None:
        """Convert random voltages, which are there in one cycle alone, and compare the samples."""
        dut, bits, last = self.dut, 16 - self.dropped, self.lines - 1
        most, least = (1 << bits - 1) - 1, -1 << bits - 1
        sense = [self.rng.choice((most, least, 0, -1, self.rng.randint(least, most))) for _ in range(self.lines)]
        await self.strobe()
        await self.until("sampling")
        await FallingEdge(dut.clk)
        dut.sense.value = sum((v << self.dropped & 0xFFFF) << 16 * i for i, v in enumerate(sense))
        await FallingEdge(dut.clk)
        dut.sense.value = self.rng.getrandbits(16 * self.lines)
        await self.sink.wait(self.lines)
        values = [CODE_MOST if v == least else -v << self.dropped for v in sense]
        overs = [int(v in (most, least)) for v in sense]
        self.sink.expect([{"value": v, "over": o, "last": int(i == last)} for i, (v, o) in enumerate(zip(values, overs, strict=True))])

    async def off(self) -> None:
        """Switch off: at once all is off."""
        await FallingEdge(self.dut.clk)
        self.dut.on.value = 0
        await ReadOnly()
        self.is_off()
        self.source.drop()
        self.sink.forget()
        await cycles(self.dut, 2)
        self.sink.words.clear()

    def is_off(self) -> None:
        """Look at what is off in the cycle in which `on` falls."""
        assert not int(self.dut.enable.value)
        assert not any(self.connected())

    async def failure(self, cause: Cause) -> None:
        """Wait for a failure and switch off."""
        await self.until("failed", cause)
        await cycles(self.dut, 3)
        await self.off()
        assert not int(self.dut.failed.value)
