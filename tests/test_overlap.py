from dataclasses import replace

import pytest

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.isa import Function, Instruction, Op, Region, Vector
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.overlap import overtaken

REGION = Region(tile=0, row0=0, rows=3, col0=0, cols=5, row_offset=1, col_offset=2, scale_log2=0)
READ = Instruction(op=Op.READ, a=0, b=1, c=2, function=Function.HADAMARD_SIGMOID)


def at(*bases, length=6):
    return [Vector(base=base, length=length) for base in bases]


@pytest.mark.parametrize(
    ("ins", "bases", "bad"),
    [
        (READ, (10, 30, 30), False),
        (READ, (10, 34, 30), True),  # five columns
        (READ, (10, 35, 30), False),
        (READ, (10, 29, 30), False),
        (READ, (10, 12, 50), False),  # what is driven has been read
        (READ, (10, 2, 62), True),  # around the end of memory
        (replace(READ, op=Op.READT), (10, 33, 30), False),  # three rows
        (replace(READ, function=Function.NONE), (10, 34, 30), False),
        (replace(READ, function=Function.NONE, accumulate=1), (10, 34, 30), False),
        (Instruction(op=Op.ERR, a=0, b=1, c=2), (10, 20, 15), True),
        (Instruction(op=Op.ERR, a=0, b=1, c=2), (10, 20, 25), True),
        (Instruction(op=Op.ERR, a=0, b=1, c=2), (10, 20, 20), False),
        (Instruction(op=Op.AXPY, a=0, b=1), (10, 11, 0), True),
        (Instruction(op=Op.AXPY, a=0, b=1), (11, 10, 0), False),
        (Instruction(op=Op.NORM2, a=0, b=1), (10, 11, 0), False),
        (Instruction(op=Op.PULSE, a=0, b=1), (10, 11, 0), False),
    ],
)
def test_a_result_may_not_begin_behind_the_start_of_what_is_read(ins, bases, bad):
    assert overtaken(ins, [REGION], at(*bases), 64) is bad


def test_a_sample_is_no_word_of_vector_memory():
    vectors = [Vector(base=10, length=6, sample=1), Vector(base=11, length=6)]
    assert not overtaken(Instruction(op=Op.AXPY, a=0, b=1), [REGION], vectors, 64)


def test_a_vector_longer_than_memory_meets_itself():
    assert overtaken(Instruction(op=Op.AXPY, a=0, b=0), [REGION], at(0, length=65), 64)


def test_a_program_that_does_so_is_refused():
    program = compile_network(Network(layers=(4, 3, 2)), DEFAULT)
    moved = tuple(replace(v, base=program.vectors[0].base + i) for i, v in enumerate(program.vectors))
    text = r"Instruction 3, READT, writes its result over words of a vector that it has yet to read; move one of them"
    with pytest.raises(ValueError, match=text):
        replace(program, vectors=moved)
