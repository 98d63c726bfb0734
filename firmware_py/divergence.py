"""Where two machines first differ: the sample, the instruction, and the word.

It needs nothing but the addresses that every board has. Because a run is reproducible, it is repeated: a bisection over samples finds
the one that goes wrong, then the program is cut short after each of its instructions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.image import AGE, instruction_words, table_address
from backpulse.firmware_py.isa import Instruction, Op
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, PERSISTENT_SHIFT, REG, STREAM_SHIFT, Counter, TablePart, Window
from backpulse.firmware_py.streams import seed_states


class Subject(Protocol):
    """A machine under comparison."""

    def read_words(self, address: int, count: int) -> list[int]:
        """Return 32-bit words."""
        ...

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Write 32-bit words."""
        ...

    def run(self, entry: int, order: Sequence[int]) -> None:
        """START at `entry`, GRANT the samples, wait until they are done or the machine has ended, and leave it idle."""
        ...


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Divergence:
    """The first word in which two machines differ."""

    sample: int
    """Place in the order, from 0."""
    instruction: int
    """Address in the program."""
    text: str
    """That instruction."""
    word: str
    """What differs, as in cell tile 0 row 3 column 5."""
    values: tuple[int, int]
    """The word on either machine, as 32 bits."""

    def __str__(self) -> str:
        a, b = self.values
        return f"sample {self.sample}, instruction {self.instruction} ({self.text}): {self.word} is {a:#010x} and {b:#010x}"


def _places(program: Program) -> list[tuple[str, int]]:
    """Return (name, address) of every word that makes the state of a machine."""
    config = program.config
    places = []
    for vector, name in zip(program.vectors, program.vector_names, strict=True):
        if not vector.sample:
            places += [(f"vector {name}[{i}]", Window.VECTOR_MEMORY.base + vector.base + i) for i in range(vector.length)]
    places += [(f"scale register {i}", REG["SCALE"].address + i) for i in range(REG["SCALE"].count)]
    places += _cells(config, "cell", 0)
    if config.device is DeviceKind.TABLE:
        places += _cells(config, "persistent cell", 1 << PERSISTENT_SHIFT)
        places += [("age", table_address(TablePart.PARAMETERS) + AGE)]
        places += [(f"visit of row {row}", table_address(TablePart.VISITED) + row) for row in range(config.rows)]
    for stream, states in seed_states(config, 0).items():
        places += [
            (f"{stream.name.lower()} stream, lane {lane}", Window.RANDOM.base | stream << STREAM_SHIFT | lane)
            for lane in range(len(states))
        ]
    # RESULTS begins anew at each START, so it tells of the way a run is cut, not of the machine.
    places += [(f"counter {c.name}", REG["COUNTER"].address + c) for c in Counter if c is not Counter.RESULTS]
    return places


def _cells(config: Config, what: str, offset: int) -> list[tuple[str, int]]:
    base = Window.CELLS.base | offset
    return [
        (f"{what} tile {row // config.tile_rows} row {row % config.tile_rows} column {col}", base | row << CELL_ROW_SHIFT | col)
        for row in range(config.rows)
        for col in range(config.tile_cols)
    ]


def _snapshot(subject: Subject, places: list[tuple[str, int]]) -> list[int]:
    """Read the state, in runs of neighbouring addresses."""
    words: list[int] = []
    addresses = [address for _, address in places]
    start = 0
    for end in range(1, len(addresses) + 1):
        if end == len(addresses) or addresses[end] != addresses[end - 1] + 1:
            words += subject.read_words(addresses[start], end - start)
            start = end
    return words


def first_divergence(
    subjects: tuple[S, S],
    program: Program,
    prepare: Callable[[S], None],
    order: Sequence[int],
) -> Divergence | None:
    """Return where two machines first differ in training on `order`, or None.

    Parameters
    ----------
    subjects
        Two machines of one configuration.
    program
        What they run.
    prepare
        Brings a machine to the starting state: program, tables, cells, random states, scales, samples.
    order
        Indices of the samples in the store.
    """
    places = _places(program)
    counters = {i for i, (name, _) in enumerate(places) if name.startswith("counter")}

    def difference(samples: int, cut: int | None) -> int | None:
        """Return the place that differs after some whole samples and, with a cut, one more of `cut` instructions."""
        states = []
        for subject in subjects:
            prepare(subject)
            before = _snapshot(subject, places)
            subject.run(program.train_entry, order[:samples])
            if cut is not None:
                # The sample begins at another NEXT, where the evaluation was: the END may lie in the place of the first one.
                spare = program.train_entry + 1
                _write_instruction(subject, spare, program.instructions[program.train_entry])
                _write_instruction(subject, cut, Instruction(op=Op.END))
                subject.run(spare, order[samples : samples + 1])
            after = _snapshot(subject, places)
            states.append([(b - a) & 0xFFFFFFFF if i in counters else b for i, (a, b) in enumerate(zip(before, after, strict=True))])
        found = next((i for i, (a, b) in enumerate(zip(*states, strict=True)) if a != b), None)
        values.clear()
        if found is not None:
            values.extend((states[0][found], states[1][found]))
        return found

    values: list[int] = []
    if difference(len(order), None) is None:
        return None
    good, bad = 0, len(order)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if difference(middle, None) is None else (good, middle)
    sample = bad - 1
    for cut in range(1, program.train_entry + 1):
        found = difference(sample, cut)
        if found is not None:
            text = " ".join(program.text(program.instructions[cut - 1]).split())
            return Divergence(sample, cut - 1, text, places[found][0], (values[0], values[1]))
    found = difference(bad, None)
    assert found is not None
    return Divergence(sample, program.train_entry, "NEXT", places[found][0], (values[0], values[1]))


def _write_instruction(subject: Subject, address: int, instruction: Instruction) -> None:
    subject.write_words(Window.PROGRAM.base + 2 * address, instruction_words([instruction.encode()]))
