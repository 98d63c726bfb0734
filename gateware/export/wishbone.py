"""The controller on a Wishbone bus: the bytes of its link behind two registers, and no pins."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from backpulse.firmware_py.config import Config
from backpulse.gateware.chip.top import Top
from backpulse.gateware.link.small_link import CLOCKS_MIN
from backpulse.gateware.link.uart import DIVISOR_MIN, Uart

__all__ = ["Wishbone"]

RECEIVED_BYTES = 2048
"""What waits for a slow processor: more than the answers to all commands that may be outstanding."""


class Wishbone(wiring.Component):
    """The whole controller with emulated tiles, as a slave of a classic Wishbone bus (B4) of 32 bits.

    What a host says over a UART, the frames of docs/protocol.md, a processor writes and reads byte by byte:

    ======= ====== =====================================================================================
    address name   bits
    ======= ====== =====================================================================================
    0       DATA   written: 0 to 7 a byte for the machine, acknowledged when there is room for it
                   read: 0 to 7 the next byte of its answers; 8 whether there was one
    1       STATUS 0 a byte waits; 1 there is room for a byte; 2 the machine or its link is busy;
                   4 and 5 its state, as the register STATE says
    ======= ====== =====================================================================================

    Inside, two UARTs pass the bytes on: one takes 40 cycles, or 160 of a lean machine. An access takes two
    cycles, but for the waiting of a full DATA. The answers to eight outstanding commands are kept; of more
    the last are lost, and the link repeats them.

    Parameters
    ----------
    config
        Configuration of the machine.

    Members
    -------
    adr, dat_w, dat_r, we, cyc, stb, ack
        The bus. `adr` counts words.
    """

    adr: In(1)
    dat_w: In(32)
    dat_r: Out(32)
    we: In(1)
    cyc: In(1)
    stb: In(1)
    ack: Out(1)

    def __init__(self, config: Config) -> None:
        speed = {"clk_hz": CLOCKS_MIN if config.lean else DIVISOR_MIN, "baud": 1}
        self._top = Top(config, **speed)
        self._uart = Uart(**speed)
        super().__init__()

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.controller = top = self._top
        m.submodules.uart = uart = self._uart
        m.submodules.received = received = SyncFIFOBuffered(width=8, depth=RECEIVED_BYTES)
        connect(m, uart.o, received.w_stream)
        asked = Signal()
        at_data = Signal()
        status = Signal(6)
        m.d.comb += [
            top.rx.eq(uart.tx),
            uart.rx.eq(top.tx),
            asked.eq(self.cyc & self.stb & ~self.ack),
            at_data.eq(self.adr == 0),
            uart.i.valid.eq(asked & self.we & at_data),
            uart.i.payload.eq(self.dat_w[:8]),
            received.r_stream.ready.eq(asked & ~self.we & at_data),
            status.eq(Cat(received.r_rdy, uart.i.ready, top.busy, Const(0, 1), top.state)),
        ]
        m.d.sync += [
            self.ack.eq(asked & (uart.i.ready | ~self.we | ~at_data)),
            self.dat_r.eq(Mux(at_data, Cat(received.r_data, received.r_rdy), status)),
        ]
        return m
