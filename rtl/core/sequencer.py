"""Execution: one instruction at a time, samples, stops and faults."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op, Unit, require
from backpulse.firmware_py.registers import CAUSE_AT, Cause, Fault
from backpulse.firmware_py.registers import State as Seen
from backpulse.firmware_py.timing import ALU_CYCLES
from backpulse.rtl.lib.layouts import decoded_layout
from backpulse.rtl.tile.signature import Status, command_layout, completion_layout

__all__ = ["Sequencer"]


require("sequencer", (Op.NEXT, Op.END), Unit.SEQUENCER)


class Sequencer(wiring.Component):
    """Begins and ends instructions, gives the tile its commands, waits for samples, and stops.

    An instruction begins in the cycle after the one before has ended. A fault, of an instruction or by
    `abort`, the watchdog or the tile, clears the whole machine and aborts the tile's command at once; START
    waits until that has completed and the tile is not busy. A tile that trips leads to a fault in any state.

    Parameters
    ----------
    config
        Of the tile's commands. The tile of a lean machine is a part of it, and is taken at its word:
        completions have no tags and no failures.

    Members
    -------
    start, halt, abort
        Commands of the host, high for one cycle. START is ignored unless idle or in a fault, HALT unless
        running.
    watchdog, bank
        Cycles that an instruction may take without progress; bank of the read-noise stream.
    ins
        Decoded instructions.
    begin, run, done
        First cycle of an instruction, all of its cycles, its last one. NEXT and END have none of them.
    clear
        Everything in the pipelines is dropped.
    cmd, completion, tile_abort, tile_busy, trip, progress
        To and from the tile; `progress`: words are moving, or the tile says so.
    miscounted
        When a PULSE ends: the tile has not counted its pulses as they were planned.
    settled
        The planner has finished.
    written
        The instruction's last word is written in the next cycle.
    norm
        NORM2 ends.
    sample_ready, sample_take, credit
        Next sample.
    state, fault
        What the host sees.
    started
        START takes effect.
    cycle, read_cycle, pulse_cycle, step
        To the counters.
    """

    def __init__(self, config: Config) -> None:
        self._lean = config.lean
        super().__init__(
            {
                "start": In(1),
                "halt": In(1),
                "abort": In(1),
                "watchdog": In(32),
                "bank": In(1),
                "ins": In(stream.Signature(decoded_layout(config))),
                "begin": Out(1),
                "run": Out(1),
                "done": Out(1),
                "clear": Out(1),
                "cmd": Out(stream.Signature(command_layout(config))),
                "completion": In(stream.Signature(completion_layout(config))),
                "tile_abort": Out(1),
                "tile_busy": In(1),
                "trip": In(Cause),
                "progress": In(1),
                "miscounted": In(1),
                "settled": In(1),
                "written": In(1),
                "norm": In(1),
                "sample_ready": In(1),
                "sample_take": Out(1),
                "credit": In(range(config.order_depth + 1)),
                "state": Out(Seen),
                "fault": Out(32),
                "started": Out(1),
                "cycle": Out(1),
                "read_cycle": Out(1),
                "pulse_cycle": Out(1),
                "step": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        begun = Signal()
        active = Signal()
        halting = Signal()
        ins = self.ins.p
        running = Signal()
        here = Signal()
        m.d.comb += [
            here.eq(running & self.ins.valid & (ins.fault == Fault.NONE)),
            self.run.eq(here & ~ins.sequencer),
            self.begin.eq(self.run & ~begun),
            self.clear.eq(~running),
        ]

        # The tile's command goes out in the first cycle; its completion may come before or after the last
        # word is written, and is awaited even if the machine has stopped meanwhile.
        tag = Signal(4)
        commanded = Signal()
        outstanding = Signal()
        completed = Signal()
        written = Signal()
        refused = Signal()
        failed = Signal()
        answered = Signal()
        status = self.completion.p.status
        m.d.comb += [
            self.cmd.valid.eq(self.run & ~ins.arithmetic & ~commanded),
            *(
                self.cmd.p[name].eq(ins[name])
                for name in ("op", "tile", "row0", "rows", "col0", "cols", "profile")
            ),
            self.cmd.p.bank.eq(self.bank),
            self.cmd.p.tag.eq(tag),
            self.completion.ready.eq(1),
            answered.eq(self.completion.valid & (self.completion.p.tag == tag) & commanded),
            refused.eq(answered & (status == Status.REFUSED)),
            failed.eq(answered & ((status == Status.FAILED) | (status == Status.ABORTED)) & ~self._lean),
        ]
        age = Signal(range(ALU_CYCLES))
        old = age == ALU_CYCLES - 1
        all_written, all_completed = written | self.written | self.norm, completed | answered
        # Nothing ends in its first cycle: `begun` and what was decoded then say all that is to be known.
        reads1 = Signal()
        pulse1 = Signal()
        alu1 = Signal()
        ended = Signal()
        m.d.sync += [reads1.eq(ins.reader), pulse1.eq(ins.planner), alu1.eq(ins.arithmetic)]
        m.d.comb += [
            ended.eq(
                (reads1 & all_written & all_completed)
                | (pulse1 & all_completed & self.settled)
                | (alu1 & all_written & old)
            ),
            self.done.eq(begun & running & ended),
            self.ins.ready.eq(self.done | self.sample_take),
        ]
        with m.If(self.run):
            m.d.sync += [
                begun.eq(1),
                age.eq(Mux(old, age, age + 1)),
                commanded.eq(commanded | (self.cmd.valid & self.cmd.ready)),
                completed.eq(all_completed),
                written.eq(all_written),
            ]
        with m.If(self.cmd.valid & self.cmd.ready):
            m.d.sync += outstanding.eq(1)
        with m.If(self.completion.valid):
            m.d.sync += outstanding.eq(0)
        with m.If(self.done | self.clear):
            m.d.sync += [begun.eq(0), age.eq(0), commanded.eq(0), completed.eq(0), written.eq(0)]

        elapsed = Signal(32)
        code = Signal(Fault)
        cause = Signal(Cause)
        next_ = Signal()
        tripped = self.trip != Cause.NONE
        m.d.sync += elapsed.eq(Mux(self.run & ~self.done & ~self.progress, elapsed + 1, 0))
        if not self._lean:
            m.d.sync += tag.eq(tag + self.done)
        # The last that holds wins.
        m.d.comb += [
            code.eq(Mux(self.ins.valid, ins.fault, Fault.NONE)),
            cause.eq(Cause.NONE),
            next_.eq(here & ins.next),
        ]
        with m.If(refused):
            m.d.comb += code.eq(Fault.BAD_OPERAND)
        with m.If(pulse1 & self.done & self.miscounted):
            m.d.comb += [code.eq(Fault.TILE), cause.eq(Cause.MISCOUNT)]
        with m.If(failed):
            m.d.comb += [code.eq(Fault.TILE), cause.eq(self.completion.p.cause)]
        with m.If(self.run & (elapsed >= self.watchdog)):
            m.d.comb += [code.eq(Fault.WATCHDOG), cause.eq(Cause.NONE)]
        with m.If(tripped):
            m.d.comb += [code.eq(Fault.TILE), cause.eq(self.trip)]
        with m.If(self.abort):
            m.d.comb += [code.eq(Fault.ABORTED), cause.eq(Cause.NONE)]
        with m.FSM() as fsm:
            m.d.comb += running.eq(fsm.ongoing("RUN"))
            for stopped in ("IDLE", "FAULT"):
                with m.State(stopped):
                    with m.If(self.start):
                        m.d.comb += self.started.eq(1)
                        m.d.sync += [self.fault.eq(0), active.eq(0), halting.eq(0)]
                        m.next = "STARTING"
                    # Last, so that an abort wins over a start in the same cycle; so below.
                    with m.If(self.abort | (tripped if stopped == "IDLE" else 0)):
                        m.next = "FAULT"
            with m.State("STARTING"):
                with m.If(~outstanding & ~self.tile_busy):
                    m.next = "RUN"
                with m.If(self.abort | tripped):
                    m.next = "FAULT"
            with m.State("RUN"):
                with m.If(self.halt):
                    m.d.sync += halting.eq(1)
                # NEXT: the sample that executes ends; then HALT, or the next sample, or waiting.
                with m.If(next_):
                    m.d.comb += self.step.eq(active)
                    m.d.sync += active.eq(0)
                    with m.If(halting):
                        m.next = "IDLE"
                    with m.Elif(self.sample_ready):
                        m.d.comb += self.sample_take.eq(1)
                        m.d.sync += active.eq(1)
                with m.If(here & ins.end):
                    m.next = "IDLE"
                with m.If(code != Fault.NONE):
                    m.next = "FAULT"
        # Of several reasons to be in a fault the first one is kept.
        with m.If((running & (code != Fault.NONE)) | (tripped & ~fsm.ongoing("FAULT")) | self.abort):
            m.d.sync += self.fault.eq(Cat(code, Const(0, CAUSE_AT - len(code)), cause) | ins.pc << 16)
        m.d.comb += self.tile_abort.eq(~running & outstanding)

        waiting = Signal()
        m.d.comb += [
            waiting.eq(next_ & ~active & ~self.sample_ready & (self.credit == 0)),
            self.state.eq(
                Mux(
                    fsm.ongoing("IDLE"),
                    Seen.IDLE,
                    Mux(fsm.ongoing("FAULT"), Seen.FAULT, Mux(waiting, Seen.PAUSED, Seen.TRAINING)),
                )
            ),
            self.cycle.eq(self.run | self.sample_take),
            self.read_cycle.eq(self.run & ins.reader),
            self.pulse_cycle.eq(self.run & ins.planner),
        ]
        return m
