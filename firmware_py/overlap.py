"""The one thing that a program must not do with vector memory and that no machine checks: docs/machine.md, Vectors."""

from collections.abc import Sequence

from backpulse.firmware_py.isa import Instruction, Region, Span, Unit, Vector

__all__ = ["overtaken"]


def overtaken(ins: Instruction, regions: Sequence[Region], vectors: Sequence[Vector], vector_words: int) -> bool:
    """Say whether an instruction writes words that it has yet to read: its result begins inside a vector that it reads, behind its start.

    Elements are read some way ahead of the word that is written; how far, depends on the machine. What a READ drives is all read before it
    writes, and where an instruction reads what it writes, or beyond, it has read it before.

    Parameters
    ----------
    ins
        An instruction whose operands can be used.
    regions, vectors, vector_words
        The tables, and the words of vector memory, around which addresses go.
    """
    operation = ins.operation
    if operation.written is None:
        return False
    ahead = [operation.second, operation.other] + [operation.first] * (operation.unit is Unit.ARITHMETIC)
    # All have the same span: an offset into the result is one into what is read beside it.
    count = vectors[ins.a].length
    if operation.region:
        region = regions[ins.region]
        count = region.rows if operation.written.span is Span.ROWS else region.cols
    to = vectors[getattr(ins, operation.written.field)].base
    read = [vectors[getattr(ins, operand.field)] for operand in ahead if operand and ins.uses(operand)]
    return any(count > vector_words or 0 < (to - vector.base) % vector_words < count for vector in read if not vector.sample)
