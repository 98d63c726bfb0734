"""The table of operations: what is in it is known everywhere, and what a part does not handle it refuses by name."""

import subprocess
import sys
from pathlib import Path

import pytest

from backpulse.firmware_py import isa
from backpulse.firmware_py.isa import OPERATIONS, Function, Instruction, Op, Unit, require

PARTS = {
    "golden model",
    "listing",
    "timing of full machines",
    "timing of lean machines",
    "vector arithmetic of full machines",
    "vector arithmetic of lean machines",
}
"""Those that have to be told what an elementwise operation is; liveness, fetching, decoding and the vectors' magnitudes need not."""

EXTENDED = """
import sys, types
from pathlib import Path

import backpulse.firmware_py as firmware

text = Path(sys.argv[1]).read_text()
op, row, where = "    END = 8\\n", sys.argv[2], "    Op.END: Operation(unit=Unit.SEQUENCER),\\n"
assert text.count(op) == text.count(where) == 1
name = "backpulse.firmware_py.isa"
module = sys.modules[name] = firmware.isa = types.ModuleType(name)
exec(compile(text.replace(op, op + "    SIGN = 9\\n").replace(where, where + row), sys.argv[1], "exec"), module.__dict__)

strict = module.require
def collecting(part, handled, *units):
    try:
        strict(part, handled, *units)
    except NotImplementedError as error:
        print(error)
if sys.argv[3:]:
    module.require = collecting

import backpulse.firmware_py.golden, backpulse.firmware_py.compiler
import backpulse.rtl.core.core, backpulse.rtl.tile.emulated, backpulse.rtl.tile.lean

ins = module.Instruction(op=module.Op.SIGN, a=5, b=6)
assert (ins.reads, ins.writes) == ([5], [6])
from amaranth.hdl import Const, Module
from amaranth.sim import Simulator
from backpulse.rtl.core.decode import control
m = Module()
bits = control(m, Const(9, 4), Const(1, 4))
async def check(given):
    print("decoded", *(key for key, _ in bits.shape() if given.get(getattr(bits, key))))
simulator = Simulator(m)
simulator.add_testbench(check)
simulator.run()
"""
ROW = """    Op.SIGN: Operation(
        unit=Unit.ARITHMETIC,
        functions=frozenset({Function.NONE}),
        first=Operand("a", Span.ALL),
        written=Operand("b", Span.ALL),
    ),
"""


def extended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Import everything with an operation more in the table of operations, in a process of its own."""
    command = [sys.executable, "-c", EXTENDED, isa.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])


def test_an_operation_without_a_row_is_refused() -> None:
    found = extended("")
    assert "NotImplementedError: The table of operations does not handle operation SIGN of firmware_py/isa.py" in found.stderr


def test_each_part_refuses_an_operation_that_it_does_not_handle() -> None:
    found = extended(ROW)
    assert "does not handle operation SIGN of firmware_py/isa.py" in found.stderr
    assert found.returncode
    found = extended(ROW, "collect")
    *refused, decoded = found.stdout.splitlines()
    assert set(refused) == {f"The {part} does not handle operation SIGN of firmware_py/isa.py" for part in PARTS}, found
    assert set(decoded.split()) == {"decoded", "sign", "arithmetic", "final"}


def test_require_names_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="The abacus does not handle operation READT, PULSE of"):
        require("abacus", [Op.READ], Unit.READER, Unit.PLANNER)
    require("abacus", [Op.NEXT, Op.END], Unit.SEQUENCER)


def test_each_operation_says_what_it_reads_and_writes() -> None:
    def vectors(op: Op, **fields: int) -> tuple[list[int], list[int]]:
        ins = Instruction(op=op, a=1, b=2, c=3, **{"function": min(OPERATIONS[op].functions), **fields})
        return ins.reads, ins.writes

    assert vectors(Op.READ) == ([1], [2])
    assert vectors(Op.READT, accumulate=1) == ([1, 2], [2])
    assert vectors(Op.READ, function=Function.HADAMARD_TANH) == ([1, 3], [2])
    assert vectors(Op.PULSE) == ([2, 1], [])
    assert vectors(Op.ERR) == ([1, 2], [3])
    assert vectors(Op.NORM2) == ([1], [])
    assert vectors(Op.AXPY) == ([1, 2], [2])
    assert vectors(Op.NEXT) == vectors(Op.END) == ([], [])
