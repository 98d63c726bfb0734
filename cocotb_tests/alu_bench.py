"""Bench of the vector arithmetic: ERR, NORM2 and AXPY against the golden functions, at every magnitude and scale."""

import cocotb

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.registers import LOSS_FRAC
from backpulse.rtl.lib.ports import element_layout
from backpulse.rtl.units.activation import derivative_layout, word_layout
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, pattern, start, unpack

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
PAUSES = PARAMETERS["pauses"]
LENGTHS = (1, 2, 3, 10, 40)


class TB:
    """The unit with its two sources, and what it gave."""

    def __init__(self, dut, pause: str) -> None:
        self.dut, self.rng = dut, generator(7)
        for name in ("clear", "err", "norm2", "axpy", "mantissa", "exponent", "square", "square_valid", "square_last"):
            getattr(dut, name).value = 0
        self.plain = Source(dut, "i", element_layout(CONFIG), pause=pattern(pause, 1))
        self.derived = Source(dut, "i_derivative", derivative_layout(CONFIG), pause=pattern(pause, 2))
        self.words = Sink(dut, "o", word_layout(CONFIG))
        self.seen: dict[str, list] = {"norm": [], "loss": [], "result": []}

    async def begin(self) -> None:
        """Reset; then squares come back as the finishing stage gives them, and what the unit counts is kept."""
        await start(self.dut)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        d = self.dut
        while True:
            await cycles(d)
            if int(d.norm_en.value):
                self.seen["norm"].append(int(d.norm.value))
            if int(d.loss_en.value):
                self.seen["loss"].append(int(d.loss.value))
            if int(d.result_en.value):
                self.seen["result"].append((int(d.result.value), int(d.hit.value)))
            if int(d.o__valid.value):
                word = self.words_layout()
                d.square.value = sat(word["word"], CONFIG.vector_max)
                d.square_last.value = word["last"]
            d.square_valid.value = int(d.o__valid.value)

    def words_layout(self) -> dict:
        """Return the word on offer."""
        return unpack(word_layout(CONFIG), int(self.dut.o__payload.value))

    def vector(self, length: int) -> list[int]:
        """Return a vector of random magnitude; every fifth has equal elements."""
        bits = self.rng.randint(1, CONFIG.vector_bits - 1)
        if self.rng.random() < 0.2:
            return [self.rng.getrandbits(bits)] * length
        return [self.rng.choice((-1, 1)) * self.rng.getrandbits(bits) for _ in range(length)]

    def send(self, plain: list[int], derived: list[int] | None, fprime: list[int]) -> None:
        """Queue the elements of an instruction."""
        top = len(plain) - 1
        self.plain.send({"word": w, "second": 0, "last": i == top} for i, w in enumerate(plain))
        if derived is not None:
            self.derived.send({"word": w, "fprime": f, "last": i == top} for i, (w, f) in enumerate(zip(derived, fprime, strict=True)))

    async def settle(self) -> None:
        """Wait until all elements are through."""
        await self.plain.drain()
        await self.derived.drain()
        await cycles(self.dut, 10)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=PAUSES)
async def errors(dut, pause):
    """ERR: differences, loss, hit and prediction."""
    tb = TB(dut, pause)
    await tb.begin()
    dut.err.value = 1
    for length in LENGTHS * 8:
        t, a = tb.vector(length), tb.vector(length)
        if tb.rng.random() < 0.5:
            a = [w // 2 for w in t]
        f = [tb.rng.randint(0, CONFIG.one) for _ in t]
        tb.send(t, a, f)
        await tb.settle()
        wide = [x - y for x, y in zip(t, a, strict=True)]
        tb.words.expect([{"word": w, "fprime": p, "last": int(i == length - 1)} for i, (w, p) in enumerate(zip(wide, f, strict=True))])
        total = sum(sat(w, CONFIG.vector_max) ** 2 for w in wide)
        assert tb.seen["loss"] == [rshift(total, 2 * CONFIG.vector_frac - LOSS_FRAC) & 0xFFFFFFFF]
        assert tb.seen["result"] == [(a.index(max(a)), int(a.index(max(a)) == t.index(max(t))))]
        tb.seen = {name: [] for name in tb.seen}


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pause=PAUSES)
async def norms(dut, pause):
    """NORM2: the new mantissa, for every exponent that a register can hold."""
    tb = TB(dut, pause)
    await tb.begin()
    dut.norm2.value = 1
    for exponent in [*range(-40, 34), -128, 127, 47, 48]:
        for _ in range(3):
            a, mantissa = tb.vector(tb.rng.choice(LENGTHS)), tb.rng.getrandbits(tb.rng.randint(0, 16))
            dut.mantissa.value, dut.exponent.value = mantissa, exponent
            tb.send(a, None, [])
            await tb.settle()
            norm = min(rshift(sum(w * w for w in a), 2 * CONFIG.vector_frac - LOSS_FRAC), 65535)
            bits = min(max(14 - exponent, 0), 47)
            assert tb.seen["norm"] == [min(rshift(norm * mantissa, bits), 65535)], f"norm {norm}, mantissa {mantissa}, exponent {exponent}"
            tb.seen["norm"].clear()
    assert not tb.words.words


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pause=PAUSES)
async def differences(dut, pause):
    """AXPY: the difference, saturated far outside a vector word."""
    tb = TB(dut, pause)
    await tb.begin()
    dut.axpy.value = 1
    limit = (1 << (CONFIG.acc_bits - 1)) - 1
    for exponent in [*range(-40, 20), -128, 127]:
        length, mantissa = tb.rng.choice(LENGTHS), tb.rng.getrandbits(tb.rng.randint(0, 16))
        b, a = tb.vector(length), tb.vector(length)
        f = [tb.rng.randint(0, CONFIG.one) for _ in a]
        dut.mantissa.value, dut.exponent.value = mantissa, exponent
        tb.send(b, a, f)
        await tb.settle()
        bits = min(max(16 - exponent, 0), 47)
        wide = [sat(x - rshift(mantissa * y, bits), limit) for x, y in zip(b, a, strict=True)]
        tb.words.expect([{"word": w, "fprime": p, "last": int(i == length - 1)} for i, (w, p) in enumerate(zip(wide, f, strict=True))])
    assert not any(tb.seen.values())
