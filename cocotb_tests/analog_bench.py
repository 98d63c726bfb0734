"""Bench of the analog tile: reads, pulses and direct operations, bit for bit."""

import cocotb

from backpulse.firmware_py.analog import Direct
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ArrayWord
from cocotb_tests.analog_tb import CODE_LIMIT, PARAMETERS, READ_CODE_LIMIT, TB


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def reads(dut, pause):
    """Codes of each phase and sense words are those of the formulas; some are clamped, some are not."""
    tb = TB(dut, pause=pause)
    await tb.begin()
    words = []
    for i in range(PARAMETERS.get("reads", 48)):
        tb.front.room = i % 3 != 0
        command = tb.command([Op.READ, Op.READT][i % 2], profile=i // 2 % 6, whole=i % 5 == 0)
        words += await tb.read(command, tb.drives(command))
    inside = [word for word in words if not word["over"]]
    assert len(words) > len(inside) > len(words) // 4, f"{len(inside)} of {len(words)} sense words are not clamped"
    assert len({word["value"] for word in inside}) > len(inside) // 3


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def pulses(dut, pause):
    """Pulses come row by row, up before down, slot by slot, with the right codes, width and gap; all are counted."""
    tb = TB(dut, pause=pause)
    await tb.begin()
    given = 0
    for i in range(PARAMETERS.get("pulses", 18)):
        tb.front.room = i % 3 != 0
        command = tb.command(Op.PULSE, whole=i % 4 == 0)
        given += await tb.pulse(command, tb.rows_of_counts(command, tb.rng.choice([1, 3, 6])))
    assert given > 60


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def direct(dut):
    """Direct codes are driven as they are but for trim and limit; samples are added up, and pulses given."""
    tb = TB(dut)
    await tb.begin()
    for i in range(8):
        settings, profile = tb.settings(), i % 6
        await tb.direct(Direct.MEASURE, profile, 0, settings)
        (drive,) = tb.front.drives
        assert drive.codes == tb.model.direct_codes(settings, READ_CODE_LIMIT)
        number = 1 << tb.model.profiles[profile].averages_log2
        seen = [tb.front.lines.samples(drive.codes, k) for k in range(number)]
        expected = [(sum(value for value, _ in line), any(rail for _, rail in line)) for line in zip(*seen, strict=True)]
        assert await tb.sums() == expected
        await tb.direct(Direct.PULSE, profile, i, settings)
        codes = tb.model.direct_codes(settings, CODE_LIMIT)
        assert [(d.codes, d.width) for d in tb.front.drives] == [(codes, tb.model.profiles[profile].width)] * i
    assert await tb.get(ArrayWord.PULSES) == sum(range(8))
