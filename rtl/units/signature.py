"""The contract between the core and its arithmetic, full or lean."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false

from amaranth.hdl import signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import STREAM_SHIFT
from backpulse.rtl.lib.layouts import units_layout
from backpulse.rtl.lib.ports import HostPort, element_layout
from backpulse.rtl.tile.signature import counts_layout, sense_layout

__all__ = ["UnitsSignature"]


class UnitsSignature(wiring.Signature):
    """Everything between the core and its arithmetic, seen from the arithmetic.

    Members
    -------
    clear, finished
        Everything in the pipelines is dropped; the executing instruction ends, or is dropped.
    begin, ins
        First cycle of an instruction, and what the units read of it.
    a, b
        Elements of the two reading ports: the first gives what is driven, planned or read first, then partial
        sums or row words.
    magnitude, mantissa, exponent
        Of the instruction's vector and scale register.
    drive, sense, counts
        To and from the tile.
    w_en, w_addr, w_data, w_final
        Words for vector memory; `w_final` tells that they are no partial sums.
    written, settled
        The instruction's last word is written in this cycle or the next; the planner has finished.
    norm, norm_en
        Mantissa that NORM2 writes; NORM2 ends in this cycle.
    loss, loss_en, hit, result, result_en, up, down, clipped, over, saturated
        To the counters.
    output, output_en
        To the output ring; never on a lean machine, which has none.
    host
        The rounding states.
    """

    def __init__(self, config: Config) -> None:
        most = config.tile_cols * config.pulse_max
        super().__init__(
            {
                "clear": In(1),
                "finished": In(1),
                "begin": In(1),
                "ins": In(units_layout(config)),
                "a": In(stream.Signature(element_layout(config))),
                "b": In(stream.Signature(element_layout(config))),
                "magnitude": In(5),
                "mantissa": In(16),
                "exponent": In(signed(8)),
                "drive": Out(stream.Signature(signed(config.drive_bits))),
                "sense": In(stream.Signature(sense_layout(config))),
                "counts": Out(stream.Signature(counts_layout(config))),
                "w_en": Out(1),
                "w_addr": Out(16),
                "w_data": Out(signed(config.acc_bits)),
                "w_final": Out(1),
                "written": Out(1),
                "settled": Out(1),
                "norm": Out(16),
                "norm_en": Out(1),
                "loss": Out(32),
                "loss_en": Out(1),
                "hit": Out(1),
                "result": Out(16),
                "result_en": Out(1),
                "output": Out(signed(config.vector_bits)),
                "output_en": Out(1),
                "up": Out(range(most + 1)),
                "down": Out(range(most + 1)),
                "clipped": Out(range(config.tile_cols + 1)),
                "over": Out(1),
                "saturated": Out(2),
                "host": In(HostPort(STREAM_SHIFT)),
            }
        )
