"""The tally: whether a tile counts its pulses as they were planned, and how many it has missed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.rtl.tile.signature import completion_layout, short_layout

__all__ = ["Tally"]


class Tally(wiring.Component):
    """Compares what a tile says of the pulses of a PULSE with what was planned, and counts missed ones.

    Records of rows are taken at once, and never waited for.

    Parameters
    ----------
    config
        Of the tile.

    Members
    -------
    pulse
        A PULSE executes.
    planned
        Pulses of a row, to be added up in every cycle, as the planner gives them.
    completion, short
        What the tile says; a completion is taken as it comes.
    wrong
        Asked and planned pulses differ, or what is missing and the rows that were named: to be looked at when
        the PULSE ends.
    missed
        Pulses asked for and not applied, to be added up in every cycle.
    """

    def __init__(self, config: Config) -> None:
        self._bits = completion_layout(config)["asked"].width
        super().__init__(
            {
                "pulse": In(1),
                "planned": In(range(config.tile_cols * config.pulse_max + 1)),
                "completion": In(stream.Signature(completion_layout(config), always_ready=True)),
                "short": In(stream.Signature(short_layout(config), always_ready=True)),
                "wrong": Out(1),
                "missed": Out(self._bits),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        ended, row = self.completion.p, self.short.p
        asked = Signal(self._bits)
        missed = Signal(self._bits)
        # What a completion is to say, and zero when it has said so; they wrap. A PULSE may end with it.
        planned = Signal(self._bits)
        named = Signal(self._bits)
        m.d.comb += self.wrong.eq((planned != asked) | (named != missed))
        with m.If(self.completion.valid):
            m.d.comb += [asked.eq(ended.asked), missed.eq(ended.asked - ended.done)]
        m.d.sync += [
            self.missed.eq(missed),
            planned.eq(planned + self.planned - asked),
            named.eq(named + Mux(self.short.valid, row.asked - row.done, 0) - missed),
        ]
        with m.If(~self.pulse):
            m.d.sync += [planned.eq(0), named.eq(0)]
        return m
