"""What the ring of trace records lets the conformance bench do: pauses for check 2, and check 20, the replay."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.image import scale_words
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import REG
from backpulse.firmware_py.trace import ring_units
from backpulse.host.array_bench import Bench, Figure, NotTestedError
from backpulse.host.commands import Request, reads, words, writes
from backpulse.host.errors import StorageError
from backpulse.host.ledger import ledger_arrays
from backpulse.host.replay import Outcome, Replay
from backpulse.host.scaling import records, targets
from backpulse.host.trace_file import read_trace

LAYERS = (3, 2, 2)
"""The network of check 20: the smallest one with a hidden layer that uses every operand of its instructions."""
TRAINED, EVALUATED = 48, 16
"""Samples of check 20."""
RATE = 0.5
"""Its learning rate."""


class Pauses:
    """Lets a tile give a few words at a time: the ring of trace records is held full, and a full ring makes the tile wait.

    What a call returns goes out with an exchange. Between two calls the tile waits, in the middle of whatever it gives then.

    Parameters
    ----------
    bench : Bench
        Of a board with a ring, at rest.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, config = bench, bench.config
        self._units, self._most = ring_units(config), max(config.tile_rows, config.tile_cols)
        self._written, self._read = 0, self._units  # as if the whole ring were waiting to be read
        self._looks: list[Request] = []
        self._switch(1)

    def __call__(self) -> list[Request]:
        """Return what frees some units, of those that were used up since the last call."""
        if self._looks:
            (self._written,) = words(self._looks)
        used = (self._written - self._read) % (2 * self._units)
        self._read = (self._read + min(used, int(self._bench.rng.integers(1, self._most + 1)))) % (2 * self._units)
        self._looks = reads(REG["TRACE_WRITTEN"].address, 1)
        return [*writes(REG["TRACE_READ"].address, [self._read]), *self._looks]

    def end(self) -> None:
        """Let the tile go as it likes."""
        self._read = 0
        self._switch(0)

    def _switch(self, on: int) -> None:
        for name, value in (("TRACE_ON", 0), ("TRACE_READ", self._read), ("TRACE_ON", on)):
            self._bench.board.link.write_words(REG[name].address, [value])


def replayed(bench: Bench) -> Figure:
    """Check 20: with the recorded answers the golden model does, bit for bit, what the board has done with them."""
    if not bench.config.trace_words:
        raise NotTestedError("the board has no ring of trace records (its configuration has trace_words 0)")
    try:
        with TemporaryDirectory(prefix="backpulse-") as folder:
            outcome = _recorded(bench, Path(folder) / "check.trace")
    except (OSError, StorageError) as error:
        raise NotTestedError(f"a short trace cannot be kept in a temporary file ({error}): set TMPDIR to another folder") from error
    bench.lay()
    compared = ", ".join(f"{n:,} {what}" for what, n in outcome.compared.items())
    done = f"of {TRAINED} samples of training and {EVALUATED} of evaluation: {outcome.pulses['asked']:,} pulses and {compared} compared"
    return Figure(
        value=int(bool(outcome.divergence)),
        limit=0,
        unit="differences",
        said=outcome.divergence or done,
        details={"units": outcome.units, "pulses": outcome.pulses["asked"]},
    )


def _recorded(bench: Bench, path: Path) -> Outcome:
    """Record a short training and evaluation, and replay it."""
    board, config, rng = bench.board, bench.config, bench.rng
    try:
        program = compile_network(Network(layers=LAYERS), config)
    except ValueError as error:
        raise NotTestedError(str(error)) from error
    count, unit = TRAINED + EVALUATED, config.drive_max
    x = rng.integers(-unit, unit + 1, (count, LAYERS[0])).astype(np.int8)
    samples = records(x, targets(rng.integers(0, LAYERS[-1], count), LAYERS[-1], unit, off=0))
    bench.lay()
    board.record(path)
    try:
        board.load(program, scales=scale_words(bench.device, RATE))
        board.upload(samples)
        board.train(program, np.arange(TRAINED))
        board.evaluate(program, np.arange(TRAINED, count), seed=1)
    finally:
        board.end_recording()
    bench.report(1, 2)
    outcome = Replay(read_trace(path)).go()
    if bench.budget and outcome.ledger.size:
        bench.budget.add_counts(ledger_arrays(outcome.ledger))
    return outcome
