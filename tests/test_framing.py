import binascii
import random

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from backpulse.firmware_py import framing
from backpulse.firmware_py.framing import Deframer, Frame

payloads = st.binary(max_size=framing.MAX_PAYLOAD)


@given(st.binary(max_size=framing.MAX_FRAME))
def test_cobs_is_that_of_the_world(data):
    assert framing.cobs_encode(data) == cobs.encode(data)


@given(st.binary(min_size=1, max_size=300).filter(lambda b: 0 not in b and 255 not in b))
def test_cobs_decoder_refuses_what_the_world_refuses(data):
    try:
        want = cobs.decode(data)
    except cobs.DecodeError:
        want = None
    assert framing.cobs_decode(data) == want


@given(st.integers(0, 255), st.integers(0, 255), payloads)
def test_frame_round_trip(opcode, seq, payload):
    frame = Frame(opcode, seq, payload)
    encoded = frame.encode()
    assert encoded.index(0) == len(encoded) - 1
    assert Frame.decode(encoded[:-1]) == frame
    body = cobs.decode(encoded[:-1])
    assert int.from_bytes(body[-4:], "little") == binascii.crc32(body[:-4])


def test_longest_frame_has_no_code_byte_255():
    encoded = Frame(1, 1, b"\1" * framing.MAX_PAYLOAD).encode()
    assert len(encoded) == framing.MAX_FRAME + 2
    assert encoded[0] == framing.MAX_FRAME + 1 < 255


def test_too_long_payload_is_refused():
    with pytest.raises(ValueError, match="at most 244 bytes, not 245"):
        Frame(1, 1, bytes(245)).encode()


@settings(max_examples=200)
@given(payloads, st.integers(0, 2**32), st.data())
def test_any_damage_is_seen(payload, seed, data):
    encoded = bytearray(Frame(3, 7, payload).encode()[:-1])
    at = data.draw(st.integers(0, len(encoded) - 1))
    match random.Random(seed).randrange(3):
        case 0:
            encoded[at] ^= 1 << seed % 8
        case 1:
            del encoded[at]
        case 2:
            encoded.insert(at, encoded[at])
    frames = Deframer().feed(bytes(encoded) + b"\0")
    assert frames == []


@given(st.lists(payloads, max_size=4), st.integers(1, 50))
def test_deframer_does_not_care_how_bytes_arrive(payloads, size):
    frames = [Frame(2, i, p) for i, p in enumerate(payloads)]
    line = b"\0\0".join(f.encode() for f in frames)
    deframer = Deframer()
    assert [f for at in range(0, len(line), size) for f in deframer.feed(line[at : at + size])] == frames
    assert deframer.damaged == 0


def test_deframer_forgets_endless_noise_and_goes_on():
    deframer = Deframer()
    for _ in range(100):
        assert deframer.feed(b"\xaa" * 1000) == []
    assert len(deframer._bytes) <= framing.MAX_FRAME + 2
    assert deframer.feed(b"\0" + Frame(1, 2, b"x").encode()) == [Frame(1, 2, b"x")]
    assert deframer.damaged == 1
