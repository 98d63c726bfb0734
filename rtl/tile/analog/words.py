"""The words of the ARRAY window from ARM on: arming in two steps, limits, and what the front end says."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.analog import ARM_FIRST, ARM_SECOND, CODE_BITS
from backpulse.firmware_py.registers import ARRAY_WORDS, ArrayWord, Window
from backpulse.rtl.tile.analog.timer import TIME_BITS
from backpulse.rtl.tile.signature import HostSignature, window_code

__all__ = ["ArrayWords"]

SETTINGS = {
    ArrayWord.LIMIT: TIME_BITS,
    ArrayWord.READ_LIMIT: TIME_BITS,
    ArrayWord.CODE_LIMIT: CODE_BITS - 1,
    ArrayWord.READ_CODE_LIMIT: CODE_BITS - 1,
    ArrayWord.SDO_DELAY: 4,
    ArrayWord.CALIBRATION: 32,
}
"""What the host sets, and its bits; all are zero after a reset: nothing is driven that nobody has allowed."""


class ArrayWords(wiring.Component):
    """Answers these words in the second cycle of a request, whatever the tile does; leads other windows on.

    All can be read, also those without a meaning, which are zero. Settings can be written while no command is
    executing; ARM at any time: whatever is written but ARM_FIRST and, right behind it and while no command is
    executing, ARM_SECOND, disarms.

    Parameters
    ----------
    constants
        Words that never change.

    Members
    -------
    bus
        ARRAY from ARM on, and the other windows.
    inner
        The other windows.
    idle
        No command is executing.
    arm, disarm
        Strobes: the two steps are done; drivers may not be on.
    armed, pulses, temperature
        What ARM, PULSES and TEMPERATURE read.
    limit, read_limit, code_limit, read_code_limit, sdo_delay, calibration
        The settings.
    """

    def __init__(self, constants: dict[ArrayWord, int]) -> None:
        self._constants = constants
        super().__init__(
            {
                "bus": In(HostSignature()),
                "inner": Out(HostSignature()),
                "idle": In(1),
                "arm": Out(1),
                "disarm": Out(1),
                "armed": In(1),
                "pulses": In(64),
                "temperature": In(16),
                **{word.name.lower(): Out(bits) for word, bits in SETTINGS.items()},
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, inner = self.bus, self.inner
        mine = Signal()
        first = Signal()
        ready = Signal()
        word = Signal(32)
        refused = Signal()
        half_armed = Signal()
        connect(m, flipped(bus), flipped(inner))
        m.d.comb += [
            mine.eq(bus.window == window_code(Window.ARRAY)),
            inner.request.eq(bus.request & ~mine),
            first.eq(bus.request & ~ready & mine),
        ]
        settings = {word: getattr(self, word.name.lower()) for word in SETTINGS}
        to_arm = bus.addr == ArrayWord.ARM
        sets = Signal()
        m.d.comb += sets.eq(sum(bus.addr == word for word in settings) != 0)
        words = {
            ArrayWord.ARM: self.armed,
            ArrayWord.PULSES: self.pulses[:32],
            ArrayWord.PULSES_HIGH: self.pulses[32:],
            ArrayWord.TEMPERATURE: self.temperature,
            **settings,
            **self._constants,
        }
        m.d.sync += [
            ready.eq(first),
            word.eq(0),
            refused.eq((bus.addr >= ARRAY_WORDS) | (bus.write & ~to_arm & ~(sets & self.idle))),
        ]
        with m.Switch(bus.addr[: (ARRAY_WORDS - 1).bit_length()]):
            for at, value in words.items():
                with m.Case(at):
                    m.d.sync += word.eq(value)
        with m.If(mine):
            m.d.comb += [bus.ack.eq(ready), bus.r_data.eq(word), bus.error.eq(refused)]
        for at, value in settings.items():
            with m.If(first & bus.write & self.idle & (bus.addr == at)):
                m.d.sync += value.eq(bus.w_data)

        # A write of anything else between the two steps undoes the first.
        writes_arm = first & bus.write & to_arm
        m.d.comb += [
            self.arm.eq(writes_arm & half_armed & self.idle & (bus.w_data == ARM_SECOND)),
            self.disarm.eq(writes_arm & ~self.arm),
        ]
        with m.If(bus.request & bus.write & (first | ~mine)):
            m.d.sync += half_armed.eq(writes_arm & (bus.w_data == ARM_FIRST))
        return m
