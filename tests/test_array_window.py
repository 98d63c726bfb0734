"""The ARRAY window of a golden board through its link, trips, and profiles."""

from dataclasses import replace
from struct import pack, unpack

import numpy as np
import pytest

from backpulse.firmware_py.config import DEFAULT, LEAN
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import RESPONSE, BusError, Deframer, Frame, Opcode, Status
from backpulse.firmware_py.image import instruction_words
from backpulse.firmware_py.isa import Instruction, Op, Region, Vector
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import (
    ARRAY_WORDS,
    CAUSE_AT,
    REG,
    ArrayWord,
    Capability,
    Cause,
    Counter,
    Fault,
    State,
    TileKind,
    TileState,
    Window,
)
from backpulse.firmware_py.tile_facts import EMULATED, TileFacts
from backpulse.firmware_py.timing import REFUSED_CYCLES

CONFIG = replace(DEFAULT, tile_rows=8, tile_cols=4, program_words=16, regions=2, vectors=8)
ANALOG = TileFacts(kind=TileKind.ANALOG, capabilities=Capability.TRIPS, profiles=3, safe_cycles=900)


class Line:
    """A session with a golden machine."""

    def __init__(self, machine: GoldenMachine) -> None:
        self._endpoint, self._seq = Endpoint(machine), 0
        self.ask(Opcode.HELLO, b"12345678")
        self._seq = 0

    def ask(self, opcode: Opcode, payload: bytes = b"") -> tuple[Status, bytes]:
        """Send a frame; return the answer."""
        (answer,) = Deframer().feed(self._endpoint.feed(Frame(opcode, self._seq, payload).encode()))
        assert answer.opcode == opcode | RESPONSE
        self._seq += 1
        return Status(answer.payload[0]), answer.payload[1:]

    def read(self, address: int) -> tuple[Status, tuple[int, ...]]:
        """Read one word."""
        status, data = self.ask(Opcode.READ, pack("<IB", address, 1))
        return status, unpack(f"<{len(data) // 4}I", data)


def with_program(*program: Instruction, facts: TileFacts = EMULATED) -> GoldenMachine:
    """Return a machine with a program, on one region and vectors of zeros."""
    machine = GoldenMachine(CONFIG, facts=facts)
    machine.write_words(Window.PROGRAM.base, np.array(instruction_words([ins.encode() for ins in program]), "<u4"))
    region = Region(tile=0, row0=0, rows=4, col0=0, cols=3, row_offset=0, col_offset=0, scale_log2=0)
    machine.write_words(Window.REGIONS.base, np.array(region.to_words(), "<u4"))
    for i in range(CONFIG.vectors):
        machine.write(Window.VECTORS.base + i, Vector(base=8 * i, length=4).to_word())
    return machine


def test_it_answers_at_any_time():
    machine = with_program(Instruction(op=Op.NEXT))
    line = Line(machine)
    assert line.ask(Opcode.START)[0] is Status.OK
    assert line.ask(Opcode.GRANT, pack("<H", 0))[0] is Status.OK
    assert machine.state == State.TRAINING
    assert line.read(Window.CELLS.base)[0] is Status.BUSY
    expected = EMULATED.words() | {ArrayWord.STATE: TileState.SAFE}
    for word in range(ARRAY_WORDS):
        assert line.read(Window.ARRAY.base + word) == (Status.OK, (expected.get(ArrayWord(word), 0) if word in set(ArrayWord) else 0,))
    assert line.read(Window.ARRAY.base + ARRAY_WORDS)[0] is Status.BAD_ADDRESS
    assert line.ask(Opcode.WRITE, pack("<II", Window.ARRAY.base + ArrayWord.KIND, 3))[0] is Status.BAD_ADDRESS


def test_lean_machines_have_none():
    machine = GoldenMachine(LEAN)
    with pytest.raises(BusError):
        machine.read(Window.ARRAY.base)
    assert Line(machine).read(Window.ARRAY.base + ArrayWord.STATE)[0] is Status.BAD_ADDRESS


def test_a_trip_is_a_fault_until_it_is_written():
    machine = with_program(Instruction(op=Op.NEXT), facts=ANALOG)
    fault = Fault.TILE | Cause.INTERLOCK << CAUSE_AT
    machine.trip(Cause.INTERLOCK)
    machine.trip(Cause.RAIL)
    for _ in range(2):
        assert machine.state == State.FAULT
        assert machine.read(REG["FAULT"].address) == fault
        assert machine.read(Window.ARRAY.base + ArrayWord.TRIP) == Cause.INTERLOCK
        assert machine.read(Window.ARRAY.base + ArrayWord.STATE) == TileState.SAFE | TileState.TRIPPED
        machine.start()
    machine.write(Window.ARRAY.base + ArrayWord.TRIP, 0)
    assert machine.read(Window.ARRAY.base + ArrayWord.STATE) == TileState.SAFE
    machine.start()
    assert machine.state == State.PAUSED
    machine.abort()
    machine.trip(Cause.RAIL)
    assert machine.read(REG["FAULT"].address) & 0xFFFF == Fault.ABORTED, "the first reason stays"


@pytest.mark.parametrize("op", [Op.READ, Op.PULSE])
def test_profiles_are_those_of_the_tile(op):
    program = (Instruction(op=op, profile=2, a=1, b=2), Instruction(op=op, profile=3, a=1, b=2))
    machine = with_program(*program, facts=ANALOG)
    machine.start()
    assert machine.read(REG["FAULT"].address) == Fault.BAD_OPERAND | 1 << 16
    done, timer = machine.memory.counters, Counter.PULSE_CYCLES if op is Op.PULSE else Counter.READ_CYCLES
    known = with_program(program[0], Instruction(op=Op.END), facts=ANALOG)
    known.start()
    assert known.state == State.IDLE
    for counter in (Counter.CYCLES, timer):
        assert done[counter] == known.memory.counters[counter] + REFUSED_CYCLES
    emulated = with_program(*program)
    emulated.start()
    assert emulated.read(REG["FAULT"].address) == Fault.BAD_OPERAND


def test_a_profile_without_a_region_is_no_instruction():
    machine = with_program(Instruction(op=Op.END, profile=1))
    machine.start()
    assert machine.read(REG["FAULT"].address) == Fault.UNKNOWN_WORD
