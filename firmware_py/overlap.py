"""The one thing that a program must not do with vector memory, and that no machine checks: docs/machine.md, Vectors."""

from collections.abc import Sequence

from backpulse.firmware_py.isa import Function, Instruction, Op, Region, Vector

__all__ = ["overtaken"]


def overtaken(ins: Instruction, regions: Sequence[Region], vectors: Sequence[Vector], vector_words: int) -> bool:
    """Say whether an instruction writes words that it has yet to read: whether its result begins inside a vector that it reads, behind its start.

    Elements are read some way ahead of the word that is written, how far depends on the machine. The vector that a READ drives is read before
    anything is written, and what an instruction reads where it writes, or beyond, it has read before.

    Parameters
    ----------
    ins
        An instruction whose operands can be used.
    regions, vectors, vector_words
        The tables, and the words of vector memory, around which addresses go.
    """
    count = vectors[ins.a].length
    if ins.op in (Op.READ, Op.READT):
        region = regions[ins.region]
        count = region.cols if ins.op is Op.READ else region.rows
        to, read = ins.b, [ins.b] * ins.accumulate + [ins.c] * (ins.function >= Function.HADAMARD_SIGMOID)
    elif ins.op is Op.ERR:
        to, read = ins.c, [ins.a, ins.b]
    elif ins.op is Op.AXPY:
        to, read = ins.b, [ins.a, ins.b]
    else:
        return False
    ahead = [(vectors[to].base - vectors[v].base) % vector_words for v in read if not vectors[v].sample]
    return any(0 < n < count or count > vector_words for n in ahead)
