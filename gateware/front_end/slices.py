"""Front end of one, two or four slices: each has a DAC, an ADC and switches for eight rows and eight columns.

Slices lie side by side: clock, selects and strobes are common, data lines a slice's own, so that loading and
converting take as long for four as for one.
"""

# Over 400 lines: one sequencer serves converters and switches, which share their lines.
# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from enum import IntEnum

from amaranth.hdl import Array, Cat, Const, EnableInserter, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.firmware_py.registers import Cause
from backpulse.gateware.front_end import adgs1414d, ads8686s, dac81416
from backpulse.gateware.front_end.alive import add_alive
from backpulse.gateware.front_end.slice_pins import SIDE, SLICES, TIMES, SlicePins, Times
from backpulse.gateware.front_end.spi import Shifter
from backpulse.rtl.tile.analog.signature import FrontEndSignature

__all__ = ["Chip", "SliceSequence", "Slices"]

WORD_BITS = dac81416.WORD_BITS
"""Most bits of a frame, without its CRC."""


class Chip(IntEnum):
    """Selects."""

    DAC = 0
    ADC = 1
    SWITCH = 2


class Slices(wiring.Component):
    """The front end: `FrontEndSignature` and pins. Rows and columns are SIDE times as many as slices.

    Row and column `SIDE * s + k` are those of slice `s`. A sample is minus the converter's word: the
    amplifier of a line that sinks a current goes down.

    When `on` rises: reset, set-up of the converters, a conversion that shows that they answer, power of the
    switches, all lines connected at 0 V, `ready`. When it falls, `clr_n`, `toggle` and `enable` are low in
    the same cycle, and from the next on all converters are in reset.

    Codes are taken while `gate` is high too, and go out when it has fallen, in frames with a CRC, 16 of 32
    bits, then LDAC; after them, where lines are to be connected
    or not other than before, the switches, first those that open, then those that close, all at 0 V. `gate`
    moves `toggle` in the same cycle, but only when `loaded`. A conversion is a burst over all lines, a
    microsecond from one to the next; `samples` are given after their CRC has been looked at. A wrong CRC, a
    converter that does not answer, `busy` that does not rise or fall in time, or an alarm sets `failed`,
    after which nothing moves until `on` has fallen.

    Parameters
    ----------
    slices
        One of SLICES.
    clk_hz
        Frequency of the clock.
    divisor
        Clock cycles of a bit, even.
    dac_volts, adc_volts
        Ranges of the converters: full scale of codes, and of samples.
    times
        How long the chips take.

    Raises
    ------
    ValueError
        If there is no such number of slices, range or divisor.
    """

    def __init__(
        self,
        *,
        slices: int,
        clk_hz: float,
        divisor: int = 2,
        dac_volts: float = 5.0,
        adc_volts: float = 5.0,
        times: Times = TIMES,
    ) -> None:
        if slices not in SLICES:
            raise ValueError(f"Slices must be one of {', '.join(map(str, SLICES))}, not {slices}")
        self._times, self._clk_hz = times, clk_hz
        self._inner = SliceSequence(
            slices=slices,
            clk_hz=clk_hz,
            divisor=divisor,
            dac_volts=dac_volts,
            adc_volts=adc_volts,
            times=times,
        )
        super().__init__({**FrontEndSignature().members, "pins": Out(SlicePins(slices))})

    @property
    def width_min(self) -> int:
        """Fewest clock cycles of a pulse."""
        return self._times.cycles("pulse", self._clk_hz)

    def elaborate(self, platform) -> Module:
        m = Module()
        inner = self._inner
        # Off is the reset of all that follows, and after a failure it stands still.
        enabled = EnableInserter(self.failed == Cause.NONE)(inner)
        m.submodules.sequence = ResetInserter(~self.on)(enabled)
        for name in ("codes", "samples"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(inner, name))
        pins = self.pins
        own = ("toggle", "clr_n", "enable", "alive", "interlock")
        for name, member in pins.signature.members.items():
            if name not in own:
                outer, its = getattr(pins, name), getattr(inner.pins, name)
                m.d.comb += outer.eq(its) if member.flow == Out else its.eq(outer)
        m.d.comb += [
            *(getattr(self, name).eq(getattr(inner, name)) for name in ("ready", "loaded", "failed")),
            *(getattr(inner, name).eq(getattr(self, name)) for name in ("convert", "sdo_delay", "gate")),
            pins.clr_n.eq(self.on),
            pins.enable.eq(self.on & inner.pins.enable),
            pins.toggle.eq(self.on & inner.pins.toggle),
            self.closed.eq(pins.interlock),
        ]
        add_alive(m, pins.alive, on=self.on, cycles=self._times.cycles("alive", self._clk_hz))
        return m


class SliceSequence(wiring.Component):
    """What `Slices` does while it is on; it is in reset while it is not, and stands still after a failure.

    Parameters and members are those of `Slices`.
    """

    def __init__(
        self, *, slices: int, clk_hz: float, divisor: int, dac_volts: float, adc_volts: float, times: Times
    ) -> None:
        self._slices = slices
        self._setup = [
            *(
                (word, dac81416.WORD_BITS, Chip.DAC, check, latch)
                for word, check, latch in dac81416.setup(dac_volts)
            ),
            *(
                (word << WORD_BITS - ads8686s.WORD_BITS, ads8686s.WORD_BITS, Chip.ADC, False, False)
                for word in ads8686s.setup(adc_volts)
            ),
        ]
        self._times = {
            name: times.cycles(name, clk_hz)
            for name in ("reset", "wake", "switch_wake", "switch", "latch", "busy")
        }
        self._shifter = Shifter(
            width=WORD_BITS, lanes=slices, inputs=2 * slices, chips=len(Chip), divisor=divisor
        )
        members = FrontEndSignature().members
        names = ("ready", "codes", "loaded", "gate", "convert", "samples", "failed", "sdo_delay")
        super().__init__({**{name: members[name] for name in names}, "pins": Out(SlicePins(slices))})

    def elaborate(self, platform) -> Module:
        m = Module()
        n, pins = self._slices, self.pins
        lines = 2 * SIDE * n
        m.submodules.shifter = shifter = self._shifter
        word = shifter.words.payload
        m.d.comb += [
            shifter.sdo_delay.eq(self.sdo_delay),
            shifter.sdo.eq(Cat(pins.sdo_a, pins.sdo_b)),
            pins.sclk.eq(shifter.sclk),
            Cat(pins.cs_dac_n, pins.cs_adc_n, pins.cs_switch_n).eq(shifter.cs_n),
            pins.sdi.eq(shifter.sdi),
        ]

        # The lines' order: rows of all slices, columns of all.
        index = Signal(range(lines))
        at, slice_, half = index[:3], index[3:-1], index[-1]
        place = Cat(at, half)  # DAC's channel and switch in its slice

        code = Signal(data.ArrayLayout(CODE_BITS, n))
        channel = Signal(range(dac81416.CHANNELS))
        wanted = Signal(data.ArrayLayout(dac81416.CHANNELS, n))
        connected = Signal(data.ArrayLayout(dac81416.CHANNELS, n))
        taken = Signal()
        m.d.comb += taken.eq(self.codes.valid & self.codes.ready)
        for s in range(n):
            codes = Memory(shape=CODE_BITS, depth=dac81416.CHANNELS, init=[])
            m.submodules[f"codes_{s}"] = codes
            write = codes.write_port()
            read = codes.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(place),
                write.data.eq(self.codes.payload.code),
                write.en.eq(taken & (slice_ == s)),
                read.addr.eq(channel),
                code[s].eq(read.data),
            ]
            with m.If(write.en):
                m.d.sync += wanted[s].bit_select(place, 1).eq(~self.codes.payload.open)

        m.submodules.burst = burst = ads8686s.Burst(n)
        m.d.comb += [
            burst.bit.eq(shifter.bit),
            burst.bits.eq(shifter.bits),
            burst.received.eq(shifter.received),
            burst.answers.eq(shifter.answers),
            burst.pair.eq(at),
        ]
        raw = Signal(SAMPLE_BITS)
        rail = Signal()
        most = Const(1 << SAMPLE_BITS - 1, SAMPLE_BITS)
        m.d.comb += [
            raw.eq(Array(burst.results)[index[3:]]),
            rail.eq((raw == most) | (raw == ~most)),
            self.samples.payload.value.eq(Mux(raw == most, ~raw, -raw)),
            self.samples.payload.over.eq(rail),
            self.samples.payload.last.eq(index == lines - 1),
        ]

        seen = Signal(n)  # whose conversion has begun
        ended = Signal()
        timer = Signal(range(max(self._times.values())))
        m.d.comb += ended.eq(timer == 0)
        m.d.sync += timer.eq(Mux(ended, 0, timer - 1))

        def wait(name: str, state: str) -> None:
            m.d.sync += timer.eq(self._times[name] - 1)
            m.next = state

        def start() -> None:
            m.d.sync += [pins.convst.eq(1), seen.eq(0)]
            wait("busy", "STARTED")

        step_ = Signal(range(len(self._setup)))
        entries = data.StructLayout(
            {"word": WORD_BITS, "bits": range(WORD_BITS + 1), "chip": Chip, "check": 1, "latch": 1}
        )
        entry = Signal(entries)
        names = ("word", "bits", "chip", "check", "latch")
        table = [entries.const(dict(zip(names, line, strict=True))).as_value() for line in self._setup]
        m.d.comb += entry.eq(Array(table)[step_])

        def send(word_: object, *, bits: int, chip: Chip, check: int = 0, rising: int = 0) -> None:
            """Offer a frame of one word, the same on all lanes or a list."""
            each = word_ if isinstance(word_, list) else [word_] * n
            m.d.comb += [
                shifter.words.valid.eq(1),
                *(word.data[s].eq(each[s]) for s in range(n)),
                word.bits.eq(bits),
                word.chip.eq(chip),
                word.check.eq(check),
                word.rising.eq(rising),
                word.last.eq(1),
            ]

        def switches(values: list) -> None:
            # The last chip of the chain, with the columns, comes first.
            send([Cat(Const(0, SIDE), v) for v in values], bits=2 * SIDE, chip=Chip.SWITCH, rising=1)

        moved = Signal()  # the shifter took a word
        probing = Signal(init=1)
        connecting = Signal(init=1)  # the first time
        asked = Signal(range(ads8686s.PAIRS + 1))
        broken = Signal()
        lifted = Signal()  # lines are at codes: those that come meanwhile wait
        waiting = Signal()
        convert = Signal()  # asked for while codes came
        m.d.comb += [
            moved.eq(shifter.words.valid & shifter.words.ready),
            pins.toggle.eq(self.gate & (self.loaded | lifted) & ~broken),
            broken.eq(self.failed != Cause.NONE),
        ]
        m.d.sync += lifted.eq(self.gate & (self.loaded | lifted))
        with m.FSM():
            with m.State("OFF"):
                wait("reset", "RESET")
            with m.State("RESET"):
                with m.If(ended):
                    m.d.sync += pins.reset_n.eq(1)
                    wait("wake", "WAKE")
            with m.State("WAKE"):
                with m.If(ended):
                    m.next = "SETUP"
            with m.State("SETUP"):
                send(entry.word, bits=entry.bits, chip=entry.chip, check=entry.check)
                with m.If(moved):
                    m.next = "SET UP"
            with m.State("SET UP"):
                with m.If(~shifter.busy):
                    m.d.sync += step_.eq(step_ + 1)
                    with m.If(entry.latch):
                        m.d.sync += pins.ldac_n.eq(0)
                        wait("latch", "SETUP LATCH")
                    with m.Elif(step_ == len(self._setup) - 1):
                        start()
                    with m.Else():
                        m.next = "SETUP"
            with m.State("SETUP LATCH"):
                with m.If(ended):
                    m.d.sync += pins.ldac_n.eq(1)
                    m.next = "SETUP"
            with m.State("SWITCHES ON"):
                with m.If(ended):
                    m.next = "CHAIN"
            with m.State("CHAIN"):
                send(adgs1414d.CHAIN << WORD_BITS - 16, bits=16, chip=Chip.SWITCH, rising=1)
                m.d.sync += wanted.as_value().eq(-1)
                with m.If(moved):
                    m.next = "MAKE"
            with m.State("READY"):
                m.d.comb += [self.ready.eq(~broken), self.codes.ready.eq(~waiting & ~broken)]
                m.d.sync += [index.eq(0), channel.eq(0), convert.eq(convert | self.convert)]
                with m.If(taken):
                    m.d.sync += [self.loaded.eq(0), index.eq(1)]
                    m.next = "TAKE"
                with m.Elif(convert | self.convert):
                    m.d.sync += convert.eq(0)
                    start()
                with m.Elif(waiting & ~self.gate):
                    m.d.sync += waiting.eq(0)
                    m.next = "LOAD"
            with m.State("TAKE"):
                m.d.comb += self.codes.ready.eq(~broken)
                m.d.sync += convert.eq(convert | self.convert)
                with m.If(taken):
                    m.d.sync += index.eq(index + 1)
                    with m.If(self.codes.payload.last):
                        m.d.sync += waiting.eq(1)
                        m.next = "READY"
            with m.State("LOAD"):
                frames = [
                    Cat(code[s] ^ dac81416.ZERO, channel, Const(1, WORD_BITS - CODE_BITS - len(channel)))
                    for s in range(n)
                ]
                send(frames, bits=dac81416.WORD_BITS, chip=Chip.DAC, check=1)
                with m.If(moved):
                    m.d.sync += channel.eq(channel + 1)
                    with m.If(channel == dac81416.CHANNELS - 1):
                        m.next = "LOADED"
            with m.State("LOADED"):
                with m.If(~shifter.busy):
                    m.d.sync += pins.ldac_n.eq(0)
                    wait("latch", "LATCH")
            with m.State("LATCH"):
                with m.If(ended):
                    m.d.sync += pins.ldac_n.eq(1)
                    with m.If(wanted.as_value() == connected.as_value()):
                        m.d.sync += self.loaded.eq(1)
                        m.next = "READY"
                    with m.Else():
                        m.next = "BREAK"
            with m.State("BREAK"):
                switches([wanted[s] & connected[s] for s in range(n)])
                with m.If(moved):
                    m.next = "BROKEN"
            with m.State("BROKEN"):
                with m.If(~shifter.busy):
                    wait("switch", "OPENING")
            with m.State("OPENING"):
                with m.If(ended):
                    m.next = "MAKE"
            with m.State("MAKE"):
                switches([wanted[s] for s in range(n)])
                with m.If(moved):
                    m.d.sync += connected.eq(wanted)
                    m.next = "MADE"
            with m.State("MADE"):
                with m.If(~shifter.busy):
                    wait("switch", "CLOSING")
            with m.State("CLOSING"):
                with m.If(ended):
                    m.d.sync += [self.loaded.eq(~connecting), connecting.eq(0)]
                    m.next = "READY"
            with m.State("STARTED"):
                m.d.sync += seen.eq(seen | pins.busy)
                with m.If(seen.all()):
                    m.d.sync += pins.convst.eq(0)
                    m.next = "BUSY"
                with m.If(ended):
                    m.d.sync += self.failed.eq(Cause.CONVERTER)
            with m.State("BUSY"):
                with m.If(~pins.busy.any()):
                    m.next = "READ"
                with m.If(ended):
                    m.d.sync += self.failed.eq(Cause.CONVERTER)
            with m.State("READ"):
                send(0, bits=ads8686s.WORD_BITS, chip=Chip.ADC)
                m.d.comb += [burst.reading.eq(1), word.last.eq(asked == ads8686s.PAIRS)]
                with m.If(moved):
                    m.d.sync += asked.eq(Mux(word.last, 0, asked + 1))
                    with m.If(word.last):
                        m.next = "ANSWERS"
            with m.State("ANSWERS"):
                m.d.comb += burst.reading.eq(1)
                m.d.sync += index.eq(0)
                with m.If(burst.done):
                    with m.If(~burst.numbered):
                        m.d.sync += self.failed.eq(Cause.CONVERTER)
                    with m.Elif(~burst.good):
                        m.d.sync += self.failed.eq(Cause.CRC)
                    with m.Elif(probing):
                        m.d.sync += [probing.eq(0), pins.enable.eq(1)]
                        wait("switch_wake", "SWITCHES ON")
                    with m.Else():
                        m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.samples.valid.eq(~broken)
                with m.If(self.samples.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(self.samples.payload.last):
                        m.next = "READY"
        # Alarms count when all is set up.
        with m.If(pins.reset_n & ~probing & ~pins.alarm_n & ~broken):
            m.d.sync += self.failed.eq(Cause.CRC)
        return m
