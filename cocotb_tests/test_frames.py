"""COBS and frames in both directions against the golden framing; broken ones must be noticed."""

from unittest import mock

import pytest
from amaranth.lib.crc.catalog import CRC32_ISCSI

from backpulse.gateware.link import cobs, crc, frames
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb


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


WRONG_CRC = mock.patch.object(crc, "CRC32_ISO_HDLC", CRC32_ISCSI)
SHORT = mock.patch.object(frames, "MAX_FRAME", 255)
BLOCKS = {
    "decoder": Variants(cobs.Decoder(), {"credulous": CredulousDecoder()}),
    "encoder": Variants(cobs.Encoder(), {"hasty": HastyEncoder()}),
    "transmitter": Variants(frames.Transmitter(), {"crc": (frames.Transmitter, WRONG_CRC)}),
    "receiver": Variants(frames.Receiver(), {"crc": (frames.Receiver, WRONG_CRC), "length": (frames.Receiver, SHORT)}),
}


def _run(run, block, variant):
    run(BLOCKS[block], "frames_bench", name=f"frames_{block}", block=block, mutant=BLOCKS[block].number(variant))


@pytest.mark.parametrize("block", BLOCKS)
def test_block(block):
    _run(run_cocotb, block, "none")


@pytest.mark.parametrize(("block", "variant"), [("decoder", "credulous"), ("encoder", "hasty")])
def test_broken_cobs(block, variant):
    _run(expect_failure, block, variant)


@pytest.mark.parametrize("block", ["transmitter", "receiver"])
def test_broken_crc(block):
    _run(expect_failure, block, "crc")


def test_broken_length_limit():
    _run(expect_failure, "receiver", "length")
