"""From a network and a schedule to a program: region table, vector table, instructions and their listing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.dead import NONE, Dead
from backpulse.firmware_py.isa import ACTIVATIONS, Function, Instruction, Op, Region, Vector, hadamard
from backpulse.firmware_py.listing import instruction_text
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.overlap import overtaken
from backpulse.firmware_py.placement import LayerPlacement, orientations_of, place
from backpulse.firmware_py.room import beyond_any_board, check_functions, excess_of, smaller_layers
from backpulse.firmware_py.timing import costs, instruction_cycles

SCHEDULES = ("progressive", "progressive-exact", "progressive-corrected", "deferred")
"""Schedules that run in the array (README.md, The algorithm is a program)."""
DEFAULT_SCHEDULE = "progressive-exact"
"""The schedule that learns as software does at any width, depth and rate, and holds one error vector more than the leanest."""
_BEFORE = 19
"""Columns of a listing before its instructions: address and word."""

PULSE_SCALE, ETA_SCALE, NORM_SCALE = 0, 1, 2
"""Scale registers: eta / dw_min, eta, and eta times a squared norm."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a program does what its schedule says."""

    stochastic: bool = True
    """Stochastic rounding of pulse counts (nearest if not)."""
    auto_range: bool = True
    """Drive error vectors at full range."""
    read_profile: int = 0
    """Number of the array's settings (voltages, times, ranges) for reads of training, as the two below."""
    pulse_profile: int = 0
    evaluate_profile: int = 0
    """Of the reads of an evaluation, which a real array can do more gently."""
    dead: Dead = NONE
    """Lines that no layer may lie on."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the host loads into a board, and what it says of itself."""

    network: Network
    config: Config
    schedule: str
    instructions: tuple[Instruction, ...]
    comments: tuple[str, ...]
    evaluate_start: int
    regions: tuple[Region, ...]
    region_names: tuple[str, ...]
    vectors: tuple[Vector, ...]
    vector_names: tuple[str, ...]
    placements: tuple[LayerPlacement, ...]
    tiles_used: int

    def __post_init__(self) -> None:
        words = max(self.config.vector_words, self.vector_words_used)  # what does not fit is said elsewhere
        for address, ins in enumerate(self.instructions):
            if overtaken(ins, self.regions, self.vectors, words):
                text = "writes its result over words of a vector that it has yet to read; move one of them"
                raise ValueError(f"Instruction {address}, {ins.op.name}, {text}")

    @property
    def train_entry(self) -> int:
        """Where START begins training: the NEXT that closes the step, so that the machine waits for its first sample."""
        return self.evaluate_start - 1

    @property
    def evaluate_entry(self) -> int:
        """Where START begins evaluation, a NEXT likewise."""
        return len(self.instructions) - 1

    @property
    def stride_words(self) -> int:
        """32-bit words of one sample in the store."""
        return -(-(self.network.layers[0] + self.network.layers[-1]) // 4)

    @property
    def vector_words_used(self) -> int:
        """Words of vector memory that the program uses."""
        return max((v.base + v.length for v in self.vectors if not v.sample), default=0)

    @property
    def error_vectors_held(self) -> int:
        """Most error vectors that a PULSE, or what follows it in the training step, still reads."""
        step = self.instructions[: self.evaluate_start]
        errors = {i for i, name in enumerate(self.vector_names) if name.startswith("d")}
        first = {v: at for at, ins in reversed(list(enumerate(step))) for v in ins.writes}
        most, live = 0, set[int]()  # `live`: vectors that this instruction or a later one reads before they are written anew
        for at, ins in reversed(list(enumerate(step))):
            live = live.difference(ins.writes).union(ins.reads)
            if ins.op is Op.PULSE:
                most = max(most, sum(v in errors and first.get(v, at) < at for v in live))
        return most

    @property
    def cycles_per_step(self) -> int:
        """Clock cycles of one training step on an emulated tile."""
        return self.cycles(0, self.evaluate_start)

    def cycles(self, start: int, stop: int) -> int:
        """Return the clock cycles of the instructions from address `start` to before `stop` on an emulated tile."""
        table, total = costs(self.config), 0
        for ins in self.instructions[start:stop]:
            region = self.regions[ins.region if ins.operation.region else 0]
            total += int(instruction_cycles(table, ins.op, int(ins.hadamard), region.rows, region.cols, self.vectors[ins.a].length))
        return total

    def listing(self, columns: int = 0) -> str:
        """Return the program as a page to read: address, word, instruction, comment.

        In so many columns, if that is not 0, comments go below their instructions where there is no room beside them.
        """
        texts = [self.text(ins) for ins in self.instructions]
        width = max(62, 2 + max(map(len, texts)))
        beside = not columns or _BEFORE + width + max(map(len, self.comments)) <= columns
        gap = " " * (0 if beside else _BEFORE)
        lines = []
        for address, (ins, comment) in enumerate(zip(self.instructions, self.comments, strict=True)):
            if address == 0:
                lines.append(f"; one step of {self.network.text}, {self.schedule}")
            if address == self.evaluate_start:
                lines.append("; evaluation: forward only, no pulse")
            text = f"{texts[address]:<{width}}" if beside else f"{texts[address]}\n"
            lines.append(f"{address:4}  {ins.encode():011x}  {text}{gap}{comment}".rstrip())
        return "\n".join(lines)

    def text(self, ins: Instruction) -> str:
        """Return one instruction in words."""
        return instruction_text(ins, self.region_names, self.vector_names)


class _Builder:
    """Collects instructions and tables while the compiler walks the layers."""

    def __init__(self, network: Network, placements: list[LayerPlacement], options: Options) -> None:
        self.network, self.placements = network, placements
        self.stochastic, self.auto_range = int(options.stochastic), int(options.auto_range)
        self.read_profile, self.pulse_profile = options.read_profile, options.pulse_profile
        self.code: list[tuple[Instruction, str]] = []
        self.regions: dict[Region, tuple[int, str]] = {}
        self.names: list[str] = []
        self.vectors: list[Vector] = []

    def vector(self, name: str, entry: Vector) -> None:
        self.names.append(name)
        self.vectors.append(entry)

    def emit(self, comment: str, **fields: object) -> None:
        self.code.append((Instruction(**fields), comment))  # type: ignore[arg-type]

    def region(self, region: Region, name: str) -> int:
        return self.regions.setdefault(region, (len(self.regions), name))[0]

    def id(self, name: str) -> int:
        return self.names.index(name)

    def read(self, layer: int, source: str, to: str, *, backward: bool, function: Function, aux: str | None, comment: str) -> None:
        """Emit the reads of one layer, block by block; the function goes with the last block of each slice."""
        placement = self.placements[layer - 1]
        columns_out = placement.transposed == backward  # the result leaves at the columns: READ
        blocks = list(self._read_blocks(placement, without_bias=backward and self.network.bias))
        slices: dict[int, list[tuple[Region, str]]] = {}
        for region, name in blocks:
            slices.setdefault(region.col_offset if columns_out else region.row_offset, []).append((region, name))
        # A vector with a bias is driven at full range anyway; the bias is the unit.
        auto_range = self.auto_range if backward or not self.network.bias else 0
        for _, parts in sorted(slices.items()):
            for number, (region, name) in enumerate(parts):
                last = number == len(parts) - 1
                self.emit(
                    comment if last else "",
                    op=Op.READ if columns_out else Op.READT,
                    region=self.region(region, name),
                    a=self.id(source),
                    b=self.id(to),
                    c=self.id(aux) if aux and last else 0,
                    function=function if last else Function.PARTIAL,
                    accumulate=int(number > 0),
                    auto_range=auto_range,
                    backward=int(backward),
                    profile=self.read_profile,
                )

    def _read_blocks(self, placement: LayerPlacement, *, without_bias: bool) -> Iterator[tuple[Region, str]]:
        """Yield a layer's regions, the bias line left out if asked."""
        lines = self.network.layers[placement.layer - 1]
        for block in placement.blocks:
            r = block.region
            offset, size = (r.col_offset, r.cols) if placement.transposed else (r.row_offset, r.rows)
            if not without_bias or offset + size <= lines:
                yield r, block.name
            elif size > 1:
                values = {**r.__dict__, "cols" if placement.transposed else "rows": size - 1}
                yield Region(**values), block.name + "'"

    def pulse(self, layer: int) -> None:
        """Emit the pulses of one layer."""
        placement = self.placements[layer - 1]
        rows, cols = (f"d{layer}", self.input(layer)) if placement.transposed else (self.input(layer), f"d{layer}")
        for block in placement.blocks:
            self.emit(
                "outer-product weight pulses",
                op=Op.PULSE,
                region=self.region(block.region, block.name),
                a=self.id(rows),
                b=self.id(cols),
                c=PULSE_SCALE,
                stochastic=self.stochastic,
                profile=self.pulse_profile,
            )

    def input(self, layer: int) -> str:
        """Return the name of a layer's input vector."""
        return "x" if layer == 1 else f"a{layer - 1}"

    def forward(self) -> None:
        """Emit the forward reads."""
        for layer in range(1, self.network.depth + 1):
            function = ACTIVATIONS[self.network.function(layer)]
            to = f"a{layer}"
            self.read(
                layer,
                self.input(layer),
                to,
                backward=False,
                function=function,
                aux=None,
                comment="forward, activation on the way out",
            )

    def error(self, *, into: str, comment: str) -> None:
        """Emit the output error."""
        depth = self.network.depth
        function = Function.NONE if self.network.loss == "cross-entropy" else hadamard(self.network.output)
        self.emit(comment, op=Op.ERR, a=self.id("t"), b=self.id(f"a{depth}"), c=self.id(into), function=function)

    def back(self, layer: int, *, corrected: bool) -> None:
        """Emit the transposed read that carries the error through a layer to the one before."""
        below = f"a{layer - 1}"
        function = hadamard(self.network.activation)
        self.read(
            layer,
            f"d{layer}",
            f"d{layer - 1}",
            backward=True,
            function=Function.NONE if corrected else function,
            aux=None if corrected else below,
            comment="error back through the array" + ("" if corrected else ", times f'"),
        )
        if corrected:
            self.emit(
                "take eta |d|^2 a off again, times f'",
                op=Op.AXPY,
                a=self.id(below),
                b=self.id(f"d{layer - 1}"),
                c=NORM_SCALE,
                function=function,
            )


def _schedule(b: _Builder, schedule: str) -> None:
    depth = b.network.depth
    layers = range(depth, 0, -1)
    if schedule == "deferred":
        for layer in layers[:-1]:
            b.back(layer, corrected=False)
        for layer in layers:
            b.pulse(layer)
        return
    for layer in layers:
        if schedule == "progressive-exact" and layer > 1:
            b.back(layer, corrected=False)
        if schedule == "progressive-corrected" and layer > 1:
            b.emit("eta |d|^2", op=Op.NORM2, a=b.id(f"d{layer}"), b=ETA_SCALE, c=NORM_SCALE)
        b.pulse(layer)
        if schedule in ("progressive", "progressive-corrected") and layer > 1:
            b.back(layer, corrected=schedule == "progressive-corrected")


def _vectors(b: _Builder, schedule: str) -> None:
    """Lay out the vector table: sample vectors, activations, errors."""
    n, bias = b.network.layers, int(b.network.bias)
    b.vector("x", Vector(sample=1, base=0, length=n[0], bias=bias))
    b.vector("t", Vector(sample=1, base=n[0], length=n[-1]))
    base = 0
    for layer in range(1, len(n)):
        b.vector(f"a{layer}", Vector(base=base, length=n[layer], bias=bias if layer < b.network.depth else 0))
        base += n[layer]
    # All but deferred need an error only until the next one is read: two places, used in turn.
    places = len(n) - 1 if schedule == "deferred" else 2
    for layer in range(1, len(n)):
        place_base = base + max(n[1:]) * (layer % places)
        b.vector(f"d{layer}", Vector(base=place_base, length=n[layer]))


def _build(network: Network, config: Config, schedule: str, orientations: tuple[bool, ...], options: Options) -> Program:
    placements, tiles = place(network, config, orientations, options.dead)
    b = _Builder(network, placements, options)
    _vectors(b, schedule)
    b.forward()
    b.error(into=f"d{network.depth}", comment="output error; counts loss and hits")
    _schedule(b, schedule)
    b.emit("swap in the next sample", op=Op.NEXT, region=0)
    evaluate = len(b.code)
    b.read_profile = options.evaluate_profile
    b.forward()
    b.error(into=f"d{network.depth}", comment="counts loss and hits, keeps the prediction")
    b.emit("swap in the next sample", op=Op.NEXT, region=evaluate)
    return Program(
        network=network,
        config=config,
        schedule=schedule,
        instructions=tuple(ins for ins, _ in b.code),
        comments=tuple(comment for _, comment in b.code),
        evaluate_start=evaluate,
        regions=tuple(b.regions),
        region_names=tuple(name for _, name in b.regions.values()),
        vectors=tuple(b.vectors),
        vector_names=tuple(b.names),
        placements=tuple(placements),
        tiles_used=tiles,
    )


def compile_network(
    network: Network,
    config: Config,
    schedule: str = DEFAULT_SCHEDULE,
    *,
    orientations: tuple[bool, ...] | None = None,
    **options: Any,
) -> Program:
    """Compile a network for a board.

    Parameters
    ----------
    network, config
        What to train, and the board's configuration.
    schedule
        One of SCHEDULES.
    orientations
        For each layer whether it lies transposed (outputs on rows); by default, of at most 64 ways,
        the one of fewest cycles that takes no more tiles than there are.
    **options
        Fields of `Options`.

    Raises
    ------
    ValueError
        If the schedule is unknown or the network does not fit; the message names the limit and by how much.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"Unknown schedule {schedule!r}; choose one of {', '.join(SCHEDULES)}")
    how = Options(**options)
    how.dead.check(config)
    program, excess = _best(network, config, schedule, how, orientations)
    if program is None or excess:
        left = f" ({how.dead.left(config)})" if how.dead != NONE else ""
        raise ValueError(f"{excess}{left}; {smaller_layers(network, lambda other: fits(other, config, schedule, how))}")
    check_functions(program)
    return program


def fits(network: Network, config: Config, schedule: str, options: Options) -> bool:
    """Return whether a network finds room; what a board's functions are is not asked."""
    cells = config.rows * config.tile_cols
    return network.weights <= cells and not _best(network, config, schedule, options)[1]  # the first is said at once


def _best(
    network: Network,
    config: Config,
    schedule: str,
    options: Options,
    orientations: tuple[bool, ...] | None = None,
) -> tuple[Program | None, str]:
    """Return the program that fits best, and what it needs too much of; no program where that is beyond any board."""
    if excess := beyond_any_board(network, config):
        return None, excess
    choices = [orientations] if orientations is not None else orientations_of(network, config, options.dead)
    programs = (_build(network, config, schedule, o, options) for o in choices)
    best = next(programs)
    for program in programs:
        if best.tiles_used <= config.tiles:
            break
        best = program if program.tiles_used < best.tiles_used else best
    return best, excess_of(best)
