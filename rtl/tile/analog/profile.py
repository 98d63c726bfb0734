"""What a profile says of times and reads, in registers."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportInvalidTypeForm=false

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import (
    AVERAGES_AT,
    AVERAGES_LOG2_MAX,
    PROFILE_WORDS,
    PROFILES,
    SCALE_BITS,
    SENSE_SHIFT_MAX,
    ProfileFlag,
    ProfileWord,
)
from backpulse.rtl.tile.analog.timer import TIME_BITS

__all__ = ["ProfileReader", "profile_layout"]


def profile_layout() -> data.StructLayout:
    """Return the layout of a profile's words but for its codes."""
    flags = data.StructLayout(
        {
            **{flag.name.lower(): 1 for flag in ProfileFlag},  # pyright: ignore[reportOptionalMemberAccess]: each has a name
            "unused": AVERAGES_AT - len(ProfileFlag),
            "averages_log2": range(AVERAGES_LOG2_MAX + 1),
        }
    )
    bits = {ProfileWord.SCALE: SCALE_BITS, ProfileWord.SENSE_SHIFT: range(SENSE_SHIFT_MAX + 1)}
    return data.StructLayout(
        {
            word.name.lower(): flags if word is ProfileWord.FLAGS else bits.get(word, TIME_BITS)
            for word in ProfileWord
        }
    )


class ProfileReader(wiring.Component):
    """Reads a profile's words, one a cycle.

    Members
    -------
    start
        Strobe: the profile `number`, which is steady until `running` is low again. `words` are its own then.
    at, word
        A word's place in the table of profiles, and in the next cycle that word.
    """

    start: In(1)
    number: In(range(PROFILES))
    running: Out(1)
    at: Out(range(PROFILES * PROFILE_WORDS))
    word: In(32)
    words: Out(profile_layout())

    def elaborate(self, platform) -> Module:
        m = Module()
        place0 = Signal(range(len(ProfileWord) + 1), init=len(ProfileWord))
        place1 = Signal.like(place0)
        m.d.comb += [
            self.at.eq(self.number * PROFILE_WORDS + place0),
            self.running.eq((place0 != len(ProfileWord)) | (place1 != len(ProfileWord))),
        ]
        m.d.sync += place1.eq(place0)
        with m.If(self.start):
            m.d.sync += place0.eq(0)
        with m.Elif(place0 != len(ProfileWord)):
            m.d.sync += place0.eq(place0 + 1)
        with m.Switch(place1):
            for word in ProfileWord:
                with m.Case(word):
                    m.d.sync += self.words[word.name.lower()].eq(self.word)
        return m
