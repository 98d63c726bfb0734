"""Bench of the two ends of a read: drives of vector words, words of sense words, against the golden arithmetic."""

import cocotb
from amaranth.hdl import signed

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.formats import sat, shift
from backpulse.firmware_py.isa import SCALE_LOG2_MAX
from backpulse.rtl.lib.ports import element_layout
from backpulse.rtl.tile.signature import sense_layout
from backpulse.rtl.units.activation import derivative_layout, word_layout
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, pattern, sink_pause, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
PAUSES = PARAMETERS["pauses"]
SHIFTS = range(CONFIG.range_min, CONFIG.range_max + 1)


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=PARAMETERS["block"] != "driver")
@cocotb.parametrize(pause=PAUSES)
async def drives(dut, pause):
    """Every auto-range shift: rounding, saturation, and what of it counts."""
    rng = generator(1)
    dut.clear.value, dut.shift.value = 0, 0
    source = Source(dut, "i", element_layout(CONFIG), pause=pattern(pause, 2))
    sink = Sink(dut, "o", signed(CONFIG.drive_bits), pause=sink_pause(pause, 3))
    clamped = [0]

    async def watch():
        while True:
            await cycles(dut)
            clamped[0] += int(dut.saturated.value)

    await start(dut)
    for s in SHIFTS:
        dut.shift.value = s
        words = [rng.choice((-1, 1)) * rng.getrandbits(rng.randint(1, CONFIG.vector_bits - 1)) for _ in range(60)]
        words += [CONFIG.vector_max, -CONFIG.vector_max, 0, CONFIG.unit, CONFIG.one]
        wide = [shift(w, s - CONFIG.drive_shift) for w in words]
        clamped[0] = 0
        task = cocotb.start_soon(watch()) if pause == "never" else None
        source.send({"word": w, "second": 0, "last": 0} for w in words)
        await sink.wait(len(words))
        sink.expect([sat(w, CONFIG.drive_max) for w in wide])
        if task:
            await cycles(dut, 2)
            task.cancel()
            assert clamped[0] == sum(abs(w) > CONFIG.drive_max + 1 for w in wide), f"clamped words at shift {s}"


@cocotb.test(timeout_time=5, timeout_unit="ms", skip=PARAMETERS["block"] != "receiver")
@cocotb.parametrize(pause=PAUSES)
async def receives(dut, pause):
    """Every shift, weight scale and direction; with and without partial sums and derivatives."""
    rng = generator(4)
    for name in ("clear", "shift", "scale_log2", "backward", "accumulate", "hadamard"):
        getattr(dut, name).value = 0
    sense = Source(dut, "i_sense", sense_layout(CONFIG), pause=pattern(pause, 5))
    partial = Source(dut, "i_partial", element_layout(CONFIG), pause=pattern(pause, 6))
    derivative = Source(dut, "i_derivative", derivative_layout(CONFIG), pause=pattern(pause, 7))
    sink = Sink(dut, "o", word_layout(CONFIG), pause=sink_pause(pause, 8))
    await start(dut)
    for s in SHIFTS:
        for _ in range(8):
            scale, backward, accumulate, hadamard = (
                rng.randint(0, SCALE_LOG2_MAX),
                rng.getrandbits(1),
                rng.getrandbits(1),
                rng.getrandbits(1),
            )
            dut.shift.value, dut.scale_log2.value = s, scale
            dut.backward.value, dut.accumulate.value, dut.hadamard.value = backward, accumulate, hadamard
            await cycles(dut, 2)
            k = (CONFIG.backward_shift if backward else CONFIG.forward_shift) + scale - s
            values = [CONFIG.sense_max, -CONFIG.sense_max, 0] + [rng.randint(-CONFIG.sense_max, CONFIG.sense_max) for _ in range(5)]
            sums, slopes = [rng.randint(-1000, 1000) for _ in values], [rng.randint(0, CONFIG.one) for _ in values]
            top = len(values) - 1
            sense.send({"value": v, "over": 0, "last": i == top} for i, v in enumerate(values))
            if accumulate:
                partial.send({"word": w, "second": 1, "last": i == top} for i, w in enumerate(sums))
            if hadamard:
                derivative.send({"word": 0, "fprime": f, "last": i == top} for i, f in enumerate(slopes))
            await sink.wait(len(values))
            for i, got in enumerate(sink.words):
                word = shift(values[i], k) + (sums[i] if accumulate else 0)
                assert (got["word"], got["last"]) == (word, int(i == top)), f"shift {s}, scale {scale}, backward {backward}, word {i}"
                assert not hadamard or got["fprime"] == slopes[i]
            assert len(sink.words) == len(values)
            sink.words.clear()
