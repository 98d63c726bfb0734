"""What the host writes for the tile, in block memory: profiles, calibration, codes of direct operations."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import (
    CALIBRATION,
    CODE_BITS,
    DIRECT_CODES,
    DIRECT_SAMPLES,
    FACTOR_BITS,
    LINE_WORDS,
    OVER_AT,
    PROFILE_WORDS,
    PROFILES,
    SUM_BITS,
)
from backpulse.firmware_py.registers import Window
from backpulse.rtl.tile.signature import HostSignature, window_code

__all__ = ["Tables", "setting_layout", "sum_layout"]


def setting_layout() -> data.StructLayout:
    """Return the layout of a line's code as the host writes it, in profiles and for direct operations."""
    return data.StructLayout({"code": signed(CODE_BITS), "open": 1})


def sum_layout() -> data.StructLayout:
    """Return the layout of a sum of a line's samples; `over`: one of them was at the converter's rail."""
    return data.StructLayout({"value": signed(SUM_BITS), "over": 1})


class Tables(wiring.Component):
    """Memories that the host writes while the tile is idle, and that the tile reads while it is not.

    A request of the host is answered in its third cycle. An error is what lies in no table, a write of sums,
    and all requests while `idle` is low.

    Parameters
    ----------
    lines
        How many lines there are.

    Members
    -------
    host
        The window TILE; any other is an error.
    idle
        No command is executing.
    profile_at, profile
        A word of all profiles, and in the cycle behind one with `en` that word.
    line_at, line
        A word of the lines' calibration, likewise.
    direct_at, direct
        A line's direct code, likewise.
    sum_at, sum
        A line's sum, which is looked up outside, for the host.
    en
        Addresses are taken.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        super().__init__(
            {
                "host": In(HostSignature()),
                "idle": In(1),
                "en": In(1),
                "profile_at": In(range(PROFILES * PROFILE_WORDS)),
                "profile": Out(32),
                "line_at": In(range(LINE_WORDS * lines)),
                "line": Out(signed(FACTOR_BITS)),
                "direct_at": In(range(lines)),
                "direct": Out(setting_layout()),
                "sum_at": Out(range(lines)),
                "sum": In(sum_layout()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        host = self.host
        mine = host.window == window_code(Window.TILE)
        asked = Signal()
        error = Signal()
        word = Signal(32)
        m.d.sync += [asked.eq(host.request & ~asked & ~host.ack), host.ack.eq(asked), error.eq(1)]
        m.d.comb += [host.r_data.eq(word), host.error.eq(error), self.sum_at.eq(host.addr)]

        tables = (
            ("profiles", 0, PROFILES * PROFILE_WORDS, self.profile, self.profile_at),
            ("calibration", CALIBRATION, LINE_WORDS * self._lines, self.line, self.line_at),
            ("direct_codes", DIRECT_CODES, self._lines, self.direct, self.direct_at),
        )
        for name, base, depth, out, at in tables:
            memory = Memory(shape=out.shape(), depth=depth, init=[])
            m.submodules[name] = memory
            get = memory.read_port()
            put = memory.write_port()
            offset = host.addr[: (depth - 1).bit_length()]
            here = mine & self.idle & (host.addr >= base) & (host.addr < base + depth)
            m.d.comb += [
                get.addr.eq(Mux(self.idle, offset, at)),
                get.en.eq(self.idle | self.en),
                out.eq(get.data),
                put.addr.eq(offset),
                put.data.eq(host.w_data),
                put.en.eq(asked & host.write & here),
            ]
            with m.If(here):
                m.d.sync += [error.eq(0), word.eq(out)]
        sums = (host.addr >= DIRECT_SAMPLES) & (host.addr < DIRECT_SAMPLES + self._lines)
        with m.If(mine & self.idle & sums):
            m.d.sync += [error.eq(host.write), word.eq(self.sum.value), word[OVER_AT].eq(self.sum.over)]
        return m
