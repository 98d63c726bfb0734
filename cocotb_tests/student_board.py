"""The student kit and the models of its chips in one component, with faults of its pins."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.gateware.front_end.models import StudentChips
from backpulse.gateware.front_end.student import Student
from backpulse.gateware.front_end.student_pins import Times
from cocotb_tests.mutants import through
from cocotb_tests.slices_board import CLK_HZ

MUTANTS = ("enable", "swapped", "late data")
"""Faults of the pins: the lines' switches open a cycle late; two answers are swapped; the DAC's data come a bit late."""
TIMES = Times(wake=1e-6, switch=0.2e-6, alive=1e-6)


class StudentBoard(wiring.Component):
    """The front end on its chips.

    Members
    -------
    mutant
        Number of a fault in MUTANTS, from 1 on; 0: none.
    """

    def __init__(self) -> None:
        self._front, self._chips = Student(clk_hz=CLK_HZ, times=TIMES), StudentChips()
        members = {**self._front.signature.members, **self._chips.signature.members}
        del members["pins"]
        super().__init__({**members, "enable": Out(1), "mutant": In(range(len(MUTANTS) + 1))})

    @property
    def width_min(self) -> int:
        """Fewest clock cycles of a pulse."""
        return self._front.width_min

    def elaborate(self, platform) -> Module:
        """Return the two, connected."""
        m = Module()
        m.submodules.front = front = self._front
        m.submodules.chips = chips = self._chips
        through(m, self, front, but=("pins",))
        through(m, self, chips, but=("pins",))
        pins, its = front.pins, chips.pins
        wrong = {name: self.mutant == i for i, name in enumerate(MUTANTS, 1)}
        late = Signal()
        sdi = Signal(2)
        m.d.sync += [late.eq(pins.enable), sdi.eq(Cat(pins.sdi, sdi))]
        for name, member in pins.signature.members.items():
            if member.flow == Out:
                m.d.comb += getattr(its, name).eq(getattr(pins, name))
            else:
                m.d.comb += getattr(pins, name).eq(getattr(its, name))
        m.d.comb += self.enable.eq(its.enable)
        with m.If(wrong["enable"]):
            m.d.comb += its.enable.eq(late)
        with m.If(wrong["swapped"]):
            m.d.comb += pins.sdo[:2].eq(its.sdo[:2].rotate_left(1))
        with m.If(wrong["late data"]):
            m.d.comb += its.sdi.eq(sdi[-1])
        return m
