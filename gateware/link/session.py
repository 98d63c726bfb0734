"""The board's end of the link in hardware: firmware_py/endpoint.py, bit for bit."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.framing import MAX_GRANT, MAX_WORDS, NONCE_BYTES, RESPONSE, WINDOW, Opcode, Status
from backpulse.firmware_py.registers import ANYTIME, WINDOW_SHIFT, State
from backpulse.gateware.link.bus import ADDRESS_BITS
from backpulse.gateware.link.frames import FRAME, RECEIVED, Receiver, Transmitter
from backpulse.rtl.lib.ports import HostPort

__all__ = ["Executor", "Session"]

RX_FIFO_DEPTH = 256
"""Received bytes that may wait while a command is executed or its answer is sent."""


def _control(order_depth: int) -> dict[str, wiring.Member]:
    """Members by which the link drives the machine."""
    return {
        "bus": Out(HostPort(ADDRESS_BITS)),
        "start": Out(1),
        "halt": Out(1),
        "abort": Out(1),
        "clear_credit": Out(1),
        "order": Out(stream.Signature(16)),
        "order_room": In(range(order_depth + 1)),
        "state": In(2),
        "nonce": Out(8 * NONCE_BYTES),
        "busy": Out(1),
    }


class Executor(wiring.Component):
    """Executes the commands of good frames, each exactly once and in order, and answers every one of them.

    A command takes a few cycles more than it has bytes, and what the bus takes for its words. It stalls the
    input until the transmitter has its answer. A slave that never acknowledges stalls it for ever; nothing
    else does.

    Parameters
    ----------
    order_depth
        Samples that the machine's order can hold.

    Members
    -------
    i, i_length
        Good frames and the bytes of the payload at hand.
    o
        Answers.
    bus
        Master of the bus, a word at a time.
    start, halt, abort, clear_credit
        Commands to the machine, high for one cycle.
    order, order_room
        Granted sample indices, and how many the machine can take.
    state
        The machine's `State`.
    nonce
        Nonce of the session.
    busy
        A command is executing.
    """

    def __init__(self, *, order_depth: int) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(RECEIVED)),
                "i_length": In(8),
                "o": Out(stream.Signature(FRAME)),
                **_control(order_depth),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # The command: its first bytes, then an address and words, gathered byte by byte.
        opcode = Signal(8)
        seq = Signal(8)
        status = Signal(Status)
        more = Signal()
        fresh = Signal()
        index = Signal(4)
        count = Signal(range(MAX_WORDS + 1))
        address = Signal(ADDRESS_BITS)
        word = Signal(32)
        requests = Signal()  # register, not the state decoded: the bus decoder is far away on a large chip
        # The session: the answers to the last commands, by sequence number, for a host that missed one.
        opened = Signal()
        same = Signal()
        expected = Signal(8)
        statuses = Array(Signal(Status, init=Status.SEQUENCE, name=f"status_{i}") for i in range(WINDOW))

        length = Signal(8)
        behind = Signal(8)
        cached = Signal(Status)
        recent = (behind <= WINDOW) & (cached != Status.SEQUENCE)
        reading = Signal()
        running = Signal()
        anytime = Signal()
        fourth = index[:2] == 3
        abi = Const(ABI_VERSION, 32)
        answer = Array(
            [opcode | RESPONSE, seq, status, *(abi[i : i + 8] for i in range(0, 32, 8)), expected, same]
        )

        def finish(code):
            m.d.sync += status.eq(code)
            m.next = "DRAIN"

        m.d.comb += [
            behind.eq(expected - seq),
            cached.eq(statuses[seq[:3]]),
            reading.eq(opcode == Opcode.READ),
            running.eq((self.state == State.TRAINING) | (self.state == State.PAUSED)),
            self.bus.addr.eq(address),
            self.bus.w_data.eq(word),
            self.bus.write.eq(~reading),
            self.bus.request.eq(requests),
            self.order.payload.eq(word[16:]),
        ]
        with m.Switch(address[WINDOW_SHIFT:]):
            with m.Case(*sorted(ANYTIME)):
                m.d.comb += anytime.eq(1)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [more.eq(~self.i.p.last), index.eq(index + 1), word.eq(Cat(word[8:], self.i.p.data))]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("OPCODE"))
            with m.State("OPCODE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [opcode.eq(self.i.p.data), fresh.eq(0), same.eq(opened)]
                with m.If(self.i.valid):
                    m.next = "SEQ"
            with m.State("SEQ"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [seq.eq(self.i.p.data), length.eq(self.i_length)]
                with m.If(self.i.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += index.eq(0)
                with m.If(opcode == Opcode.HELLO):
                    m.next = "HELLO"
                    with m.If(length != NONCE_BYTES):
                        finish(Status.BAD_LENGTH)
                with m.Elif(~opened):
                    finish(Status.NO_SESSION)
                with m.Elif((opcode == Opcode.HALT) | (opcode == Opcode.ABORT)):
                    finish(Status.OK)
                    with m.If(length != 0):
                        finish(Status.BAD_LENGTH)
                    with m.Else():
                        m.d.comb += [
                            self.halt.eq(opcode == Opcode.HALT),
                            self.abort.eq(opcode == Opcode.ABORT),
                        ]
                with m.Elif((behind == 0) | (recent & reading)):
                    m.d.sync += fresh.eq(behind == 0)
                    m.next = "EXECUTE"
                with m.Else():
                    finish(Mux(recent, cached, Status.SEQUENCE))
            with m.State("EXECUTE"):
                with m.Switch(opcode):
                    with m.Case(Opcode.READ):
                        m.next = "ADDRESS"
                        with m.If(length != 5):
                            finish(Status.BAD_LENGTH)
                    with m.Case(Opcode.WRITE):
                        m.next = "ADDRESS"
                        with m.If(length[:2].any() | ~length[3:].any()):
                            finish(Status.BAD_LENGTH)
                    with m.Case(Opcode.START):
                        with m.If(length != 0):
                            finish(Status.BAD_LENGTH)
                        with m.Elif(running):
                            finish(Status.BUSY)
                        with m.Else():
                            m.d.comb += self.start.eq(1)
                            finish(Status.OK)
                    with m.Case(Opcode.GRANT):
                        m.next = "GRANT"
                        with m.If(length[0] | (length == 0) | (length > 2 * MAX_GRANT)):
                            finish(Status.BAD_LENGTH)
                        with m.Elif(~running):
                            finish(Status.NOT_RUNNING)
                        with m.Elif(self.order_room < length[1:]):
                            finish(Status.FULL)
                    with m.Default():
                        finish(Status.UNKNOWN_OPCODE)
            with m.State("HELLO"):
                # The new nonce pushes the old one out, byte by byte past the comparison.
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        self.nonce.eq(Cat(self.nonce[8:], self.i.p.data)),
                        same.eq(same & (self.nonce[:8] == self.i.p.data)),
                    ]
                    with m.If(self.i.p.last):
                        m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += self.clear_credit.eq(~same)
                m.d.sync += opened.eq(1)
                with m.If(~same):
                    m.d.sync += [expected.eq(0), *(s.eq(Status.SEQUENCE) for s in statuses)]
                finish(Status.OK)
            with m.State("ADDRESS"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += address.eq(Cat(address[8:], self.i.p.data))
                    with m.If(fourth):
                        m.next = "WORD"
                        with m.If(reading):
                            m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += count.eq(self.i.p.data)
                with m.If(self.i.valid):
                    finish(Status.OK)
                    with m.If((self.i.p.data == 0) | (self.i.p.data > MAX_WORDS)):
                        finish(Status.BAD_LENGTH)
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & fourth):
                    m.next = "GATE"
            with m.State("GATE"):
                m.d.sync += requests.eq(1)
                m.next = "BUS"
                with m.If((self.state == State.TRAINING) & ~anytime):
                    m.d.sync += requests.eq(0)
                    finish(Status.BUSY)
            with m.State("BUS"):
                with m.If(self.bus.ack):
                    m.d.sync += [requests.eq(0), address.eq(address + 1), index.eq(0)]
                    with m.If(self.bus.error):
                        finish(Status.BAD_ADDRESS)
                    with m.Elif(reading):
                        m.d.sync += word.eq(self.bus.r_data)
                        m.next = "DATA"
                    with m.Elif(more):
                        m.next = "WORD"
                    with m.Else():
                        finish(Status.OK)
            with m.State("DATA"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(word[:8]),
                    self.o.p.last.eq((count == 1) & fourth),
                ]
                with m.If(self.o.ready):
                    m.d.sync += [word.eq(word[8:]), index.eq(index + 1)]
                    with m.If(fourth):
                        m.d.sync += count.eq(count - 1)
                        m.next = "GATE"
                        with m.If(self.o.p.last):
                            m.next = "DONE"
            with m.State("GRANT"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & index[0]):
                    m.next = "ORDER"
            with m.State("ORDER"):
                m.d.comb += self.order.valid.eq(1)
                with m.If(self.order.ready):
                    m.next = "GRANT"
                    with m.If(~more):
                        finish(Status.OK)
            with m.State("DRAIN"):
                m.d.comb += self.i.ready.eq(more)
                with m.If(~more):
                    m.d.sync += index.eq(0)
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                # A READ's words follow its OK at once; if one of them fails, another answer replaces this
                # one.
                words = reading & (status == Status.OK)
                hello = (opcode == Opcode.HELLO) & (status == Status.OK)
                refused = status == Status.SEQUENCE
                end = Signal()
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(answer[index]),
                    self.o.p.first.eq(index == 0),
                    end.eq(((index == 2) & ~hello & ~refused) | ((index == 7) & refused) | (index == 8)),
                    self.o.p.last.eq(end & ~words),
                ]
                with m.If(self.o.ready):
                    m.d.sync += index.eq(Mux((index == 2) & refused, 7, index + 1))
                    with m.If(end):
                        m.d.sync += index.eq(0)
                        m.next = "DONE"
                        with m.If(words):
                            m.next = "GATE"
            with m.State("DONE"):
                m.next = "OPCODE"
                with m.If(fresh):
                    m.d.sync += [statuses[seq[:3]].eq(status), expected.eq(expected + 1)]
        return m


def _relay(m: Module, source: stream.Interface, sink: stream.Interface) -> Signal:
    """Pass words on through a register, one in two cycles; return whether it holds one."""
    full = Signal()
    word = Signal.like(source.payload)
    m.d.comb += [source.ready.eq(~full), sink.valid.eq(full), sink.payload.eq(word)]
    with m.If(~full):
        m.d.sync += [full.eq(source.valid), word.eq(source.payload)]
    with m.Elif(sink.ready):
        m.d.sync += full.eq(0)
    return full


class Session(wiring.Component):
    """The link between a byte pipe and the machine: frames in, exactly-once commands, frames out.

    Received bytes wait in a FIFO of 256 while an answer is sent. A host with eight outstanding commands
    overfills it only if long READs and long WRITEs mix, and then loses nothing but time.

    Parameters
    ----------
    order_depth
        Samples that the machine's order can hold.

    Members
    -------
    rx, tx
        Bytes of the line.
    bus, start, halt, abort, clear_credit, order, order_room, state, nonce
        As in `Executor`.
    busy
        Bytes are waiting, a command is executing, or an answer is being sent.
    """

    def __init__(self, *, order_depth: int) -> None:
        if order_depth < 1:
            raise ValueError(f"Order depth must be a positive integer, not {order_depth}")
        self._order_depth = order_depth
        super().__init__(
            {"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8)), **_control(order_depth)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=RX_FIFO_DEPTH)
        m.submodules.receiver = receiver = Receiver()
        m.submodules.executor = executor = Executor(order_depth=self._order_depth)
        m.submodules.transmitter = transmitter = Transmitter()

        wiring.connect(m, wiring.flipped(self.rx), fifo.w_stream)
        # Bytes are rare: a register between any two blocks costs no time, and no path leads through both.
        byte_held = _relay(m, fifo.r_stream, receiver.i)
        answer_held = _relay(m, executor.o, transmitter.i)
        command_held = _relay(m, receiver.o, executor.i)
        wiring.connect(m, transmitter.o, wiring.flipped(self.tx))
        wiring.connect(m, executor.bus, wiring.flipped(self.bus))
        held = byte_held | command_held | answer_held | _relay(m, executor.order, self.order)
        with m.If(receiver.o.valid):
            m.d.sync += executor.i_length.eq(receiver.length)
        m.d.comb += [
            self.busy.eq(
                self.rx.valid | (fifo.r_level != 0) | held | receiver.busy | executor.busy | transmitter.busy
            ),
        ]
        m.d.sync += [executor.order_room.eq(self.order_room), executor.state.eq(self.state)]
        m.d.comb += self.nonce.eq(executor.nonce)
        m.d.sync += [
            getattr(self, name).eq(getattr(executor, name))
            for name in ("start", "halt", "abort", "clear_credit")
        ]
        return m
