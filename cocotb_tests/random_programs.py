"""Random programs with everything that they run on, for the differential test: a strategy of hypothesis.

Vector memory has three zones, so that every program has one meaning: words for all uses; outputs, from zero to the unit, which derivatives
may look at; partial sums, which only a read that accumulates may look at.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import PRESETS, parameter_bits
from backpulse.firmware_py.image import (
    Image,
    ages_image,
    cells_image,
    instruction_words,
    persistent_image,
    random_image,
    scales_image,
    spread_image,
    table_image,
    tile_image,
)
from backpulse.firmware_py.isa import FIELDS, INSTRUCTION_BITS, SCALE_LOG2_MAX, USED_BITS, Function, Instruction, Op, Region, Scale, Vector
from backpulse.firmware_py.overlap import overtaken
from backpulse.firmware_py.registers import REG, Stream, TileParameter, Window
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import PERIOD_MASK
from cocotb_tests.machine_image import Writes, word_by_word
from cocotb_tests.random_tables import random_spread, random_tables

ZONES = {"plain": (0, 32), "outputs": (32, 16), "sums": (48, 16)}
"""First word and words of each zone."""
KINDS = ("plain", "plain", "plain", "sample", "outputs", "outputs", "sums")
"""What each vector of the table is."""
PLAIN, SAMPLE, OUTPUTS, SUMS = ([i for i, kind in enumerate(KINDS) if kind == name] for name in ("plain", "sample", "outputs", "sums"))
SOURCES = [*PLAIN, *SAMPLE, *OUTPUTS]
REGIONS, MOST_SAMPLES, MOST_STRIDE, MOST_OFFSET = 3, 3, 6, 3
ZERO_SCALE = 7
"""A scale register that is zero."""
SUMMED_LOG2, SUMMED_ONCE_LOG2 = 1, 5
"""Largest weight scale where sums accumulate in every sample, and where a sum is finished at once: neither leaves an accumulating word."""


_DRAWN = (
    *(TileParameter.BASE_UP, TileParameter.BASE_DOWN, TileParameter.SLOPE_UP, TileParameter.SLOPE_DOWN),
    *(TileParameter.BOUND_UP, TileParameter.BOUND_DOWN),
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Case:
    """A program and what it runs on."""

    config: Config
    entry: int
    words: list[int]
    regions: list[Region]
    vectors: list[Vector]
    order: list[int]
    stride: int
    bank: int
    preset: str
    parameters: dict[TileParameter, int]
    seed: int

    def __repr__(self) -> str:
        lines = [f"entry {self.entry}, stride {self.stride}, samples {self.order}, bank {self.bank}, {self.preset}, seed {self.seed}"]
        lines += [f"{name.name} {word}" for name, word in self.parameters.items()]
        lines += [f"region {i}: {region}" for i, region in enumerate(self.regions)]
        lines += [f"vector {i}: {vector}" for i, vector in enumerate(self.vectors)]
        for address, word in enumerate(self.words, self.entry):
            fields = (f"{name} {word >> low & (1 << width) - 1}" for name, (low, width) in FIELDS.items())
            lines.append(f"{address:3} {word:016x} {' '.join(fields)}")
        return "\n".join(lines)

    def image(self) -> Writes:
        """Return all that the host writes; everything a program can look at is among it."""
        config, rng = self.config, random.Random(self.seed)
        program = [0] * config.program_words
        program[self.entry : self.entry + len(self.words)] = self.words
        words = [self._word(rng, i) for i in range(config.vector_words)]
        store = [rng.getrandbits(32) for _ in range(MOST_SAMPLES * MOST_STRIDE)]
        scales = [Scale(mantissa=rng.getrandbits(16), exponent=rng.randint(-20, 24)).to_word() for _ in range(ZERO_SCALE)]
        runs: Image = [
            (Window.PROGRAM.base, instruction_words(program)),
            (Window.REGIONS.base, [word for region in self.regions for word in region.to_words()]),
            (Window.VECTORS.base, [vector.to_word() for vector in self.vectors]),
            (Window.VECTOR_MEMORY.base, words),
            (Window.STORE.base, store),
            *scales_image([*scales, 0]),
            *((REG[name].address, [value]) for name, value in (("ENTRY", self.entry), ("STRIDE", self.stride), ("BANK", self.bank))),
            *self._tile(rng),
        ]
        return word_by_word(runs)

    @staticmethod
    def _word(rng: random.Random, address: int) -> int:
        """Return a word of the zone that it lies in, small ones as often as large ones."""
        bits = rng.randint(0, 15)
        if address < ZONES["outputs"][0]:
            return rng.choice((-1, 1)) * rng.getrandbits(bits) & 0xFFFFFFFF
        if address < ZONES["sums"][0]:
            return min(rng.getrandbits(min(bits, 12)), 4064)
        return rng.choice((-1, 1)) * rng.getrandbits(bits + 5) & 0xFFFFFFFF

    def _tile(self, rng: random.Random) -> Image:
        """Return the tile's parameters, cells, spread words and random states."""
        config = self.config
        if config.device is DeviceKind.TABLE:
            return self._tables(rng)
        words = PRESETS[self.preset].tile_words(config)
        for offset, word in self.parameters.items():
            words[offset] = word
        cells, spread = (np.zeros((config.rows, config.tile_cols), np.int64) for _ in range(2))
        most = config.cell_max
        for place in np.ndindex(cells.shape):
            cells[place] = rng.randint(-most, most)
            if config.spread:
                spread[place] = rng.getrandbits(8)
        return [
            *tile_image(words),
            *cells_image(cells),
            *(spread_image(spread) if config.spread else []),
            *random_image(self._states(rng)),
        ]

    def _states(self, rng: random.Random) -> dict[Stream, list[int]]:
        return {stream: [rng.getrandbits(32) | 1 for _ in lanes] for stream, lanes in sorted(seed_states(self.config, 0).items())}

    def _tables(self, rng: random.Random) -> Image:
        """Return the same of the table device, and its tables and ages."""
        config = self.config
        shape = config.rows, config.tile_cols
        tables = random_tables(rng, config)
        cells, kept = (
            np.array([rng.randint(-config.cell_max, config.cell_max) for _ in range(config.rows * config.tile_cols)]) for _ in "RG"
        )
        age = rng.getrandbits(32)
        visits = [(age >> tables.leak_period) - rng.choice((0, 1, 2, 3, 20)) & PERIOD_MASK for _ in range(config.rows)]
        return [
            *tile_image(tables.tile_words()),
            *table_image(tables.flat()),
            *cells_image(cells.reshape(shape)),
            *persistent_image(kept.reshape(shape)),
            *ages_image(np.array([age, *visits], np.uint32)),
            *(spread_image(random_spread(rng, shape)) if config.spread else []),
            *random_image(self._states(rng)),
        ]


@st.composite
def cases(draw: DrawFn, config: Config) -> Case:
    """Draw a program of a few instructions with its tables; about every fifth has something that cannot be used."""
    regions = [draw(_region(config)) for _ in range(REGIONS)]
    vectors = [draw(_vector(kind)) for kind in KINDS]
    body = draw(st.lists(_instruction(config, regions), min_size=1, max_size=6))
    body = [ins for ins in body if not overtaken(ins, regions, vectors, config.vector_words)]
    ending = draw(st.sampled_from(("next", "end", "nothing")))
    # First every vector's magnitude is that of its words, and a sample is begun: nothing is left of the case before.
    start = [Instruction(op=Op.AXPY, a=v, b=v, c=ZERO_SCALE, function=Function.NONE) for v in (*PLAIN, *OUTPUTS)]
    length = len(start) + 1 + len(body) + (ending != "nothing")
    entry = draw(st.sampled_from((0, config.program_words - length)))
    begin = entry + len(start) + 1
    body = [replace(ins, region=begin + i + 1) if ins.op is Op.NEXT else ins for i, ins in enumerate(body)]
    program = [*start, Instruction(op=Op.NEXT, region=begin), *body]
    if ending == "next":
        program.append(Instruction(op=Op.NEXT, region=draw(st.sampled_from((begin, begin - 1)))))
    elif ending == "end":
        program.append(Instruction(op=Op.END))
    words = [ins.encode() for ins in program]
    match draw(
        st.sampled_from((*("nothing",) * 16, "word", "reserved", "profile", "profile", "function", "vector", "region", "length", "target"))
    ):
        case "word":
            at = draw(st.integers(len(start) + 1, len(words) - 1))
            words[at] = words[at] & ~15 | draw(st.sampled_from((0, *range(max(Op) + 1, 16))))
        case "reserved":
            at = draw(st.integers(len(start) + 1, len(words) - 1))
            words[at] |= 1 << draw(st.integers(USED_BITS, INSTRUCTION_BITS - 1))
        case "profile":
            # Of an operation with a region: the tile refuses it, if the machine has profiles.
            at = draw(st.integers(len(start) + 1, len(words) - 1))
            words[at] |= draw(st.integers(1, 15)) << FIELDS["profile"][0]
        case "function":
            at = draw(st.integers(len(start) + 1, len(words) - 1))
            words[at] = words[at] & ~(15 << 34) | draw(st.sampled_from((2, 3, 12, 15))) << 34
        case "vector":
            at, low = draw(st.integers(len(start) + 1, len(words) - 1)), draw(st.sampled_from((16, 22)))
            words[at] |= 8 << low
        case "region":
            regions[draw(st.integers(0, REGIONS - 1))] = replace(draw(_region(config)), **draw(st.sampled_from(_bad_regions(config))))
        case "length":
            # Of those that the beginning does not need.
            kept = [i for i, kind in enumerate(KINDS) if kind in ("sample", "sums")]
            at = draw(st.sampled_from(kept))
            vectors[at] = replace(vectors[at], length=draw(st.sampled_from((0, config.longest + 1, 0x7FFF))))
        case "target":
            words[-1] = Instruction(op=Op.NEXT, region=draw(st.sampled_from((config.program_words, 1 << 11, (1 << 12) - 1)))).encode()
    parameters: dict[TileParameter, int] = {}
    if config.device is not DeviceKind.IDEAL:
        # Bounds that cross, too.
        asked = (p for p in _DRAWN if parameter_bits(config, p))
        signed16 = {p: st.integers(-(1 << 15), (1 << 15) - 1) for p in asked}
        parameters = draw(st.fixed_dictionaries({}, optional=signed16))
    presets = ("ideal", "ecram", "ecram-mo") if config.spread else ("ideal",)
    return Case(
        config=config,
        entry=entry,
        words=words,
        regions=regions,
        vectors=vectors,
        order=draw(st.lists(st.integers(0, MOST_SAMPLES - 1), min_size=1, max_size=3)),
        stride=draw(st.integers(1, MOST_STRIDE)),
        bank=draw(st.integers(0, 1)),
        preset=draw(st.sampled_from(presets)),
        parameters=parameters,
        seed=draw(st.integers(0, 1 << 16)),
    )


@st.composite
def _region(draw: DrawFn, config: Config) -> Region:
    row0, col0 = draw(st.integers(0, config.tile_rows - 1)), draw(st.integers(0, config.tile_cols - 1))
    return Region(
        tile=0,
        row0=row0,
        rows=draw(st.integers(1, config.tile_rows - row0)),
        col0=col0,
        cols=draw(st.integers(1, config.tile_cols - col0)),
        row_offset=draw(st.integers(0, MOST_OFFSET)),
        col_offset=draw(st.integers(0, MOST_OFFSET)),
        scale_log2=draw(st.integers(0, SCALE_LOG2_MAX)),
    )


def _bad_regions(config: Config) -> list[dict[str, int]]:
    """Return the fields of regions that cannot be used."""
    return [
        {"tile": config.tiles},
        {"rows": 0},
        {"cols": 0},
        {"row0": config.tile_rows},
        {"row0": 1, "rows": config.tile_rows},
        {"col0": 1, "cols": config.tile_cols},
        {"cols": 0x8001},
        {"scale_log2": SCALE_LOG2_MAX + 1},
        {"row_offset": config.longest + 1},
        {"col_offset": 0xFFFF},
    ]


@st.composite
def _vector(draw: DrawFn, kind: str) -> Vector:
    if kind == "sample":
        return Vector(base=draw(st.integers(0, 24)), length=draw(st.integers(1, 9)), sample=1, bias=draw(st.integers(0, 1)))
    first, words = ZONES[kind]
    # An operand's run ends in its zone: the longest begins at an offset and has all rows of a tile.
    length = draw(st.integers(1, 9))
    return Vector(base=first + draw(st.integers(0, words - 8 - MOST_OFFSET - 1)), length=length, bias=draw(st.integers(0, 1)))


@st.composite
def _instruction(draw: DrawFn, config: Config, regions: list[Region]) -> Instruction:
    lean = bool(config.lean)
    op = draw(st.sampled_from((Op.READ, Op.READT, Op.PULSE, Op.ERR, Op.NORM2, Op.AXPY, Op.READ, Op.READT, Op.PULSE, Op.ERR, Op.NEXT)))
    bit, scale, region = st.integers(0, 1), st.integers(0, ZERO_SCALE), draw(st.integers(0, REGIONS - 1))
    hadamards = [Function.HADAMARD_SIGMOID] if lean else [f for f in Function if f >= Function.HADAMARD_SIGMOID]
    if op is Op.PULSE:
        a, b = draw(st.sampled_from(SOURCES)), draw(st.sampled_from(SOURCES))
        return Instruction(op=op, region=region, a=a, b=b, c=draw(scale), stochastic=draw(bit))
    if op is Op.NORM2:
        return Instruction(op=op, a=draw(st.sampled_from(SOURCES)), b=draw(scale), c=draw(st.integers(0, ZERO_SCALE - 1)))
    if op is Op.NEXT:
        return Instruction(op=op, region=0)
    if op is Op.ERR:
        function = draw(st.sampled_from([Function.NONE, *hadamards]))
        b = draw(st.sampled_from(OUTPUTS if function in hadamards else [*PLAIN, *OUTPUTS]))
        return Instruction(op=op, a=draw(st.sampled_from(SOURCES)), b=b, c=draw(st.sampled_from(PLAIN)), function=function)
    if op is Op.AXPY:
        function = draw(st.sampled_from([Function.NONE, *hadamards]))
        a = draw(st.sampled_from(OUTPUTS if function in hadamards else SOURCES))
        return Instruction(op=op, a=a, b=draw(st.sampled_from(PLAIN)), c=draw(scale), function=function)
    flags = {name: draw(bit) for name in ("auto_range", "backward", "accumulate")}
    to, log2 = draw(st.sampled_from((*PLAIN, *OUTPUTS, *SUMS))), regions[region].scale_log2
    curves = [Function.SIGMOID] if lean else [Function.SIGMOID, Function.RELU]
    if to in SUMS:
        function, most = Function.PARTIAL, SUMMED_LOG2
    elif to in OUTPUTS:
        function, most = draw(st.sampled_from(curves)), SUMMED_ONCE_LOG2
    else:
        rest = [] if lean else [Function.TANH, Function.LINEAR]
        function, most = draw(st.sampled_from([Function.NONE, *curves, *rest, *hadamards])), SUMMED_ONCE_LOG2
    flags["accumulate"] &= int(log2 <= most)
    a, c = draw(st.sampled_from(SOURCES)), draw(st.sampled_from(OUTPUTS)) if function in hadamards else 0
    return Instruction(op=op, region=region, a=a, b=to, c=c, function=function, **flags)
