"""Front end of the student kit: four rows and four columns on a Pmod DA4 and four Pmod AD1."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Array, Cat, Const, EnableInserter, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.firmware_py.registers import Cause
from backpulse.gateware.front_end import ad5628
from backpulse.gateware.front_end.spi import Shifter
from backpulse.gateware.front_end.student_pins import LINES, TIMES, StudentPins, Times
from backpulse.rtl.tile.analog.signature import FrontEndSignature

__all__ = ["Student"]

ADC_BITS = 12
ADC_WORD_BITS = 16
LAST = ad5628.CHANNELS - 1
"""The channel whose frame moves all channels."""


class Student(wiring.Component):
    """The front end: `FrontEndSignature` and pins. A sample is minus the converter's word, from its middle.

    When `on` rises: reset and reference of the DAC, all channels at the middle, a conversion that shows that
    the ADCs answer, all lines connected, `ready`. When it falls, `enable`, which connects the lines, is low
    in the same cycle; lines that `codes` would have open are at rest instead.

    There is no pin that is the gate: its edge sends a frame that moves all channels, so that lines follow a
    constant time later. What they move to is prepared by seven frames before: codes while the gate is low,
    when `loaded` is low again, and the middle while it is high. A pulse must be at least `width_min` long; a
    shorter one ends when the frames have been sent. A conversion takes all lines at the same time; an ADC
    whose word does not begin with four zeros sets `failed`.

    Parameters
    ----------
    clk_hz
        Frequency of the clock.
    divisor, adc_divisor
        Clock cycles of a bit of the DAC and of the ADCs, even. AD7476A take 20 MHz, AD5628 50 MHz.
    times
        How long the chips take.

    Raises
    ------
    ValueError
        If a divisor is odd.
    """

    def __init__(
        self, *, clk_hz: float, divisor: int = 2, adc_divisor: int = 4, times: Times = TIMES
    ) -> None:
        self._times, self._clk_hz, self._divisor = times, clk_hz, divisor
        self._inner = _Sequence(clk_hz=clk_hz, divisor=divisor, adc_divisor=adc_divisor, times=times)
        super().__init__({**FrontEndSignature().members, "pins": Out(StudentPins())})

    @property
    def width_min(self) -> int:
        """Fewest clock cycles of a pulse: those of eight frames, each with three half bits around."""
        return ad5628.CHANNELS * (self._divisor // 2 * (2 * ad5628.WORD_BITS + 3) + 4)

    def elaborate(self, platform) -> Module:
        m = Module()
        inner, pins = self._inner, self.pins
        # Off is the reset of all that follows, and after a failure it stands still.
        enabled = EnableInserter(self.failed == Cause.NONE)(inner)
        m.submodules.sequence = ResetInserter(~self.on)(enabled)
        for name in ("codes", "samples"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(inner, name))
        for name in ("sclk", "cs_dac_n", "sdi", "sclk_adc", "cs_adc_n"):
            m.d.comb += getattr(pins, name).eq(getattr(inner.pins, name))
        m.d.comb += [
            inner.pins.sdo.eq(pins.sdo),
            *(getattr(self, name).eq(getattr(inner, name)) for name in ("ready", "loaded", "failed")),
            *(getattr(inner, name).eq(getattr(self, name)) for name in ("convert", "sdo_delay", "gate")),
            pins.enable.eq(self.on & inner.pins.enable),
            self.closed.eq(pins.interlock),
        ]
        period = self._times.cycles("alive", self._clk_hz)
        alive = Signal(range(period))
        with m.If(self.on):
            m.d.sync += alive.eq(Mux(alive == period - 1, 0, alive + 1))
            with m.If(alive == period - 1):
                m.d.sync += pins.alive.eq(~pins.alive)
        return m


class _Sequence(wiring.Component):
    """What `Student` does while it is on; it is in reset while it is not."""

    def __init__(self, *, clk_hz: float, divisor: int, adc_divisor: int, times: Times) -> None:
        self._times = {name: times.cycles(name, clk_hz) for name in ("wake", "switch")}
        self._dac = Shifter(width=ad5628.WORD_BITS, lanes=1, inputs=1, chips=1, divisor=divisor)
        self._adc = Shifter(width=ADC_WORD_BITS, lanes=1, inputs=LINES, chips=1, divisor=adc_divisor)
        members = FrontEndSignature().members
        names = ("ready", "codes", "loaded", "gate", "convert", "samples", "failed", "sdo_delay")
        super().__init__({**{name: members[name] for name in names}, "pins": Out(StudentPins())})

    def elaborate(self, platform) -> Module:
        m = Module()
        pins = self.pins
        m.submodules.dac = dac = self._dac
        m.submodules.adc = adc = self._adc
        broken = Signal()
        probed = Signal()
        m.d.comb += [
            pins.sclk.eq(dac.sclk),
            pins.cs_dac_n.eq(dac.cs_n),
            pins.sdi.eq(dac.sdi),
            pins.sclk_adc.eq(adc.sclk),
            pins.cs_adc_n.eq(adc.cs_n),
            adc.sdo.eq(pins.sdo),
            adc.sdo_delay.eq(self.sdo_delay),
            broken.eq(self.failed != Cause.NONE),
        ]
        self._lines(m, broken, probed)
        self._samples(m, broken, probed)
        return m

    def _lines(self, m: Module, broken: Signal, probed: Signal) -> None:
        """Add what drives the lines."""
        pins, dac = self.pins, self._dac
        word = dac.words.payload
        codes = Signal(data.ArrayLayout(ad5628.BITS, LINES))
        line = Signal(range(LINES))
        code, shown = self.codes.payload.code, Signal(ad5628.BITS)
        dropped = CODE_BITS - ad5628.BITS
        largest = Signal()  # would be rounded to one too many
        setup = [
            ad5628.RESET,
            ad5628.REFERENCE_ON,
            ad5628.word(ad5628.Command.WRITE_UPDATE, ad5628.ALL, ad5628.MIDDLE),
        ]
        step = Signal(range(len(setup)))
        timer = Signal(range(max(self._times.values())))
        ended = Signal()
        moved = Signal()
        taken = Signal()
        m.d.comb += [
            largest.eq(code[dropped - 1 : -1].all() & ~code[-1]),
            shown.eq(Mux(largest, -1, (code >> dropped) + code[dropped - 1] + ad5628.MIDDLE)),
            ended.eq(timer == 0),
            moved.eq(dac.words.valid & dac.words.ready),
            taken.eq(self.codes.valid & self.codes.ready),
        ]
        m.d.sync += timer.eq(Mux(ended, 0, timer - 1))

        frame = Signal(ad5628.WORD_BITS)
        m.d.comb += [word.data[0].eq(frame), word.bits.eq(ad5628.WORD_BITS), word.last.eq(1)]

        def send(value: Value) -> None:
            m.d.comb += [dac.words.valid.eq(1), frame.eq(value)]

        def fill(value: Value) -> Value:
            return Cat(Const(0, 8), value, line, Const(0, 1), Const(ad5628.Command.WRITE, 4))

        def move(value: Value) -> Value:
            return Cat(Const(0, 8), value, Const(LAST, 4), Const(ad5628.Command.WRITE_UPDATE_ALL, 4))

        def wait(name: str, state: str) -> None:
            m.d.sync += timer.eq(self._times[name] - 1)
            m.next = state

        middle = Const(ad5628.MIDDLE, ad5628.BITS)
        with m.If(taken):
            m.d.sync += [
                codes[line].eq(Mux(self.codes.payload.open, middle, shown)),
                line.eq(line + 1),
            ]
        with m.FSM():
            with m.State("SETUP"):
                send(Array(setup)[step])
                with m.If(moved):
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == len(setup) - 1):
                        wait("wake", "WAKE")
            with m.State("WAKE"):
                with m.If(ended & probed):
                    m.d.sync += pins.enable.eq(1)
                    wait("switch", "SWITCH")
            with m.State("SWITCH"):
                with m.If(ended):
                    m.d.sync += self.ready.eq(1)
                    m.next = "LOW"
            with m.State("LOW"):
                m.d.comb += self.codes.ready.eq(~self.gate & ~broken)
                with m.If(taken):
                    m.d.sync += self.loaded.eq(0)
                    m.next = "TAKE"
                with m.Elif(self.gate & self.loaded):
                    m.next = "RISE"
            with m.State("TAKE"):
                m.d.comb += self.codes.ready.eq(~broken)
                with m.If(taken & self.codes.payload.last):
                    m.next = "CODES"
            with m.State("CODES"):
                send(fill(codes[line]))
                with m.If(moved):
                    m.d.sync += line.eq(line + 1)
                    with m.If(line == LAST - 1):
                        m.next = "CODES SENT"
            with m.State("CODES SENT"):
                with m.If(~dac.busy):
                    m.d.sync += [self.loaded.eq(1), line.eq(0)]
                    m.next = "LOW"
            with m.State("RISE"):
                send(move(codes[LAST]))
                with m.If(moved):
                    m.next = "MIDDLES"
            with m.State("MIDDLES"):
                send(fill(middle))
                with m.If(moved):
                    m.d.sync += line.eq(line + 1)
                    with m.If(line == LAST - 1):
                        m.next = "HIGH"
            with m.State("HIGH"):
                with m.If(~dac.busy & ~self.gate):
                    m.d.sync += self.loaded.eq(0)
                    m.next = "FALL"
            with m.State("FALL"):
                send(move(middle))
                with m.If(moved):
                    m.d.sync += line.eq(0)
                    m.next = "CODES"

    def _samples(self, m: Module, broken: Signal, probed: Signal) -> None:
        """Add what converts."""
        adc = self._adc
        word = adc.words.payload
        line = Signal(range(LINES))
        raw = Signal(ADC_BITS)
        zeros = Signal(LINES)
        turned = Signal(ADC_BITS)
        low = SAMPLE_BITS - ADC_BITS
        m.d.comb += [
            word.bits.eq(ADC_WORD_BITS),
            word.last.eq(1),
            *(zeros[i].eq(~adc.answers[i][ADC_BITS:].any()) for i in range(LINES)),
            raw.eq(Array(adc.answers[i][:ADC_BITS] for i in range(LINES))[line]),
            turned.eq((1 << ADC_BITS - 1) - raw),
            self.samples.payload.value.eq(
                Mux(raw == 0, (1 << SAMPLE_BITS - 1) - 1, Cat(Const(0, low), turned))
            ),
            self.samples.payload.over.eq((raw == 0) | raw.all()),
            self.samples.payload.last.eq(line == LINES - 1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += adc.words.valid.eq((self.convert & self.ready) | ~probed)
                with m.If(adc.words.valid & adc.words.ready):
                    m.next = "CONVERT"
            with m.State("CONVERT"):
                with m.If(adc.received):
                    m.d.sync += probed.eq(1)
                    with m.If(~zeros.all()):
                        m.d.sync += self.failed.eq(Cause.CONVERTER)
                    with m.If(probed):
                        m.next = "GIVE"
                    with m.Else():
                        m.next = "IDLE"
            with m.State("GIVE"):
                m.d.comb += self.samples.valid.eq(~broken)
                with m.If(self.samples.ready):
                    m.d.sync += line.eq(line + 1)
                    with m.If(self.samples.payload.last):
                        m.next = "IDLE"
