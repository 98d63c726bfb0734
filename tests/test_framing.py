import binascii
import random

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from backpulse.firmware_py import framing, stuffing
from backpulse.firmware_py.framing import Deframer, Frame

payloads = st.binary(max_size=framing.MAX_PAYLOAD)
long_payloads = st.builds(
    lambda seed, length, zeros: bytes(b * (r >= zeros) for b, r in zip(random.Random(seed).randbytes(length), draws(seed), strict=False)),
    st.integers(0, 9),
    st.sampled_from([245, 247, 248, 249, 253, 254, 255, 501, 507, 508, 509, 510, 2000, framing.LONG_PAYLOAD]),
    st.sampled_from([0, 0.001, 0.5, 1]),
)
"""Such as long frames have, around the lengths of blocks: without zeros, with few, with many, and zeros alone."""


def draws(seed):
    """Endless numbers from 0 to 1."""
    rng = random.Random(seed)
    return iter(rng.random, 2)


def encoded(data):
    """COBS as its authors tell it: a block up to each zero, or of 254 bytes, behind its length and one."""
    out, rest = b"", data + b"\0"
    while rest:
        end = min(rest.index(0), 254)
        out += bytes((end + 1,)) + rest[:end]
        rest = rest[end + (end < 254) :]
        if end == 254 and rest == b"\0":
            break  # the zero that was put behind
    return out


def decoded(data):
    """The same backwards, or None if a block runs past the end."""
    out, at = b"", 0
    while at < len(data):
        end = at + data[at]
        if end > len(data):
            return None
        out += data[at + 1 : end] + (b"\0" if data[at] < 255 and end < len(data) else b"")
        at = end
    return out


def whole(opcode, seq, payload):
    body = bytes((opcode, seq)) + payload
    return body + binascii.crc32(body).to_bytes(4, "little")


@given(st.integers(0, 255), st.integers(0, 255), payloads | long_payloads)
def test_frames_are_coded_as_cobs_is_defined(opcode, seq, payload):
    assert Frame(opcode, seq, payload).encode() == encoded(whole(opcode, seq, payload)) + b"\0"


@given(st.binary(min_size=1, max_size=300).filter(lambda b: 0 not in b))
def test_the_decoder_refuses_what_the_definition_refuses(data):
    """The bytes are noise as they are, and a frame once the definition finds something in them and the CRC is put behind."""
    assert Frame.decode(data) is None
    found = decoded(data)
    if found is not None and len(found) >= 2:
        frame = Frame(found[0], found[1], found[2:])
        assert Frame.decode(encoded(whole(*frame))) == frame


@given(st.integers(0, 255), st.integers(0, 255), payloads | long_payloads)
def test_frame_round_trip(opcode, seq, payload):
    frame = Frame(opcode, seq, payload)
    encoded = frame.encode()
    assert encoded.index(0) == len(encoded) - 1
    assert Frame.decode(encoded[:-1]) == frame
    body = cobs.decode(encoded[:-1])
    assert int.from_bytes(body[-4:], "little") == binascii.crc32(body[:-4])


@given(st.integers(0, 255), st.integers(0, 255), payloads | long_payloads, st.integers(0, 2**20))
def test_long_frames_are_coded_as_the_library_codes_them(opcode, seq, payload, seed):
    data = whole(opcode, seq, payload)
    code = cobs.encode(data)
    assert stuffing.encode(data) == code
    assert stuffing.decode(code) == data
    at = seed % len(code)
    for damaged in (code[:at], code[at:], code[:at] + bytes([1 + (code[at] + seed) % 255]) + code[at + 1 :]):
        try:
            want = cobs.decode(damaged)
        except cobs.DecodeError:
            with pytest.raises(cobs.DecodeError):
                stuffing.decode(damaged)
        else:
            assert stuffing.decode(damaged) == want


def test_longest_frame_has_no_code_byte_255():
    encoded = Frame(1, 1, b"\1" * framing.MAX_PAYLOAD).encode()
    assert len(encoded) == framing.MAX_FRAME + 2
    assert encoded[0] == framing.MAX_FRAME + 1 < 255


def test_too_long_payload_is_refused():
    with pytest.raises(ValueError, match="at most 16384 bytes, not 16385"):
        Frame(1, 1, bytes(16385)).encode()


@pytest.mark.parametrize("payload", [framing.MAX_PAYLOAD, framing.LONG_PAYLOAD])
@pytest.mark.parametrize("byte", [b"\0", b"\1"])
def test_a_deframer_takes_frames_up_to_its_longest(payload, byte):
    deframer = Deframer(payload)
    longest = Frame(1, 1, byte * payload)
    assert deframer.feed(longest.encode()) == [longest]
    assert deframer.feed(encoded(whole(1, 1, byte * (payload + 1))) + b"\0") == []
    assert deframer.damaged == 1


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
