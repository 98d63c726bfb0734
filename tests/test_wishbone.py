"""The controller behind a Wishbone bus does what it does behind a UART, and every byte of its answers arrives."""

from dataclasses import replace

from amaranth.sim import Simulator

from backpulse.firmware_py.config import ABI_VERSION, IDEAL
from backpulse.firmware_py.framing import RESPONSE, Deframer, Frame, Opcode, Status
from backpulse.firmware_py.garbage import uncollected
from backpulse.firmware_py.registers import MAGIC, REG, Window
from backpulse.gateware.export import wishbone
from backpulse.gateware.export.export import CONTROLLER, export
from backpulse.gateware.export.wishbone import Wishbone

CONFIG = replace(
    IDEAL, tile_rows=8, tile_cols=2, tiles=1, program_words=64, regions=16, vectors=16, vector_words=64, store_words=64, order_depth=16,
    result_depth=16, output_depth=0, trace_words=0, page_bytes=16,
)  # fmt: skip
ACCESSES = 2000
ANSWER_CYCLES = 1000
"""Longer than the answer to a HELLO takes on the line."""


def frames(*commands):
    """Return the frames of a session's commands, numbered."""
    return [Frame(Opcode.HELLO, 9, bytes(range(8))), *(Frame(opcode, i, payload) for i, (opcode, payload) in enumerate(commands))]


def word(value):
    return value.to_bytes(4, "little")


def talk(sent, *, late=()):
    """Send frames to the controller through the bus, some `late`; return its answers, and the states that STATUS told.

    The answers to the late ones are looked for when all have been sent, and some time later.
    """
    component, heard, states = Wishbone(CONFIG), [], set()

    async def access(ctx, adr, value=None):
        ctx.set(component.adr, adr)
        ctx.set(component.we, value is not None)
        ctx.set(component.dat_w, value or 0)
        ctx.set(component.cyc, 1)
        ctx.set(component.stb, 1)
        while True:
            await ctx.tick()
            if ctx.get(component.ack):
                break
        answer = ctx.get(component.dat_r)
        ctx.set(component.cyc, 0)
        ctx.set(component.stb, 0)
        await ctx.tick()
        assert not ctx.get(component.ack)
        return answer

    async def answers(ctx, count):
        deframer, found = Deframer(), []
        for _ in range(ACCESSES):
            status = await access(ctx, 1)
            states.add(status >> 4)
            if status & 1:
                data = await access(ctx, 0)
                assert data >> 8 == 1
                found += deframer.feed(bytes([data & 0xFF]))
            if len(found) == count:
                break
        return found

    async def send(ctx, frame):
        for byte in b"\0" + frame.encode():
            await access(ctx, 0, byte)

    async def processor(ctx):
        assert (await access(ctx, 0)) >> 8 == 0, "there is no byte yet, and DATA says so"
        for frame in sent:
            await send(ctx, frame)
            heard.extend(await answers(ctx, 1))
        for frame in late:
            await send(ctx, frame)
        await ctx.tick().repeat(ANSWER_CYCLES)
        heard.extend(await answers(ctx, len(late)))

    with uncollected():
        simulator = Simulator(component)
        simulator.add_clock(1e-6)
        simulator.add_testbench(processor)
        simulator.run()
    return heard, states


def test_the_registers_are_reached_through_the_bus_and_a_slow_processor_finds_its_answer():
    cells = Window.CELLS.base
    sent = frames(
        (Opcode.READ, word(REG["MAGIC"].address) + b"\1"),
        (Opcode.WRITE, word(cells) + word(5) + word(0xFFFFFFF9)),
        (Opcode.READ, word(cells) + b"\2"),
        (Opcode.START, b""),
        (Opcode.READ, word(REG["STATE"].address) + b"\1"),
    )
    late = frames()
    heard, states = talk(sent, late=late)
    assert [frame.seq for frame in heard[len(sent) :]] == [frame.seq for frame in late]
    del heard[len(sent) :]
    assert [(frame.opcode, frame.seq) for frame in heard] == [(frame.opcode | RESPONSE, frame.seq) for frame in sent]
    assert all(frame.payload[0] == Status.OK for frame in heard)
    hello, magic, _, back, _, state = (frame.payload[1:] for frame in heard)
    assert hello == word(ABI_VERSION) + b"\0\0"
    assert magic == word(MAGIC)
    assert back == word(5) + word(0xFFFFFFF9)
    assert states >= {0, int.from_bytes(state, "little")}, "the program memory is empty: a fault, which both ways tell"
    assert state == word(3)


def test_its_verilog_is_one_module_with_the_bus():
    text = export(Wishbone(CONFIG), CONTROLLER)
    ports = text[text.index("\nmodule backpulse(") :].partition(";")[0]
    assert set(ports.partition("(")[2].strip(")").replace(" ", "").split(",")) == {
        *("clk", "rst", "adr", "dat_w", "dat_r", "we", "cyc", "stb", "ack"),
    }


def test_a_slow_processor_would_lose_its_answer_without_room_for_it(monkeypatch):
    monkeypatch.setattr(wishbone, "RECEIVED_BYTES", 8)
    heard, _ = talk((), late=frames())
    assert not heard
