from unittest import mock

import pytest
from amaranth.lib.crc.catalog import CRC32_ISCSI

from backpulse.gateware.link import cobs, crc, frames
from cocotb_tests.runner import expect_failure, run_cocotb

TESTS = {"decoder": cobs.Decoder, "encoder": cobs.Encoder, "transmitter": frames.Transmitter, "receiver": frames.Receiver}


@pytest.mark.parametrize("name", TESTS)
def test_block(name):
    run_cocotb(TESTS[name](), "frames_bench", name=f"frames_{name}", block=name)


class CredulousDecoder(cobs.Decoder):
    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.o.p.good.eq(1)
        return m


class HastyEncoder(cobs.Encoder):
    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(1)
        return m


@pytest.mark.parametrize(("name", "component"), [("decoder", CredulousDecoder), ("encoder", HastyEncoder)])
def test_broken_cobs(name, component):
    expect_failure(component(), "frames_bench", name=f"broken_{name}", block=name)


@pytest.mark.parametrize("name", ["transmitter", "receiver"])
def test_broken_crc(name):
    with mock.patch.object(crc, "CRC32_ISO_HDLC", CRC32_ISCSI):
        expect_failure(TESTS[name](), "frames_bench", name=f"broken_{name}", block=name)


def test_broken_length_limit():
    with mock.patch.object(frames, "MAX_FRAME", 255):
        expect_failure(frames.Receiver(), "frames_bench", name="broken_length", block="receiver")
