"""The one top for all boards: pins, clock, reset, synchroniser and lights around `gateware.chip.top.Top`."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from functools import partial
from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import Component

from backpulse.firmware_py.registers import State
from backpulse.gateware.boards.boards import Board
from backpulse.gateware.chip.pll import Pll
from backpulse.gateware.chip.spram import SpramStore
from backpulse.gateware.chip.store import Store
from backpulse.gateware.chip.top import Top
from backpulse.gateware.front_end.tile import BoardTile

__all__ = ["BoardTop", "store_of", "top_of"]

RESET_S = 20e-6
"""Reset after configuration: block memories of the iCE40 read as zero for some 3 us."""
BLINK_HZ = 3


def store_of(board: Board) -> type[Component]:
    """Return the sample store that a board has."""
    return {"bram": Store, "spram": SpramStore}[board.store]


def top_of(board: Board, *, build_digest: bytes = bytes(32)) -> Top:
    """Return what lies behind a board's pins of clock, UART and lights.

    Raises
    ------
    ValueError
        If its clock cannot make the baud rate.
    """
    own = {}
    if board.front_end:
        own["tile"] = partial(BoardTile, kit=board.front_end, clk_hz=board.clk_hz)
    return Top(
        board.config,
        clk_hz=board.clk_hz,
        baud=board.baud,
        build_digest=build_digest,
        store=store_of(board),
        **own,
    )


class BoardTop(Elaboratable):
    """A board's design, for its platform.

    Parameters
    ----------
    board
        Board to build for.
    build_digest
        SHA-256 that identifies the bitstream, 32 bytes.

    Raises
    ------
    ValueError
        If its clock cannot make the baud rate, or its PLL cannot make the clock.
    """

    def __init__(self, board: Board, *, build_digest: bytes = bytes(32)) -> None:
        self._board = board
        self._top = top_of(board, build_digest=build_digest)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board, top = self._board, self._top
        m.submodules.top = top

        pin = platform.request(board.clock, dir="-")
        m.submodules.pll = pll = Pll(board.part.family, pin, osc_hz=board.osc_hz, clk_hz=board.clk_hz)
        # Counts without a reset: flip-flops are zero after configuration.
        m.domains.start = start = ClockDomain(reset_less=True, local=True)
        gated = board.part.family == "ecp5"
        ticks = int(RESET_S * (board.osc_hz if gated else board.clk_hz))
        timer = Signal(range(ticks + 1))
        waiting = Signal()
        clk = Signal()
        m.d.comb += [start.clk.eq(pll.osc if gated else pll.clk), waiting.eq((timer != ticks) | ~pll.locked)]
        with m.If(timer != ticks):
            m.d.start += timer.eq(timer + 1)
        m.domains.sync = sync = ClockDomain(reset_less=gated)
        if gated:
            # The clock itself waits, and the machine needs no reset: a net with an end at every flip-flop
            # would slow down all others.
            run = Signal()
            m.d.start += run.eq(~waiting)
            m.submodules.gate = Instance("DCCA", i_CLKI=pll.clk, i_CE=run, o_CLKO=clk)
        else:
            m.submodules.reset = ResetSynchronizer(waiting, domain="sync")
            m.d.comb += clk.eq(pll.clk)
        # No constraint: nextpnr knows the oscillator's and works out what the PLL makes of it.
        m.d.comb += sync.clk.eq(clk)

        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.rx_sync = FFSynchronizer(rx.i, top.rx, init=1)
        m.d.comb += tx.o.eq(top.tx)

        if board.lights:
            blink = Signal(range(int(board.clk_hz / BLINK_HZ)))
            m.d.sync += blink.eq(blink + 1)
            training = (top.state == State.TRAINING) | (top.state == State.PAUSED)
            signals = ((top.state == State.IDLE) | (training & blink[-1]), top.state == State.FAULT)
            for i, ((name, number), lit) in enumerate(zip(board.lights, signals, strict=True)):
                m.submodules[f"light_{i}"] = light = io.Buffer("o", platform.request(name, number, dir="-"))
                m.d.comb += light.o.eq(lit)
        return m
