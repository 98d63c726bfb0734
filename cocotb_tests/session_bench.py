"""Bench of the session: the bytes and the machine's log must be those of the golden endpoint, whatever comes in."""

from collections import Counter
from struct import pack

import cocotb
from cocotb.triggers import FallingEdge, First, ReadOnly, Timer, ValueChange

from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import BusError, Deframer, Frame, Opcode, Status
from backpulse.firmware_py.registers import State
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import PERIOD_NS, Sink, Source, cycles, generator, nonzero, pattern, sink_pause, start
from tests.toy import ToyMachine

BASE = ToyMachine.BASE
NONCES = [b"\0" * 8, b"01234567", b"01234568", b"\xff1234567"]


class Moody(ToyMachine):
    """A toy whose last word sets the state, so that frames can."""

    def write(self, address, value):
        super().write(address, value)
        if address == BASE + 255:
            self.state = State(value % 4)


class TB:
    """The session, a toy machine on its ports, and the same toy machine behind the golden endpoint."""

    def __init__(self, dut, *, source_pause="never", sink="never", seed=1):
        self.dut, self.random = dut, generator(seed)
        self.machine, self.golden = Moody(), Moody()
        self.endpoint = Endpoint(self.golden)
        self.source = Source(dut, "rx", 8, pause=pattern(source_pause, seed))
        self.sink = Sink(dut, "tx", 8, pause=sink_pause(sink, seed))
        self.order = Sink(dut, "order", 16, pause=sink_pause(sink, seed + 1))
        self.seq = 0
        for name in ("bus__ack", "bus__r_data", "bus__error", "state"):
            getattr(dut, name).value = 0
        dut.order_room.value = self.machine.room
        self.want = b""

    async def open(self):
        await start(self.dut)
        cocotb.start_soon(self._slave())
        cocotb.start_soon(self._machine())

    async def _slave(self):
        """Acknowledge requests after up to three cycles."""
        dut, rng = self.dut, generator(7)
        while True:
            await FallingEdge(dut.clk)
            dut.bus__ack.value = 0
            await nonzero(dut, dut.bus__request)
            request = self._request()
            for _ in range(rng.randrange(4)):
                await FallingEdge(dut.clk)
                await ReadOnly()
                assert self._request() == request, "a request must stay until it is acknowledged"
            await FallingEdge(dut.clk)
            write, address, data = request
            dut.bus__error.value, dut.bus__r_data.value = 0, rng.getrandbits(32)
            try:
                if write:
                    self.machine.write(address, data)
                else:
                    dut.bus__r_data.value = self.machine.read(address)
            except BusError:
                dut.bus__error.value = 1
            dut.bus__ack.value = 1
            self._show()

    def _request(self):
        dut = self.dut
        assert int(dut.bus__request.value)
        write = int(dut.bus__write.value)
        return write, int(dut.bus__addr.value), int(dut.bus__w_data.value) if write else 0

    def _show(self):
        self.dut.state.value = int(self.machine.state)
        self.dut.order_room.value = self.machine.room

    async def _machine(self):
        """Log the strobes and the order, and drive the state; samples of one GRANT follow each other in the log."""
        dut = self.dut
        strobes = {name: getattr(dut, name) for name in ("start", "halt", "abort", "clear_credit")}
        while True:
            await FallingEdge(dut.clk)
            self._show()
            await nonzero(dut, *strobes.values(), dut.order__valid)
            if self.order.words:
                self.machine.log += [("sample", i) for i in self.order.words]
                self.machine.room -= len(self.order.words)
                self.order.words.clear()
            for name, pin in strobes.items():
                if int(pin.value):
                    getattr(self.machine, name)()

    def send(self, data):
        """Queue bytes for the design and give them to the golden endpoint."""
        self.source.send(data)
        self.want += self.endpoint.feed(data)

    def covers(self, *statuses):
        """Insist that the golden endpoint has given each of these answers at least three times: other benches show nothing."""
        seen = Counter(frame.payload[0] for frame in Deframer().feed(self.want))
        assert all(seen[status] >= 3 for status in statuses), seen

    async def finish(self):
        """Wait for the last answer, then compare everything."""
        await self.source.drain()
        changed = ValueChange(self.dut.busy)
        while await First(changed, Timer(50 * PERIOD_NS, "ns")) is changed or int(self.dut.busy.value):
            pass
        await FallingEdge(self.dut.clk)
        got, want = Deframer().feed(bytes(self.sink.words)), Deframer().feed(self.want)
        for i, pair in enumerate(zip(got, want, strict=False)):
            assert pair[0] == pair[1], f"answer {i}"
        self.sink.expect(list(self.want))
        log = []
        for name, *values in self.golden.log:
            log += [("sample", v) for v in values] if name == "grant" else [(name, *values)]
        assert self.machine.log == log
        assert self.machine.words == self.golden.words
        if self.golden.session and hasattr(self.dut, "nonce"):
            assert int(self.dut.nonce.value) == self.golden.session
        self.want = b""

    def frame(self, opcode, payload=b"", seq=None):
        """Queue a frame, by default with the next sequence number."""
        if seq is None:
            seq = self.seq
            self.seq = (self.seq + 1) & 0xFF
        self.send(Frame(opcode, seq, payload).encode())

    def random_payload(self, opcode):
        """Mostly a sound payload of a command, sometimes any."""
        rng = self.random
        if rng.random() < 0.08:
            return rng.randbytes(rng.randrange(12))
        address = rng.choice([BASE + rng.randrange(256)] * 6 + [BASE + 255] + [rng.getrandbits(32), 1 << 28, 0xFFFFFFFF, 6 << 28])
        count = rng.choice([1, 1, 2, 3, 8, 60])
        match opcode:
            case Opcode.READ:
                return pack("<IB", address, rng.choice([count] * 9 + [0, 61, 255]))
            case Opcode.WRITE:
                return pack(f"<I{count}I", address, *(rng.getrandbits(32) for _ in range(count)))
            case Opcode.GRANT:
                count = rng.choice([1, 2, 5, 120, 121])
                return pack(f"<{count}H", *(rng.getrandbits(16) for _ in range(count)))
        return b""


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize((("source_pause", "sink"), [("never", "never"), ("bursts", "often"), ("never", "late")]))
async def random_commands(dut, source_pause, sink):
    """Commands of all kinds, sound or not, in order, repeated, ahead and far behind, with damaged frames and noise among them."""
    tb = TB(dut, source_pause=source_pause, sink=sink, seed=11)
    rng = tb.random
    await tb.open()
    sent: list[tuple[int, bytes, int]] = [(Opcode.READ, b"", 0)]
    for _ in range(3):
        tb.frame(Opcode.WRITE, pack("<II", BASE, 1), 0)
    tb.frame(Opcode.HELLO, b"short", 0)
    tb.send(Frame(Opcode.HELLO, 0, NONCES[0]).encode())
    for _ in range(parameters()["frames"]):
        kind = rng.random()
        if kind < 0.04:
            nonce = rng.choice(NONCES)
            if nonce != tb.golden.session.to_bytes(8, "little"):
                tb.seq = 0
            tb.frame(Opcode.HELLO, nonce, rng.randrange(256))
        elif kind < 0.08:
            tb.frame(rng.choice([Opcode.HALT, Opcode.ABORT]), rng.choice([b"", b"", b"x"]), rng.randrange(256))
        elif kind < 0.2:
            opcode, payload, seq = rng.choice(sent[-9:])
            tb.frame(opcode, payload, seq)
        elif kind < 0.26:
            tb.frame(Opcode.WRITE, pack("<II", BASE, 7), (tb.seq + rng.choice([1, 2, 100, -1, -7, -8, -9, -12, -16])) & 0xFF)
        elif kind < 0.34:
            damaged = bytearray(Frame(Opcode.WRITE, tb.seq, pack("<II", BASE, 9)).encode())
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            tb.send(bytes(damaged) + b"\0")
        elif kind < 0.38:
            tb.send(rng.randbytes(rng.randrange(1, 300)) + b"\0")
        else:
            opcode = rng.choice([*[Opcode.READ, Opcode.WRITE] * 4, *[Opcode.GRANT] * 3, Opcode.START, 0, 8, 130])
            if opcode == Opcode.GRANT and rng.random() < 0.4:
                tb.frame(Opcode.START)
            payload = tb.random_payload(opcode)
            sent.append((opcode, payload, tb.seq))
            tb.frame(opcode, payload)
        if rng.random() < 0.3:
            await tb.source.drain()
            await cycles(dut, rng.randrange(200))
    if parameters()["frames"] >= 180:
        tb.covers(*Status)
    await tb.finish()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def noise(dut):
    """Random bytes change nothing and do not hang it."""
    tb = TB(dut, seed=5)
    await tb.open()
    for _ in range(4):
        tb.send(tb.random.randbytes(1000))
        tb.send(bytes(tb.random.randrange(3) for _ in range(200)))
    tb.send(b"\0")
    tb.frame(Opcode.HELLO, NONCES[1], 3)
    tb.frame(Opcode.WRITE, pack("<II", BASE + 3, 5), 0)
    await tb.finish()
    assert tb.machine.words[3] == 5


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def machine_in_any_state(dut):
    """Each state allows and refuses what the golden endpoint does; words on either side of a window's edge too."""
    tb = TB(dut, seed=6)
    await tb.open()
    tb.frame(Opcode.HELLO, NONCES[1], 0)
    for state in [0, 1, 2, 3, 1, 0]:
        tb.frame(Opcode.WRITE, pack("<II", BASE + 255, state))
        tb.frame(Opcode.GRANT, pack("<2H", 3, 4))
        for address in [0x0FFFFFFF, 1 << 28, 6 << 28, 0x7FFFFFFF, 8 << 28, BASE + 1]:
            tb.frame(Opcode.READ, pack("<IB", address, 2))
            tb.frame(Opcode.WRITE, pack("<III", address, 1, 2))
        tb.frame(Opcode.START)
        tb.frame(Opcode.ABORT if state & 1 else Opcode.HALT, seq=0)
    tb.covers(Status.OK, Status.BAD_ADDRESS, Status.BUSY, Status.NOT_RUNNING)
    await tb.finish()
