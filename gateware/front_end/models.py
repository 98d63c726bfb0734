"""Models of the chips of a front end, to be simulated with it: pins on one side, numbers of lines behind."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from pathlib import Path

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.gateware.front_end import student_pins
from backpulse.gateware.front_end.slice_pins import SIDE, SlicePins
from backpulse.gateware.front_end.student_pins import StudentPins

__all__ = ["SLICE_VERILOG", "STUDENT_VERILOG", "SliceChips", "StudentChips"]

_FOLDER = Path(__file__).parent
SLICE_VERILOG = tuple(_FOLDER / f"{name}.v" for name in ("dac81416", "ads8686s", "adgs1414d"))
"""Files of what `SliceChips` is made of."""
STUDENT_VERILOG = tuple(_FOLDER / f"{name}.v" for name in ("ad5628", "ad7476a"))
"""Files of what `StudentChips` is made of."""


class SliceChips(wiring.Component):
    """The chips of slices that lie side by side. Lines are in the order of `FrontEndSignature`.

    Numbers of voltages are codes: a converter's full scale is theirs. A voltage that is sensed is that at the
    amplifier's output, which goes down when a line sinks a current.

    Parameters
    ----------
    slices
        How many.
    clocks
        Clock cycles of a conversion of one pair of inputs.

    Members
    -------
    pins
        To the FPGA; `interlock` is that of the component.
    drive
        Voltages of the DACs' channels.
    connected
        Lines whose switches are closed.
    sampling
        Strobe: `sense` is taken in the next cycle.
    sense
        Voltages at the ADCs' inputs.
    interlock
        The interlock's circuit is closed.
    fault
        Bit 0: the last slice's BUSY stays high once it has risen; bit 1: its SDOA is open; bit 2: its SDOB is
        flipped; bit 3: the first slice's SDI is flipped; bit 4: the last slice's BUSY is open.
    """

    def __init__(self, slices: int, *, clocks: int = 4) -> None:
        self._slices, self._clocks = slices, clocks
        lines = 2 * SIDE * slices
        super().__init__(
            {
                "pins": In(SlicePins(slices)),
                "drive": Out(data.ArrayLayout(CODE_BITS, lines)),
                "connected": Out(lines),
                "sampling": Out(1),
                "sense": In(data.ArrayLayout(SAMPLE_BITS, lines)),
                "interlock": In(1, init=1),
                "fault": In(5),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        n, pins = self._slices, self.pins
        alarms = Signal(n)
        stuck = Signal()
        with m.If(pins.busy[-1]):
            m.d.sync += stuck.eq(self.fault[0])
        before = Signal()
        m.d.sync += before.eq(pins.convst)
        m.d.comb += self.sampling.eq(pins.convst & ~before)
        m.d.comb += [pins.alarm_n.eq(alarms.all()), pins.interlock.eq(self.interlock)]
        for s in range(n):
            last = s == n - 1
            lines = [half * SIDE * n + s * SIDE + k for half in range(2) for k in range(SIDE)]
            drive = Signal(2 * SIDE * CODE_BITS)
            sdi = Signal()
            sdo_a = Signal()
            sdo_b = Signal()
            busy = Signal()
            rows = Signal(SIDE)
            cols = Signal(SIDE)
            between = Signal()
            m.d.comb += [
                sdi.eq(pins.sdi[s] ^ (self.fault[3] & (s == 0))),
                pins.sdo_a[s].eq(sdo_a & ~(self.fault[1] & last)),
                pins.sdo_b[s].eq(sdo_b ^ (self.fault[2] & last)),
                pins.busy[s].eq((busy | (stuck & last)) & ~(self.fault[4] & last)),
            ]
            for k, line in enumerate(lines):
                m.d.comb += [
                    self.drive[line].eq(drive.word_select(k, CODE_BITS)),
                    self.connected[line].eq(Cat(rows, cols)[k]),
                ]
            m.submodules[f"dac_{s}"] = Instance(
                "backpulse_dac81416",
                i_cs_n=pins.cs_dac_n,
                i_sclk=pins.sclk,
                i_sdi=sdi,
                i_ldac_n=pins.ldac_n,
                i_clr_n=pins.clr_n,
                i_reset_n=pins.reset_n,
                i_toggle=pins.toggle,
                o_alarm_n=alarms[s],
                o_drive=drive,
            )
            m.submodules[f"adc_{s}"] = Instance(
                "backpulse_ads8686s",
                p_CONVERSION=self._clocks,
                i_clk=ClockSignal(),
                i_cs_n=pins.cs_adc_n,
                i_sclk=pins.sclk,
                i_sdi=sdi,
                i_convst=pins.convst,
                i_reset_n=pins.reset_n,
                i_sense=Cat(self.sense[line] for line in lines),
                o_sdo_a=sdo_a,
                o_sdo_b=sdo_b,
                o_busy=busy,
            )
            for which, (switch, data_in) in enumerate(((rows, sdi), (cols, between))):
                m.submodules[f"switch_{s}_{which}"] = Instance(
                    "backpulse_adgs1414d",
                    i_cs_n=pins.cs_switch_n,
                    i_sclk=pins.sclk,
                    i_sdi=data_in,
                    i_vl=pins.enable,
                    o_sdo=between if which == 0 else Signal(name="end"),
                    o_closed=switch,
                )
        return m


class StudentChips(wiring.Component):
    """The chips of the student kit, as `SliceChips`. A line's rest is the middle of the DAC's range.

    Members
    -------
    pins, drive, connected, sampling, sense, interlock
        As of `SliceChips`.
    fault
        Bit 0: the last line's answer is open, which reads as ones.
    """

    def __init__(self) -> None:
        lines = student_pins.LINES
        super().__init__(
            {
                "pins": In(StudentPins()),
                "drive": Out(data.ArrayLayout(CODE_BITS, lines)),
                "connected": Out(lines),
                "sampling": Out(1),
                "sense": In(data.ArrayLayout(SAMPLE_BITS, lines)),
                "interlock": In(1, init=1),
                "fault": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        pins, lines = self.pins, student_pins.LINES
        selected = Signal()
        answers = Signal(lines)
        m.d.sync += selected.eq(~pins.cs_adc_n)
        m.d.comb += [
            self.sampling.eq(~pins.cs_adc_n & ~selected),
            self.connected.eq(pins.enable.replicate(lines)),
            pins.interlock.eq(self.interlock),
            pins.sdo.eq(answers | self.fault << lines - 1),
        ]
        m.submodules.dac = Instance(
            "backpulse_ad5628",
            i_cs_n=pins.cs_dac_n,
            i_sclk=pins.sclk,
            i_sdi=pins.sdi,
            o_drive=self.drive.as_value(),
        )
        for line in range(lines):
            m.submodules[f"adc_{line}"] = Instance(
                "backpulse_ad7476a",
                i_clk=ClockSignal(),
                i_cs_n=pins.cs_adc_n,
                i_sclk=pins.sclk_adc,
                i_sense=self.sense[line],
                o_sdo=answers[line],
            )
        return m
