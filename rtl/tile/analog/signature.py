"""What the analog tile asks of a front end: lines are driven by codes while a gate is high, and sampled."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false

from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.firmware_py.registers import Cause

__all__ = ["FrontEndSignature", "code_layout", "sample_layout"]


def code_layout() -> data.StructLayout:
    """Return the layout of a line's code; `open`: the line is not connected; `last`: of the last line."""
    return data.StructLayout({"code": signed(CODE_BITS), "open": 1, "last": 1})


def sample_layout() -> data.StructLayout:
    """Return the layout of a line's sample; `over`: the converter was at its rail; `last`: the last line."""
    return data.StructLayout({"value": signed(SAMPLE_BITS), "over": 1, "last": 1})


class FrontEndSignature(wiring.Signature):
    """A front end, seen from the analog tile.

    All lines are at rest, 0 V, while `gate` is low, and at the codes that were loaded last while it is high.
    So `gate` alone makes edges on lines, of pulses as of reads; it reaches them after the same number of
    cycles up and down. Codes take effect with its next rise at the earliest, and stay until others are
    loaded. Lines are connected and disconnected at 0 V, before `loaded`; a front end without such switches
    holds those that would be open at 0 V. The next codes are offered while it is still high: a front end
    that has room for them takes them, and loads them when it falls, and another lets them wait until then.

    Members
    -------
    on
        Drivers may be on. In the cycle in which it falls all drivers are switched off, whatever is under way;
        samples not yet taken are dropped. When it rises the front end sets up its converters with all lines
        at 0 V, connects them, and says `ready`.
    ready
        Set up and connected: codes are taken, and conversions made.
    codes
        One code a line, in the order of lines, all lines.
    loaded
        The codes given last are in place: `gate` may rise. Low from the first code of a set on, and where the
        front end has to prepare the next rise, from the fall of `gate` on too.
    gate
        Lines are at their codes.
    convert
        Strobe: all lines are sampled in this cycle or at a fixed number of cycles after it. Not while samples
        of the conversion before are outstanding.
    samples
        One sample a line, in the order of lines, all lines.
    failed
        Level: why converters or supplies cannot be trusted (CRC, CONVERTER, SUPPLY), or zero. It stays until
        `on` has fallen, and does not depend on it in the same cycle.
    closed
        The interlock's circuit is closed, synchronous to the clock.
    sdo_delay
        Half cycles of the serial clock by which answers come later.
    temperature
        What a converter says of it, if one does; else zero.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "on": In(1),
                "ready": Out(1),
                "codes": In(stream.Signature(code_layout())),
                "loaded": Out(1),
                "gate": In(1),
                "convert": In(1),
                "samples": Out(stream.Signature(sample_layout())),
                "failed": Out(Cause),
                "closed": Out(1),
                "sdo_delay": In(4),
                "temperature": Out(16),
            }
        )
