"""Benches of COBS and frames, in both directions, against firmware_py/framing.py. One test a component, chosen by the test."""

from binascii import crc32

import cocotb
from cobs import cobs

from backpulse.firmware_py.framing import MAX_FRAME, Deframer, Frame
from backpulse.gateware.link.cobs import DECODED, FRAME
from backpulse.gateware.link.frames import RECEIVED
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, pattern, sink_pause, start

LENGTHS = [1, 2, 3, 4, 59, 60, 127, 128, 243, 244]


def random_data(rng, length):
    """Bytes with many, few or no zeros."""
    zeros = rng.choice([0.0, 0.02, 0.5, 1.0])
    return bytes(0 if rng.random() < zeros else rng.randrange(1, 256) for _ in range(length))


def words(data, *, again=b""):
    """A frame's bytes for a FRAME stream, after `again`, the head of a frame that is given up."""
    whole = [{"data": b, "first": int(i == 0), "last": int(i == len(data) - 1)} for i, b in enumerate(data)]
    return [{"data": b, "first": int(i == 0), "last": 0} for i, b in enumerate(again)] + whole


async def settle(dut, source, sink):
    """Wait until nothing has come for a while."""
    await source.drain()
    count = -1
    while count != len(sink.words):
        count = len(sink.words)
        await cycles(dut, 700 if callable(sink.pause) else 1200)


async def setup(dut, i_layout, o_layout, source_pause, pause):
    source = Source(dut, "i", i_layout, pause=pattern(source_pause, 1))
    sink = Sink(dut, "o", o_layout, pause=sink_pause(pause, 2))
    await start(dut)
    return source, sink, generator(3)


PAUSES = {"source_pause": ["never", "bursts"], "pause": ["never", "often", "late"]}


@cocotb.test(timeout_time=20, timeout_unit="ms", skip=parameters()["block"] != "decoder")
@cocotb.parametrize(**PAUSES)
async def decoder(dut, source_pause, pause):
    """Random blocks, sound and not, give the bytes and the judgement of the golden decoder."""
    source, sink, rng = await setup(dut, 8, DECODED, source_pause, pause)
    want = []
    for n in range(60):
        encoded = cobs.encode(random_data(rng, rng.randrange(1, 30)))
        if n % 3 == 0:
            encoded = encoded[: rng.randrange(len(encoded)) + 1]
        elif n % 3 == 1:
            encoded = bytes(rng.randrange(1, 12) for _ in range(rng.randrange(1, 12)))
        source.send([*encoded, 0, *[0] * rng.randrange(3)])
        try:
            want.append(cobs.decode(encoded))
        except cobs.DecodeError:
            want.append(None)
    await settle(dut, source, sink)
    got, data = [], b""
    for word in sink.words:
        if word["end"]:
            got.append(data if word["good"] else None)
            data = b""
        else:
            data += bytes((word["data"],))
    assert got == want


@cocotb.test(timeout_time=20, timeout_unit="ms", skip=parameters()["block"] != "encoder")
@cocotb.parametrize(**PAUSES)
async def encoder(dut, source_pause, pause):
    """Frames of all kinds come out as the golden encoder makes them; a restarted one as if it had never begun."""
    source, sink, rng = await setup(dut, FRAME, 8, source_pause, pause)
    want = b""
    for length in [*LENGTHS, MAX_FRAME, *(rng.randrange(1, 40) for _ in range(10))]:
        data = random_data(rng, length)
        source.send(words(data, again=random_data(rng, rng.choice([0, 0, 1, 20]))))
        want += cobs.encode(data) + b"\0"
    await settle(dut, source, sink)
    sink.expect(list(want))


@cocotb.test(timeout_time=20, timeout_unit="ms", skip=parameters()["block"] != "transmitter")
@cocotb.parametrize(**PAUSES)
async def transmitter(dut, source_pause, pause):
    """Frames get their CRC and leave as the golden frame does."""
    source, sink, rng = await setup(dut, FRAME, 8, source_pause, pause)
    want = b""
    for length in [0, *LENGTHS, *(rng.randrange(40) for _ in range(10))]:
        frame = Frame(rng.randrange(256), rng.randrange(256), random_data(rng, length))
        source.send(words(bytes((frame.opcode, frame.seq)) + frame.payload, again=random_data(rng, rng.choice([0, 0, 1, 20]))))
        want += frame.encode()
    await settle(dut, source, sink)
    sink.expect(list(want))


def overlong(rng):
    """A frame that is sound but for its length, 251 to 270 bytes: some come round to a good one in 8 bits."""
    body = rng.randbytes(123) + b"\0" + rng.randbytes(rng.randrange(123, 143))
    return cobs.encode(body + crc32(body).to_bytes(4, "little")) + b"\0"


@cocotb.test(timeout_time=20, timeout_unit="ms", skip=parameters()["block"] != "receiver")
@cocotb.parametrize(**PAUSES)
async def receiver(dut, source_pause, pause):
    """Of good frames, damaged ones, too long and too short ones, and noise, exactly those pass that the golden deframer passes."""
    source, sink, rng = await setup(dut, 8, RECEIVED, source_pause, pause)
    line = b""
    for length in [0, *LENGTHS, *(rng.randrange(30) for _ in range(20))]:
        frame = Frame(rng.randrange(256), rng.randrange(256), random_data(rng, length)).encode()
        at = rng.randrange(len(frame))
        line += rng.choice(
            [
                frame,
                frame,
                b"\0" + frame[:at] + bytes((frame[at] ^ 1 << rng.randrange(8),)) + frame[at + 1 :] + b"\0",
                frame[:at] + frame[at + 1 :] + b"\0",
                cobs.encode(rng.randbytes(rng.randrange(6))) + b"\0",
                rng.randbytes(rng.randrange(300)).replace(b"\0", b"\1") + b"\0",
                overlong(rng),
            ]
        )
    source.send(line)
    want = [
        {"data": b, "last": int(i == len(f.payload) + 1)}
        for f in Deframer().feed(line)
        for i, b in enumerate(bytes((f.opcode, f.seq)) + f.payload)
    ]
    await settle(dut, source, sink)
    sink.expect(want)
