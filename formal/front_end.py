"""Properties of the slices' front end: when its latches, switches and drivers can move."""

from amaranth.hdl import Assert, Module, Mux, Signal

from backpulse.firmware_py.registers import Cause
from backpulse.gateware.front_end.slice_pins import Times
from backpulse.gateware.front_end.slices import Chip, Slices, SliceSequence

from .harness import Harness

__all__ = ["SlicesConnect", "SlicesLatch", "SlicesOff"]

SWITCH_CYCLES = 3
CLK_HZ = 1e6
TIMES = Times(reset=2e-6, wake=2e-6, switch_wake=2e-6, switch=SWITCH_CYCLES / CLK_HZ, latch=2e-6, busy=8e-6, pulse=1e-6, alive=2e-6)
"""A few cycles each: no property is about longer ones."""


class SlicesOff(Harness):
    """In the cycle in which `on` is low, CLR, TOGGLE and the switches' supply are low."""

    block = "gateware.front_end.slices.Slices"
    mutant = "CLR falls a cycle late"

    def make(self):
        return Slices(slices=1, clk_hz=CLK_HZ, times=TIMES)

    def break_(self, m):
        late = Signal()
        m.d.sync += late.eq(self.dut.on)
        m.d.comb += self.dut.pins.clr_n.eq(late)

    def check(self, m: Module, dut):
        pins = dut.pins
        m.d.comb += Assert(dut.on | ~(pins.clr_n | pins.toggle | pins.enable))


class _Sequence(Harness):
    block = "gateware.front_end.slices.SliceSequence"
    mutant = "the gate is not held back while codes are loaded"
    mutant_depth = 60
    registers = True

    def make(self):
        return SliceSequence(slices=1, clk_hz=CLK_HZ, divisor=2, dac_volts=5.0, adc_volts=5.0, times=TIMES)

    def break_(self, m):
        m.d.comb += self.dut.pins.toggle.eq(self.dut.gate)

    def order(self, m: Module) -> None:
        """State in which states a select is low, codes are loaded, and LDAC is low."""
        shifter = ("shifter",)
        select, chip, cs_n = (self.signal(name, *shifter) for name in ("select", "chip", "cs_n"))
        idle = self.in_state("IDLE", at=shifter)
        frames = {
            Chip.DAC: self.in_state("SET UP", "LOAD", "LOADED"),
            Chip.SWITCH: self.in_state("MAKE", "MADE", "BROKEN"),
        }
        converting = ("STARTED", "BUSY", "READ", "ANSWERS")
        before = self.in_state("OFF", "RESET", "WAKE", "SETUP", "SET UP", "SETUP LATCH", *converting)
        after = self.in_state("READY", "GIVE", *converting)
        taking = self.in_state("TAKE")
        loaded, lifted, waiting = (self.signal(name) for name in ("loaded", "lifted", "waiting"))
        self.lemmas(
            m,
            ~idle | (select == 0),
            idle | (select == 0) | (select == 1 << chip),
            *(idle | (chip != c) | state for c, state in frames.items()),
            *(cs_n[c] | state for c, state in frames.items()),
            *(~select[c] | state for c, state in frames.items()),
            chip <= max(Chip),
            ~loaded | after,
            ~lifted | after | taking,
            ~waiting | (after & ~loaded),
            ~self.signal("probing") | (before & ~loaded & ~lifted & ~waiting),
            self.signal("pins__ldac_n") | self.in_state("SETUP LATCH", "LATCH"),
        )


class SlicesLatch(_Sequence):
    """While a frame to the DACs is in flight, TOGGLE is low and LDAC high, whatever the tile does; after a failure TOGGLE is low."""

    def check(self, m: Module, dut):
        self.order(m)
        pins = dut.pins
        m.d.comb += [
            Assert(pins.cs_dac_n | (~pins.toggle & pins.ldac_n)),
            Assert(~pins.toggle | (dut.failed == Cause.NONE)),
        ]


class SlicesConnect(_Sequence):
    """Switches move at 0 V alone: from when they are spoken to until the time that they take is over, TOGGLE is low."""

    mutant = "set-up speaks to the switches too, and the gate is not held back"

    def break_(self, m):
        super().break_(m)
        m.d.comb += self.dut.pins.cs_switch_n.eq(self.dut.pins.cs_dac_n)

    def check(self, m: Module, dut):
        self.order(m)
        pins = dut.pins
        since = Signal(range(SWITCH_CYCLES + 1), init=SWITCH_CYCLES)
        moving = ~pins.cs_switch_n
        m.d.sync += since.eq(Mux(moving, 0, since + (since != SWITCH_CYCLES)))
        m.d.comb += Assert(~pins.toggle | (~moving & (since == SWITCH_CYCLES)))
        waiting = self.in_state("OPENING", "CLOSING")
        self.lemmas(
            m,
            (since == SWITCH_CYCLES) | waiting | self.in_state("MAKE", "MADE", "BROKEN"),
            ~waiting | (since + self.signal("timer") >= SWITCH_CYCLES),
        )
