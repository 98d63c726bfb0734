"""Models of the chips of a front end on the nets of its circuit, with numbers of lines behind."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from collections.abc import Callable
from pathlib import Path

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.gateware.front_end import slice_circuit, student_circuit
from backpulse.gateware.front_end.circuit import Circuit
from backpulse.gateware.front_end.interlock_circuit import DETECTOR, GATES
from backpulse.gateware.front_end.slice_pins import SIDE, SlicePins
from backpulse.gateware.front_end.student_pins import LINES, StudentPins

__all__ = ["SLICE_VERILOG", "STUDENT_VERILOG", "SliceChips", "StudentChips"]

_FOLDER = Path(__file__).parent
SLICE_VERILOG = tuple(_FOLDER / f"{name}.v" for name in ("dac81416", "ads8686s", "adgs1414d"))
"""Files of what `SliceChips` is made of."""
STUDENT_VERILOG = tuple(_FOLDER / f"{name}.v" for name in ("ad5628", "ad7476a"))
"""Files of what `StudentChips` is made of."""

_SUPPLIES = {"GND": 0, "3V3": 1}


class _Chips(wiring.Component):
    """What chips of all kinds have: nets, the interlock's gates, and lines found by following nets.

    Members
    -------
    pins
        To the FPGA; `interlock` is that of the component.
    drive
        Voltages of the DACs' channels, in the order of the array's pins. Numbers of voltages are codes: a
        converter's full scale is theirs.
    connected
        Lines whose switches are closed.
    sampling
        Strobe: `sense` is taken in the next cycle.
    sense
        Voltages at the ADCs' inputs. An amplifier goes down when its line sinks a current.
    interlock
        The key is closed.
    fault
        As the kind says.
    """

    def __init__(
        self, circuit: Circuit, pins: wiring.Signature, *, faults: int, patience: int | None
    ) -> None:
        self.circuit, self._pins, self._patience = circuit, pins, patience
        self.lines = [pin for pin in circuit.pins("J2") if pin != "GND"]
        self.lines.sort(key=lambda pin: ("RC".index(pin[0]), int(pin[1:])))
        count = len(self.lines)
        super().__init__(
            {
                "pins": In(pins),
                "drive": Out(data.ArrayLayout(CODE_BITS, count)),
                "connected": Out(count),
                "sampling": Out(1),
                "sense": In(data.ArrayLayout(SAMPLE_BITS, count)),
                "interlock": In(1, init=1),
                "fault": In(faults),
            }
        )

    def nets(self, m: Module) -> dict[str, Value]:
        """Return the nets' signals, with what the FPGA and the interlock put on them."""
        pins = self.pins
        nets: dict[str, Value] = {net: Signal(name=f"net_{net}") for net in self.circuit.nets}
        nets |= {net: Const(level) for net, level in _SUPPLIES.items()}
        for name, member in self._pins.members.items():
            pin = getattr(pins, name)
            for i in range(len(pin)):
                net = nets[name if name in nets else f"{name}_{i}"]
                if name == "interlock":
                    m.d.comb += [net.eq(self.interlock), pin.eq(net)]
                elif member.flow == Out:
                    m.d.comb += net.eq(pin[i])
                else:
                    m.d.comb += pin[i].eq(net)
        for ref in self.circuit.of(GATES):
            found = self.circuit.pins(ref)
            for gate in range(1, 5):
                if f"{gate}Y" in found:
                    a, b, y = (nets[found[f"{gate}{pin}"]] for pin in "ABY")
                    m.d.comb += y.eq(a & b)
        for ref in self.circuit.of(DETECTOR):
            found = self.circuit.pins(ref)
            alive, out = nets[found["1B"]], nets[found["1Q"]]
            if self._patience is None:
                m.d.comb += out.eq(1)
                continue
            before = Signal()
            left = Signal(range(self._patience + 1))
            m.d.sync += before.eq(alive)
            with m.If(~nets[found["1CLR"]]):
                m.d.sync += left.eq(0)
            with m.Elif(alive & ~before):
                m.d.sync += left.eq(self._patience)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
            m.d.comb += out.eq(left != 0)
        return nets

    def beyond(self, net: str, kind: str, pin: Callable[[str], bool]) -> tuple[str, str]:
        """Return the only part of a kind, and its pin, that a net reaches."""
        found = [(r, p) for r, p in self.circuit.nets[net] if self.circuit.parts[r].value == kind and pin(p)]
        if len(found) != 1:
            raise ValueError(f"Net {net} of {self.circuit.name} must reach one {kind}, not {len(found)}")
        return found[0]


class SliceChips(_Chips):
    """The chips of slices that lie side by side.

    Parameters
    ----------
    slices
        How many.
    clocks
        Clock cycles of a conversion of one pair of inputs.
    patience
        Clock cycles for which the detector of missing pulses waits; without, for ever.

    Members
    -------
    As `_Chips`, and
    fault
        Bit 0: the last slice's BUSY stays high once it has risen; bit 1: its SDOA is open; bit 2: its SDOB is
        flipped; bit 3: the first slice's SDI is flipped; bit 4: the last slice's BUSY is open.
    """

    def __init__(
        self, slices: int, *, clocks: int = 4, patience: int | None = None, circuit: Circuit | None = None
    ) -> None:
        self._slices, self._clocks = slices, clocks
        circuit = circuit or slice_circuit.slices_circuit(slices)
        super().__init__(circuit, SlicePins(slices), faults=5, patience=patience)

    def elaborate(self, platform) -> Module:
        m = Module()
        c, pins = self.circuit, self.pins
        nets = self.nets(m)
        last = self._slices - 1
        stuck = Signal()
        before = Signal()
        m.d.sync += before.eq(pins.convst)
        m.d.comb += self.sampling.eq(pins.convst & ~before)
        with m.If(pins.busy[last]):
            m.d.sync += stuck.eq(self.fault[0])

        drives = {ref: Signal(2 * SIDE * CODE_BITS, name=f"drive_{ref}") for ref in c.of(slice_circuit.DAC)}
        senses = {ref: Signal(2 * SIDE * SAMPLE_BITS, name=f"sense_{ref}") for ref in c.of(slice_circuit.ADC)}
        closed = {ref: Signal(SIDE, name=f"closed_{ref}") for ref in c.of(slice_circuit.SWITCH)}
        for i, line in enumerate(self.lines):
            switch, drain = self.beyond(
                c.pins(slice_circuit.ARRAY)[line], slice_circuit.SWITCH, lambda p: p[0] == "D"
            )
            held = c.pins(switch)[f"S{drain[1:]}"]
            amplifier, minus = self.beyond(held, slice_circuit.AMPLIFIER, lambda p: p[-1] == "-")
            letter = minus[2]
            set_, out = (c.pins(amplifier)[pin] for pin in (f"IN{letter}+", f"OUT{letter}"))
            dac, channel = self.beyond(set_, slice_circuit.DAC, lambda p: p.startswith("OUT"))
            adc, input_ = self.beyond(out, slice_circuit.ADC, lambda p: p.startswith("AIN_"))
            place = int(input_[4]) + SIDE * "AB".index(input_[5])
            m.d.comb += [
                self.drive[i].eq(drives[dac].word_select(int(channel[3:]), CODE_BITS)),
                self.connected[i].eq(closed[switch][int(drain[1:]) - 1]),
                senses[adc].word_select(place, SAMPLE_BITS).eq(self.sense[i]),
            ]

        alarms: dict[str, list[Value]] = {}
        first = True
        for ref, drive in drives.items():
            p = {pin: nets[net] for pin, net in c.pins(ref).items() if net in nets}
            alarm = Signal(name=f"alarm_{ref}")
            alarms.setdefault(c.pins(ref)["ALMOUT"], []).append(alarm)
            m.submodules[ref] = Instance(
                "backpulse_dac81416",
                i_cs_n=p["CS"],
                i_sclk=p["SCLK"],
                i_sdi=p["SDI"] ^ (self.fault[3] if first else 0),
                i_ldac_n=p["LDAC"],
                i_clr_n=p["CLR"],
                i_reset_n=p["RESET"],
                i_toggle=p["TOGGLE0"],
                o_alarm_n=alarm,
                o_drive=drive,
            )
            first = False
        # Open drains.
        m.d.comb += [nets[net].eq(Cat(its).all()) for net, its in alarms.items()]
        for s, (ref, sense) in enumerate(senses.items()):
            p = {pin: nets[net] for pin, net in c.pins(ref).items() if net in nets}
            wrong = self.fault if s == last else Const(0, len(self.fault))
            sdo_a = Signal(name=f"sdo_a_{ref}")
            sdo_b = Signal(name=f"sdo_b_{ref}")
            busy = Signal(name=f"busy_{ref}")
            m.d.comb += [
                p["SDOA"].eq(sdo_a & ~wrong[1]),
                p["SDOB"].eq(sdo_b ^ wrong[2]),
                p["BUSY"].eq((busy | (stuck & (s == last))) & ~wrong[4]),
            ]
            m.submodules[ref] = Instance(
                "backpulse_ads8686s",
                p_CONVERSION=self._clocks,
                i_clk=ClockSignal(),
                i_cs_n=p["CS"],
                i_sclk=p["SCLK/RD"],
                i_sdi=p["SDI"],
                i_convst=p["CONVST"],
                i_reset_n=p["RESET"],
                i_sense=sense,
                o_sdo_a=sdo_a,
                o_sdo_b=sdo_b,
                o_busy=busy,
            )
        for ref, switch in closed.items():
            p = {pin: nets[net] for pin, net in c.pins(ref).items() if net in nets}
            m.submodules[ref] = Instance(
                "backpulse_adgs1414d",
                i_cs_n=p["CS"],
                i_sclk=p["SCLK"],
                i_sdi=p["SDI"],
                i_vl=p["RESET/VL"],
                o_sdo=p.get("SDO", Signal(name=f"end_{ref}")),
                o_closed=switch,
            )
        return m


class StudentChips(_Chips):
    """The chips of the student kit. A line's rest is the middle of the DAC's range.

    Parameters
    ----------
    patience
        As of `SliceChips`.

    Members
    -------
    As `_Chips`, and
    fault
        Bit 0: the last line's answer is open, which reads as ones.
    """

    def __init__(self, *, patience: int | None = None, circuit: Circuit | None = None) -> None:
        super().__init__(
            circuit or student_circuit.student_circuit(), StudentPins(), faults=1, patience=patience
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c, pins = self.circuit, self.pins
        nets = self.nets(m)
        selected = Signal()
        m.d.sync += selected.eq(~pins.cs_adc_n)
        m.d.comb += self.sampling.eq(~pins.cs_adc_n & ~selected)
        (dac,) = c.of(student_circuit.DAC)
        p = {pin: nets[net] for pin, net in c.pins(dac).items()}
        drive = Signal(LINES * CODE_BITS)
        m.submodules[dac] = Instance(
            "backpulse_ad5628", i_cs_n=p["SYNC"], i_sclk=p["SCLK"], i_sdi=p["DIN"], o_drive=drive
        )
        for i, line in enumerate(self.lines):
            switch, far = self.beyond(
                c.pins(student_circuit.ARRAY)[line], student_circuit.SWITCH, lambda p: p[-1] == "Z"
            )
            near, control = (c.pins(switch)[f"{far[0]}{pin}"] for pin in "YE")
            amplifier, minus = self.beyond(near, student_circuit.AMPLIFIER, lambda p: p[-1] == "-")
            set_, out = (c.pins(amplifier)[pin] for pin in (f"IN{minus[2]}+", f"OUT{minus[2]}"))
            _, channel = self.beyond(set_, student_circuit.DAC, lambda p: p.startswith("VOUT"))
            adc, input_ = self.beyond(out, student_circuit.ADC, lambda p: p[0] == "A")
            q = {pin: nets[net] for pin, net in c.pins(adc).items()}
            answer = Signal(name=f"answer_{line}")
            open_ = self.fault[0] if i == LINES - 1 else 0
            m.d.comb += [
                self.drive[i].eq(drive.word_select("ABCDEFGH".index(channel[-1]), CODE_BITS)),
                self.connected[i].eq(nets[control]),
                q[f"D{input_[1]}"].eq(answer | open_),
            ]
            m.submodules[f"{adc}_{input_}"] = Instance(
                "backpulse_ad7476a",
                i_clk=ClockSignal(),
                i_cs_n=q["CS"],
                i_sclk=q["SCLK"],
                i_sense=self.sense[i],
                o_sdo=answer,
            )
        return m
