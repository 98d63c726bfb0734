"""Bench of the samples with the store: the order, the credit, the pages and the host's share of the store."""

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.config import Config
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Source, cycles, generator, pattern, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])


class TB:
    """Samples and store, and what the store holds."""

    def __init__(self, dut, pause: str) -> None:
        self.dut, self.rng = dut, generator(5)
        for name in ("clear", "take", "page__en", "page__addr", "stride"):
            getattr(dut, name).value = 0
        self.host = HostPortDriver(dut)
        self.order = Source(dut, "order", 16, pause=pattern(pause, 6))
        self.words = [self.rng.getrandbits(32) for _ in range(CONFIG.store_words)]

    async def fill(self) -> None:
        """Fill the store through the host's port."""
        for address, word in enumerate(self.words):
            await self.host.write(address, word)
        assert await self.host.read(3) == self.words[3]

    async def ready(self) -> None:
        """Wait until a sample is loaded."""
        for _ in range(400):
            if int(self.dut.ready.value):
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError("no sample was loaded within 400 cycles")

    async def strobe(self, name: str) -> None:
        """Set an input for one cycle."""
        getattr(self.dut, name).value = 1
        await FallingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0

    async def byte(self, address: int) -> int:
        """Read a byte of the page in use."""
        self.dut.page__addr.value = address
        await self.strobe("page__en")
        return self.dut.page__data.value.to_signed()


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def loads(dut, pause):
    """Each sample comes in its turn, whole, while the host uses the store; credit counts what is not begun."""
    tb = TB(dut, pause)
    await start(dut)
    await tb.fill()
    stop = [False]

    async def disturb():
        while not stop[0]:
            address = tb.rng.randrange(CONFIG.store_words)
            assert await tb.host.read(address) == tb.words[address]
            await cycles(dut, tb.rng.randint(0, 3))

    for stride in (1, 3, CONFIG.page_bytes // 4):
        dut.stride.value = stride
        most = CONFIG.store_words // stride
        order = [tb.rng.randrange(most) for _ in range(10)]
        tb.order.send(order)
        await tb.order.drain()
        await cycles(dut, 2)
        assert int(dut.credit.value) == len(order)
        assert int(dut.room.value) == CONFIG.order_depth - len(order)
        stop[0] = False
        task = cocotb.start_soon(disturb())
        for left, index in zip(range(len(order) - 1, -1, -1), order, strict=True):
            await tb.ready()
            await tb.strobe("take")
            assert int(dut.credit.value) == left
            for _ in range(6):
                at = tb.rng.randrange(4 * stride)
                byte = tb.words[index * stride + at // 4] >> 8 * (at % 4) & 255
                assert await tb.byte(at) == (byte ^ 128) - 128, f"byte {at} of sample {index}"
                assert not int(dut.page__beyond.value), f"byte {at} is of sample {index}"
            for at in {4 * stride, CONFIG.page_bytes - 1} & set(range(4 * stride, CONFIG.page_bytes)):
                await tb.byte(at)
                assert int(dut.page__beyond.value), f"byte {at} is not of sample {index}"
        stop[0] = True
        await task
        assert not int(dut.busy.value)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def clears(dut, pause):
    """clear drops what is granted, at any moment, and what is granted afterwards is not touched."""
    tb = TB(dut, pause)
    await start(dut)
    await tb.fill()
    dut.stride.value = 2
    for delay in range(60):
        tb.order.send([1, 2, 3])
        await tb.order.drain()
        await cycles(dut, delay)
        await tb.strobe("clear")
        assert int(dut.credit.value) == 0
        tb.order.send([4])
        await tb.order.drain()
        await tb.ready()
        assert int(dut.credit.value) == 1
        await tb.strobe("take")
        assert await tb.byte(0) == (tb.words[8] & 255 ^ 128) - 128
        await cycles(dut, 30)
        assert int(dut.credit.value) == 0
        assert not int(dut.ready.value)
