"""UART, 8N1: bytes to bits and back."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportInvalidTypeForm=false

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Receiver", "Transmitter", "Uart", "divisor"]

DIVISOR_MIN = 4
"""Fewest clocks a bit: with 4, a sample in mid bit still tolerates a baud rate 2 % off at a byte's end."""
BAUD_ERROR_MAX = 0.02


def divisor(*, clk_hz: float, baud: float) -> int:
    """Return the clocks of one bit.

    Raises
    ------
    ValueError
        If the nearest divisor is too small, or misses the baud rate by more than 2 %.
    """
    if clk_hz <= 0 or baud <= 0:
        raise ValueError(f"Clock and baud rate must be positive, not {clk_hz} Hz and {baud} baud")
    clocks = round(clk_hz / baud)
    if clocks < DIVISOR_MIN:
        raise ValueError(
            f"Baud rate must be at most {clk_hz / DIVISOR_MIN:.0f} with a clock of {clk_hz:.0f} Hz, "
            f"not {baud:.0f}"
        )
    actual = clk_hz / clocks
    if abs(actual / baud - 1) > BAUD_ERROR_MAX:
        raise ValueError(
            f"Baud rate must be within 2 % of what a clock of {clk_hz:.0f} Hz makes ({actual:.0f}), "
            f"not {baud:.0f}"
        )
    return clocks


class _Half(wiring.Component):
    def __init__(self, members: dict[str, wiring.Member], clocks_per_bit: int) -> None:
        if not isinstance(clocks_per_bit, int) or clocks_per_bit < DIVISOR_MIN:
            raise ValueError(
                f"Clocks per bit must be an integer of at least {DIVISOR_MIN}, not {clocks_per_bit!r}"
            )
        self._clocks_per_bit = clocks_per_bit
        super().__init__(members)


class Receiver(_Half):
    """Samples each bit once, in its middle.

    A start bit that is over before its middle is noise and ignored. A byte without a stop bit is dropped, and
    the line must return to high before the next start bit counts. A byte that comes while the last one has
    not been taken is dropped.

    Parameters
    ----------
    clocks_per_bit
        From `divisor`.

    Members
    -------
    rx
        The line, already in the clock domain.
    o
        Bytes, each about a half stop bit before its end.
    """

    def __init__(self, *, clocks_per_bit: int) -> None:
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))}, clocks_per_bit)

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._clocks_per_bit))
        shift = Signal(8)
        tick = timer == 0

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += timer.eq(Mux(tick, self._clocks_per_bit - 1, timer - 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += timer.eq((self._clocks_per_bit - 1) // 2 - 1)
                with m.If(~self.rx):
                    m.next = "START"
            with m.State("START"):
                # The one marks the place of the last data bit as it moves down.
                m.d.sync += shift.eq(0x80)
                with m.If(tick):
                    m.next = "DATA"
                    with m.If(self.rx):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(tick):
                    m.d.sync += shift.eq(Cat(shift[1:], self.rx))
                    with m.If(shift[0]):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(tick):
                    m.next = "BREAK"
                    with m.If(self.rx):
                        m.next = "IDLE"
                        with m.If(~self.o.valid | self.o.ready):
                            m.d.sync += [self.o.payload.eq(shift), self.o.valid.eq(1)]
            with m.State("BREAK"):
                with m.If(self.rx):
                    m.next = "IDLE"
        return m


class Transmitter(_Half):
    """Sends bytes back to back; one takes ten bit times and a clock.

    Parameters
    ----------
    clocks_per_bit
        From `divisor`.

    Members
    -------
    i
        Bytes; stalls while one is on the line.
    tx
        The line.
    busy
        A byte is on the line.
    """

    def __init__(self, *, clocks_per_bit: int) -> None:
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1), "busy": Out(1)}, clocks_per_bit)

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._clocks_per_bit))
        bits = Signal(range(11))
        shift = Signal(9, init=-1)

        m.d.comb += [self.tx.eq(shift[0]), self.busy.eq(bits != 0), self.i.ready.eq(~self.busy)]
        m.d.sync += timer.eq(timer - 1)
        with m.If(self.i.ready):
            m.d.sync += timer.eq(self._clocks_per_bit - 1)
            with m.If(self.i.valid):
                m.d.sync += [shift.eq(Cat(0, self.i.payload)), bits.eq(10)]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._clocks_per_bit - 1), shift.eq(Cat(shift[1:], 1)), bits.eq(bits - 1)]
        return m


class Uart(wiring.Component):
    """Receiver and transmitter of one line.

    Parameters
    ----------
    clk_hz, baud
        Clock and baud rate.

    Members
    -------
    rx, tx
        The line; `rx` already in the clock domain.
    i, o
        Bytes to send and bytes received.
    busy
        A byte is being sent.

    Raises
    ------
    ValueError
        If the clock cannot make the baud rate.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))
    busy: Out(1)

    def __init__(self, *, clk_hz: float, baud: float) -> None:
        self._clocks_per_bit = divisor(clk_hz=clk_hz, baud=baud)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(clocks_per_bit=self._clocks_per_bit)
        m.submodules.transmitter = transmitter = Transmitter(clocks_per_bit=self._clocks_per_bit)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), self.busy.eq(transmitter.busy)]
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        wiring.connect(m, receiver.o, wiring.flipped(self.o))
        return m
