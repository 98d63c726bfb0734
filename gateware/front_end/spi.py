"""Serial frames: words to several chips at once, on a common clock, each with its own data lanes."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.gateware.front_end.crc8 import BITS as CRC_BITS
from backpulse.gateware.front_end.crc8 import step

__all__ = ["DELAY_BITS", "IN_BITS", "Shifter", "word_layout"]

IN_BITS = 16
"""Bits of a word that comes in."""
DELAY_BITS = 4
"""Bits of the delay of answers."""


def word_layout(*, width: int, lanes: int, chips: int) -> data.StructLayout:
    """Return the layout of a word of at most `width` bits for all lanes.

    `data` holds it at its upper end; `bits` is its length; `check`: its CRC follows; `chip`: whose select is
    low; `rising`: chips take bits at the clock's rising edge, and it rests low, otherwise at the falling
    edge, and it rests high; `last`: the select rises after it.
    """
    return data.StructLayout(
        {
            "data": data.ArrayLayout(width, lanes),
            "bits": range(width + 1),
            "check": 1,
            "chip": range(chips),
            "rising": 1,
            "last": 1,
        }
    )


class Shifter(wiring.Component):
    """Shifts words out and in, the most significant bits first.

    A bit takes `divisor` cycles: the data line changes at its start, and chips take it at the clock's edge in
    its middle. Answers are taken at that edge too, or so many half bits later as `sdo_delay` says; the select
    stays low until the last of them has been taken. Between two frames the select is high for a half bit and
    a cycle. A word that is not the last of its frame waits for the next, the clock resting.

    Parameters
    ----------
    width
        Most bits of a word, without its CRC.
    lanes
        Data lines out.
    inputs
        Data lines in.
    chips
        Selects.
    divisor
        Clock cycles of a bit: even.

    Members
    -------
    words
        Words to shift out.
    sdo_delay
        Half bits by which answers come later; to be changed only between frames.
    received
        Strobe: the lanes' answers to a word, its last IN_BITS bits, are in `answers`.
    bit
        Strobe: a bit of `answers` came in; `bits` has it.
    busy
        A select is low, or about to be; a word for the same chip can be taken before it ends.
    sclk, cs_n, sdi, sdo
        Pins; answers are taken as they are at the clock.

    Raises
    ------
    ValueError
        If the divisor is odd or less than 2.
    """

    def __init__(self, *, width: int, lanes: int, inputs: int, chips: int, divisor: int) -> None:
        if divisor < 2 or divisor % 2:
            raise ValueError(f"Divisor of the serial clock must be even and at least 2, not {divisor}")
        self._width, self._lanes, self._inputs, self._half = width, lanes, inputs, divisor // 2
        super().__init__(
            {
                "words": In(stream.Signature(word_layout(width=width, lanes=lanes, chips=chips))),
                "sdo_delay": In(DELAY_BITS),
                "received": Out(1),
                "bit": Out(1),
                "bits": Out(inputs),
                "answers": Out(data.ArrayLayout(IN_BITS, inputs)),
                "busy": Out(1),
                "sclk": Out(1, init=1),
                "cs_n": Out(chips, init=-1),
                "sdi": Out(lanes),
                "sdo": In(inputs),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        word = self.words.payload
        shift = Signal(data.ArrayLayout(self._width, self._lanes))
        crc = Signal(data.ArrayLayout(CRC_BITS, self._lanes))
        left = Signal(range(self._width + 1))
        checking = Signal()  # the CRC is on its way out
        check = Signal()
        last = Signal()
        rising = Signal()
        chip = Signal.like(word.chip)
        high = Signal()  # the second half of a bit
        timer = Signal(range(max(self._half, 2)))
        tick = Signal()
        m.d.comb += tick.eq(timer == 0)
        m.d.sync += timer.eq(Mux(tick, self._half - 1, timer - 1))

        def load() -> None:
            m.d.sync += [
                shift.eq(word.data),
                crc.eq(0),
                left.eq(word.bits),
                check.eq(word.check),
                checking.eq(0),
                last.eq(word.last),
            ]

        # A bit's edge and the end of its word go through the delay line together, a place a half bit.
        edge = Signal()
        line = Signal(data.ArrayLayout(2, (1 << DELAY_BITS) - 1))
        final = Signal()
        arrived = Signal(2)
        m.d.comb += [
            final.eq((left == 1) & (checking | ~check)),
            arrived.eq(data.ArrayLayout(2, 1 << DELAY_BITS)(Cat(edge, edge & final, line))[self.sdo_delay]),
        ]
        with m.If(tick):
            m.d.sync += line.as_value().eq(Cat(edge, edge & final, line))
        # Two registers on the way out and in: what the pins show at an edge is looked at two cycles later.
        sdo = Signal(self._inputs)
        due = Signal(2)
        ends = Signal()
        m.d.sync += [
            sdo.eq(self.sdo),
            due.eq(Mux(tick, arrived, 0)),
            Cat(self.bit, ends).eq(due),
            self.received.eq(ends),
        ]
        m.d.comb += self.bits.eq(sdo)
        with m.If(self.bit):
            m.d.sync += [self.answers[i].eq(Cat(sdo[i], self.answers[i])) for i in range(self._inputs)]

        select = Signal(len(self.cs_n))
        trail = Signal(DELAY_BITS)
        m.d.sync += [
            self.cs_n.eq(~select),
            self.sclk.eq(~rising ^ high),
            self.sdi.eq(Cat(Mux(checking, crc[i][-1], shift[i][-1]) for i in range(self._lanes))),
        ]
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.words.ready.eq(1), self.busy.eq(self.words.valid | ~self.cs_n.all())]
                with m.If(self.words.valid):
                    load()
                    m.d.sync += [
                        rising.eq(word.rising),
                        chip.eq(word.chip),
                        timer.eq(self._half - 1),
                    ]
                    m.next = "SETUP"
            with m.State("SETUP"):
                with m.If(tick):
                    m.d.sync += select.eq(1 << chip)
                    m.next = "LEAD"
            with m.State("LEAD"):
                with m.If(tick):
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                with m.If(tick):
                    m.d.sync += high.eq(~high)
                    with m.If(~high):
                        m.d.comb += edge.eq(1)
                    with m.Else():
                        for i in range(self._lanes):
                            m.d.sync += [
                                shift[i].eq(shift[i] << 1),
                                crc[i].eq(Mux(checking, crc[i] << 1, step(crc[i], shift[i][-1]))),
                            ]
                        m.d.sync += left.eq(left - 1)
                        with m.If(final):
                            with m.If(last):
                                m.d.sync += trail.eq(self.sdo_delay)
                                m.next = "TRAIL"
                            with m.Else():
                                m.d.comb += self.words.ready.eq(1)
                                load()
                                with m.If(~self.words.valid):
                                    m.next = "WAIT"
                        with m.Elif(left == 1):
                            m.d.sync += [checking.eq(1), left.eq(CRC_BITS)]
            with m.State("WAIT"):
                m.d.comb += self.words.ready.eq(1)
                load()
                with m.If(self.words.valid):
                    m.d.sync += timer.eq(self._half - 1)
                    m.next = "LEAD"
            with m.State("TRAIL"):
                with m.If(tick):
                    m.d.sync += trail.eq(trail - 1)
                    with m.If(trail == 0):
                        m.d.sync += select.eq(0)
                        m.next = "IDLE"
        return m
