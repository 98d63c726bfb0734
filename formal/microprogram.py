"""Runs a program of the small link's processor on terms of the solver: along every path from one place of it to the next."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import z3

from backpulse.gateware.link.microcode import Mode, Op, Port, When

from .processor import jumps, total

__all__ = ["Path", "feasible", "follow", "fresh"]

LONGEST = 2000
"""Instructions of a path: more than any between two cuts, so that a loop without a cut is an error and not a wait."""


def fresh(name: str, bits: int = 8) -> z3.BitVecRef:
    """Return a word of any value."""
    return z3.FreshConst(z3.BitVecSort(bits), name)


def _words(count: int) -> Callable[[], list[z3.BitVecRef]]:
    return lambda: [fresh("byte") for _ in range(count)]


def _page() -> z3.ArrayRef:
    return z3.FreshConst(z3.ArraySort(z3.BitVecSort(8), z3.BitVecSort(8)), "page")


@dataclass
class Path:
    """Where the processor is, what it holds, and what is known on the way there; at first anything.

    Members
    -------
    pc, a, carry, x
        Place in the program, accumulator, carry (one bit), X.
    pages
        Data memory, two pages of 256 bytes.
    address, low
        Bytes of the bus's address, and those of its data but for the last, which is the accumulator.
    word
        What was read.
    known
        Conditions that hold.
    effects
        What the world was told: (operation, operand, values of this moment).
    """

    pc: int
    a: z3.BitVecRef = field(default_factory=lambda: fresh("a"))
    carry: z3.BitVecRef = field(default_factory=lambda: fresh("carry", 1))
    x: z3.BitVecRef = field(default_factory=lambda: fresh("x"))
    pages: tuple[z3.ArrayRef, z3.ArrayRef] = field(default_factory=lambda: (_page(), _page()))
    address: list[z3.BitVecRef] = field(default_factory=_words(4))
    low: list[z3.BitVecRef] = field(default_factory=_words(3))
    word: list[z3.BitVecRef] = field(default_factory=_words(4))
    known: list[z3.BoolRef] = field(default_factory=list)
    effects: list[tuple[Op, int, "Path"]] = field(default_factory=list)

    def byte(self, address: int) -> z3.BitVecRef:
        """Return a byte of data memory."""
        return z3.simplify(z3.Select(self.pages[address >> 8], z3.BitVecVal(address & 0xFF, 8)))

    def copy(self) -> "Path":
        """Return a path that goes on by itself."""
        return replace(self, address=[*self.address], low=[*self.low], known=[*self.known], effects=[*self.effects])


def feasible(known: list[z3.BoolRef], *more: z3.BoolRef) -> bool:
    """Return whether conditions can hold together."""
    solver = z3.SolverFor("QF_ABV")
    solver.add(*known, *more)
    verdict = solver.check()
    if verdict == z3.unknown:
        raise RuntimeError(f"The solver does not decide: {solver.reason_unknown()}")
    return verdict == z3.sat


def follow(program: list[int], start: Path, cuts: set[int]) -> Iterator[Path]:
    """Yield every path from a place to the next cut; a LINE, the STATE and the CRC give any byte, an access of the bus any word and carry.

    Raises
    ------
    RuntimeError
        If a path meets no cut.
    """
    waiting = [start.copy()]
    while waiting:
        path = waiting.pop()
        for _ in range(LONGEST):
            other = _step(program[path.pc], path)
            if other is not None:
                waiting.append(other)
            if path.pc in cuts:
                yield path
                break
        else:
            raise RuntimeError(f"A path from {start.pc} meets no cut in {LONGEST} instructions")


def _step(word: int, path: Path) -> Path | None:
    """Execute one instruction; return the other path if both ways of a jump can be."""
    op, upper, operand = Op(word >> 12), word >> 9 & 7, word & 511
    here, path.pc = path.pc, path.pc + 1
    if op is Op.JUMP:
        return _jump(path, When(upper), operand)
    mode, page, at = Mode(upper & 3), operand >> 8, z3.BitVecVal(operand & 0xFF, 8)
    if mode is Mode.INDEXED and op < Op.CRC:
        at = path.x
        if upper & 4:
            path.x = z3.simplify(path.x + 1)
    if op in (Op.ST, Op.OUT, Op.BUS, Op.SEND, Op.STROBE):
        path.effects.append((op, operand, replace(path.copy(), pc=here, x=at if op is Op.ST else path.x)))
    match op:
        case Op.ST:
            pages = list(path.pages)
            pages[page] = z3.Store(pages[page], at, path.a)
            path.pages = (pages[0], pages[1])
        case Op.OUT:
            for i in range(4):
                if operand >> i & 1:
                    path.address[i] = path.a
            for i in range(3):
                if operand >> (4 + i) & 1:
                    path.low[i] = path.a
        case Op.BUS:
            path.carry, path.word = fresh("error", 1), _words(4)()
        case Op.CRC | Op.SEND | Op.STROBE:
            pass
        case _:
            _compute(path, op, _source(path, mode, page, at, operand))
    return None


def _source(path: Path, mode: Mode, page: int, at: z3.BitVecRef, operand: int) -> z3.BitVecRef:
    """Return the byte that an operation takes."""
    if mode is Mode.IMMEDIATE:
        return z3.BitVecVal(operand & 0xFF, 8)
    if mode is not Mode.PORT:
        return z3.simplify(z3.Select(path.pages[page], at))
    if operand < Port.LINE:
        return path.word[operand]
    return fresh(Port(operand).name)


def _compute(path: Path, op: Op, source: z3.BitVecRef) -> None:
    """Change accumulator, carry or X."""
    if op is Op.LDX:
        path.x = source
    elif op is Op.LD:
        path.a = source
    elif op is Op.AND:
        path.a = z3.simplify(path.a & source)
    else:
        wide = z3.simplify(total(op, z3.ZeroExt(1, path.a), z3.ZeroExt(1, source), z3.ZeroExt(8, path.carry)))
        path.a, path.carry = z3.simplify(z3.Extract(7, 0, wide)), z3.simplify(z3.Extract(8, 8, wide))


def _jump(path: Path, when: When, target: int) -> Path | None:
    zero = z3.If(path.a == 0, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
    condition = z3.simplify(jumps(when, zero, path.carry) == 1)
    if z3.is_true(condition) or not feasible(path.known, z3.Not(condition)):
        path.pc = target
    elif feasible(path.known, condition):
        other = path.copy()
        other.known.append(z3.Not(condition))
        path.known.append(condition)
        path.pc = target
        return other
    return None
