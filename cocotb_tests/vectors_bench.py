"""Bench of vector memory with a reading port and the magnitudes: runs of elements and bit lengths, against plain lists."""

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.lanes import bit_length
from backpulse.rtl.lib.ports import Operand, element_layout
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, cycle, cycles, generator, pack, sink_pause, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=PARAMETERS["block"] != "port")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def runs(dut, pause):
    """One or two runs come out in order, with bytes shifted and the bias where it belongs."""
    rng = generator(1)
    for name in ("run", "clear", "w_en", "use_second"):
        getattr(dut, name).value = 0
    host = HostPortDriver(dut)
    sink = Sink(dut, "o", element_layout(CONFIG), pause=sink_pause(pause, 2))
    await start(dut)
    words = [rng.randint(-(1 << (CONFIG.acc_bits - 1)), (1 << (CONFIG.acc_bits - 1)) - 1) for _ in range(CONFIG.vector_words)]
    for address, word in enumerate(words):
        await host.write(address, word)
    assert (await host.access(CONFIG.vector_words))[1], "an address beyond the memory is an error"
    for _ in range(40):
        expected = []
        two = rng.random() < 0.5
        for second in range(1 + two):
            count = rng.choice((1, 2, 3, 9))
            operand = {
                "addr": rng.randrange(CONFIG.vector_words - count),
                "count": count,
                "bias_at": rng.randrange(count + 2),
                "bias": rng.getrandbits(1),
                "sample": int(rng.random() < 0.3),
            }
            getattr(dut, f"operand__{second}").value = pack(Operand(CONFIG), operand)
            for i in range(count):
                # The bench's sample page holds the address itself, as a signed byte.
                byte = (operand["addr"] + i + 128) % 256 - 128
                byte *= operand["addr"] + i < PARAMETERS["sample_bytes"]
                word = byte << CONFIG.drive_shift if operand["sample"] else words[operand["addr"] + i]
                bias = operand["bias"] and i == operand["bias_at"]
                expected.append({"word": CONFIG.unit if bias else word, "second": second, "last": int(i == count - 1)})
        dut.use_second.value, dut.run.value = int(two), 1
        begun = cycle()
        await sink.wait(len(expected))
        if pause == "never":
            assert sink.times == list(range(begun + 2, begun + 2 + len(expected))), "one element a cycle, the first after two"
        sink.expect(expected)
        dut.clear.value = 1
        await FallingEdge(dut.clk)
        dut.run.value, dut.clear.value = 0, 0
        await cycles(dut, rng.randint(0, 3))


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=PARAMETERS["block"] != "port")
async def writes_are_seen(dut):
    """A word that is written while it is read comes out new."""
    for name in ("run", "clear", "w_en", "use_second"):
        getattr(dut, name).value = 0
    HostPortDriver(dut)
    sink = Sink(dut, "o", element_layout(CONFIG))
    await start(dut)
    dut.operand__0.value = pack(Operand(CONFIG), {"addr": 5, "count": 1, "bias_at": 0, "bias": 0, "sample": 0})
    dut.run.value, dut.w_en.value, dut.w_addr.value, dut.w_data.value = 1, 1, 5, 77
    await FallingEdge(dut.clk)
    dut.w_en.value = 0
    await sink.wait(1)
    sink.expect([{"word": 77, "second": 0, "last": 1}])


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=PARAMETERS["block"] != "magnitudes")
async def magnitudes(dut):
    """Magnitudes of vectors written whole and in parts; the last word comes in the first cycle of the next instruction."""
    rng = generator(3)
    for name in ("begin", "lookup", "sample", "target", "writes", "anew", "bias", "word", "w_en"):
        getattr(dut, name).value = 0
    await start(dut)
    masks = [0] * CONFIG.vectors
    pending: int | None = None
    for _ in range(300):
        target, lookup = rng.randrange(6), rng.randrange(6)
        writes, anew, bias, sample = rng.random() < 0.8, rng.random() < 0.5, rng.getrandbits(1), int(rng.random() < 0.1)
        dut.target.value, dut.lookup.value, dut.writes.value = target, lookup, int(writes)
        dut.anew.value, dut.bias.value, dut.sample.value = int(anew), bias, sample
        dut.begin.value = 1
        dut.w_en.value, dut.word.value = int(pending is not None), pending or 0
        await FallingEdge(dut.clk)
        dut.begin.value, dut.w_en.value = 0, 0
        await cycles(dut, 2)
        expected = CONFIG.vector_frac if sample else bit_length(masks[lookup])
        assert int(dut.magnitude.value) == expected, f"magnitude of vector {lookup}"
        pending = None
        if writes:
            if anew:
                masks[target] = CONFIG.unit if bias else 0
            values = [rng.choice((-1, 1)) * rng.getrandbits(rng.randint(0, CONFIG.vector_bits - 1)) for _ in range(rng.randint(1, 3))]
            for value in values:
                masks[target] |= abs(value)
            masks[target] = (1 << bit_length(masks[target])) - 1
            for value in values[:-1]:
                await FallingEdge(dut.clk)
                dut.w_en.value, dut.word.value = 1, value
            pending = values[-1]
        await FallingEdge(dut.clk)
        dut.w_en.value = 0
        await cycles(dut, 3)
