"""Hand-written programs in which one or several instructions are a sample's work, run over any board."""

from collections.abc import Callable, Sequence
from time import monotonic

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.framing import Opcode, Status
from backpulse.firmware_py.image import instruction_words
from backpulse.firmware_py.isa import Instruction, Op, Region, Vector
from backpulse.firmware_py.registers import REG, Counter, State, Window
from backpulse.host.board import EVALUATION, Board
from backpulse.host.commands import Request, check, command, granted, writes
from backpulse.host.errors import InputError, NoProgressError
from backpulse.host.run import look_reads, looked
from backpulse.host.tile import fault_error

PATIENCE_S = 60.0
"""Time in which a board that answers must end a sample, if its own watchdog does not end it: a row of slow pulses takes a while."""
POLL_S = 0.002
"""Longest pause between two looks at a board that works."""


class Chain:
    """A program that is a chain of what is done with each sample, a NEXT behind it, loaded into a board at rest.

    Many samples run between two exchanges, on any board: each instruction may leave its result in a vector of its own. What pulses it asks
    for is told to `board.pulsed` before, if that is set: of a row byte other than 0, as many as the column's byte (`pulse_scale`).

    Parameters
    ----------
    board : Board
    steps : sequence of sequences of Instruction
        What is done with the first sample, with the second, and so on; behind the last the first follows.
    vectors : sequence of Vector
    samples : ndarray
        Integers of shape (samples, bytes), each -128 to 127.
    regions : sequence of Region
    bank : int
        Bank of the read-noise stream.
    """

    def __init__(
        self,
        board: Board,
        steps: Sequence[Sequence[Instruction]],
        vectors: Sequence[Vector],
        samples: np.ndarray,
        regions: Sequence[Region],
        *,
        bank: int = EVALUATION,
    ) -> None:
        self._board, self._bank, self._steps = board, bank, 0
        self._each, self._vectors, self._samples, self._regions = steps, vectors, samples, regions
        self._at = 0
        chain = [Instruction(op=Op.NEXT, region=1)]
        for step in steps:
            chain += [*step, Instruction(op=Op.NEXT, region=len(chain) + len(step) + 1)]
        chain[-1] = chain[0]
        records = np.zeros((len(samples), -(-samples.shape[1] // 4) * 4), np.int8)
        records[:, : samples.shape[1]] = samples
        records = records.view("<u4")
        board.stop()
        board.write(
            [
                (Window.PROGRAM.base, instruction_words(ins.encode() for ins in chain)),
                (Window.REGIONS.base, [word for region in regions for word in region.to_words()]),
                (Window.VECTORS.base, [vector.to_word() for vector in vectors]),
                (REG["STRIDE"].address, [records.shape[1]]),
            ]
        )
        board.upload(records)

    def start(self, indices: np.ndarray | None = None, more: Sequence[Request] = ()) -> None:
        """Begin with the first instruction, and let the board work on samples, which must fit its order and its store.

        Parameters
        ----------
        indices : ndarray, optional
            Of samples; without any the board waits.
        more : sequence of Request
            What follows in the same breath.
        """
        self._steps, self._at = self._board.counters_at_rest[Counter.STEPS], 0
        begin = [*writes(REG["ENTRY"].address, [0, self._bank]), command(Opcode.START)]
        self._send(begin, np.zeros(0, int) if indices is None else indices, more)

    def _send(self, begin: Sequence[Request], indices: np.ndarray, more: Sequence[Request]) -> None:
        if self._board.pulsed:
            self._tell(self._board.pulsed, indices)
        provided = self._board.provide(indices)
        self._board.link.exchange([*begin, *provided, *more])
        check(begin)
        grants = [request for request in provided if request.opcode is Opcode.GRANT]
        check(request for request in provided if request.opcode is not Opcode.GRANT)
        if any(request.status is Status.NOT_RUNNING for request in grants):
            state, fault, at, _ = self._board.status()
            if state is State.FAULT:
                raise fault_error(fault, at, 0)
        taken = granted(grants)
        self._board.taken(taken)
        if taken < len(indices):
            raise NoProgressError(f"The board took {taken} of {len(indices)} samples, and its order is not that short")

    def _tell(self, pulsed: Callable[[Region, np.ndarray], None], indices: np.ndarray) -> None:
        for index in indices:
            for step in self._each[self._at % len(self._each)]:
                if step.op is Op.PULSE:
                    region = self._regions[step.region]
                    a, b = (self._samples[index, v.base : v.base + v.length] for v in (self._vectors[step.a], self._vectors[step.b]))
                    pulsed(region, np.outer(np.sign(a[: region.rows]), b[: region.cols]).astype(int))
            self._at += 1

    def run(self, indices: np.ndarray, *, start: bool = True, more: Callable[[], Sequence[Request]] = tuple) -> None:
        """Let the board work on samples, and wait until it is paused behind them.

        Parameters
        ----------
        indices : ndarray
            Of samples, which must fit its order and its store.
        start : bool
            Begin with the first instruction, on a board at rest; else go on where it paused.
        more : callable
            Gives what goes out with each look at the board.

        Raises
        ------
        FaultError
            If it stops with a fault.
        NoProgressError
            If it does not go on.
        """
        link, look = self._board.link, look_reads()
        if start:
            self.start(indices, look)
        else:
            self._send([], indices, look)
        done, moved = 0, monotonic()
        while True:
            (state, code, at), counters = looked(look)
            steps = (counters[Counter.STEPS] - self._steps) & 0xFFFFFFFF
            if state is State.FAULT:
                raise fault_error(code, at, steps)
            if steps == len(indices) and state is State.PAUSED:
                self._steps += steps
                return
            if steps != done:
                done, moved = steps, monotonic()
            if monotonic() - moved > max(PATIENCE_S, link.patience_s):
                link.abort()
                raise NoProgressError(f"The board has ended no read or pulse for {PATIENCE_S:.0f} s, and was aborted")
            link.wait(POLL_S)
            look, also = look_reads(), more()
            self._board.exchange([*also, *look])
            check(also)


def room(config: Config, sample_bytes: int) -> int:
    """Return how many samples a chain may have in one go: its program, the order and the store are as long.

    Raises
    ------
    InputError
        If not even one fits.
    """
    stride = -(-sample_bytes // 4)
    if sample_bytes > config.page_bytes or stride > config.store_words:
        raise InputError(
            f"A sample of {sample_bytes} bytes does not fit this board, whose page has {config.page_bytes}: take a smaller area"
        )
    return min((config.program_words - 1) // 2, config.order_depth, config.store_words // stride)
