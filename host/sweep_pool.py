"""Where the runs of a sweep are done: here, in processes beside this one, or by the workers of a Dask cluster."""

import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Self

from backpulse.firmware_py.installing import install
from backpulse.host.datasets import Dataset
from backpulse.host.errors import HostError, InputError
from backpulse.host.stop import SIGNALS, Stop
from backpulse.host.sweep_run import DataKey, Outcome, Run, at_hand, attempt, take

START_S = 2.0
"""What processes must save to be worth their start."""
LOADING_S = 8.0
"""Of a first run that takes less, much may be the loading of data and kernels: the next one says how long a run takes."""
POLL_S = 0.05
"""Time after which a wish to stop is seen."""
CONNECT_S = "10s"
"""Time in which a Dask scheduler answers."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(
    runs: Sequence[Run], *, workers: int | None = None, scheduler: str | None = None, stop: Stop | None = None
) -> Generator[Outcome, None, None]:
    """Do runs and yield what they came to, in the order in which they end.

    On this computer the first run or two are done in this process, where kernels are compiled for all; the others too, if processes of
    their own would not save the time that they take to start.

    Parameters
    ----------
    runs : sequence of Run
    workers : int, optional
        Processes on this computer, if not one for each core.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers do them instead.
    stop : Stop, optional
        Looked at while runs go on.

    Raises
    ------
    InputError
        If Dask is not installed, or no scheduler answers.
    HostError
        If the scheduler is lost.
    StoppedError
        If the user asked to stop; what was under way is lost.
    """
    stop, left, workers = stop or Stop(), deque(runs), workers or cores()
    if scheduler:
        with _cluster(scheduler) as cluster:
            yield from _through(lambda run: cluster.submit(attempt, run), left, len(left), stop)
        return
    first = True
    while left:
        stop.heed()
        outcome = attempt(left.popleft(), stop)
        yield outcome
        first, loading = False, first and outcome.seconds < LOADING_S
        if not loading and len(left) * outcome.seconds * (1 - 1 / workers) > START_S:
            with _Processes(min(workers, len(left))) as processes:
                yield from _through(processes.submit, left, 2 * workers, stop)


def _through(submit: Callable[[Run], Future[Outcome]], left: deque[Run], most: int, stop: Stop) -> Generator[Outcome, None, None]:
    """Do the runs that are left, at most so many submitted at a time.

    Where a process dies, all that was submitted is lost, and nothing says which run it was. Those are done again one at a time, and one
    that is lost alone has failed.
    """
    ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
    under_way: dict[Future[Outcome], Run] = {}
    lost: deque[Run] = deque()
    alone: Run | None = None
    while left or lost or under_way:
        while not stop.asked and ((lost and not under_way) or (left and not lost and len(under_way) < most)):
            alone = lost[0] if lost else None
            run = (lost or left).popleft()
            future = submit(run)
            under_way[future] = run
            future.add_done_callback(ended.put)
            if alone:
                break
        try:
            future = ended.get(timeout=POLL_S)
        except queue.Empty:
            stop.heed()
            continue
        run = under_way.pop(future)
        try:
            yield future.result()
        except BrokenExecutor:
            if run is alone:
                yield Outcome(run, error="The process that did it died: the computer may have too little memory for it")
            else:
                lost.append(run)
        except CancelledError:
            raise HostError("The Dask scheduler is gone, or has cancelled a run", "the same command does what is missing") from None
        except Exception as error:  # of the cluster: a run's own is an outcome
            yield Outcome(run, error=f"No worker could do it ({type(error).__name__}: {error!s:.200})")


class _Processes:
    """Processes that do one run after the other, each on one core.

    They end when this process lets go of one end of a pipe, whatever they are at and however it ends itself.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._context = multiprocessing.get_context("forkserver")  # not fork: a progress bar has a thread

    def __enter__(self) -> Self:
        self._context.set_forkserver_preload([attempt.__module__])
        resource_tracker.ensure_running()  # it unblocks signals, so it comes first
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            forkserver.ensure_running()  # so that Ctrl-C, which goes to all processes of a terminal, is heeded by this one alone
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def submit(self, run: Run) -> Future[Outcome]:
        """Let a process do a run; where one has died there are new ones."""
        try:
            return self._pool.submit(attempt, run)
        except BrokenExecutor:
            self._end()
            self._start()
            return self._pool.submit(attempt, run)

    def _start(self) -> None:
        self._heard, self._held = self._context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self._workers, self._context, _begin, (self._heard, at_hand()))

    def _end(self) -> None:
        self._held.close()
        self._pool.shutdown(cancel_futures=True)
        self._heard.close()


def _begin(held: Connection, datasets: Mapping[DataKey, Dataset]) -> None:
    """Begin a process that has some data sets, and ends when the other end of a pipe is let go of."""
    take(datasets)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # by which the pool ends what is left of it

    def watch() -> None:
        with suppress(EOFError, OSError):
            held.recv_bytes()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    """Open a Dask cluster; what it has not begun when the body is left is cancelled."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise InputError(f"A cluster needs Dask ({error.name} is missing): {install('sweep')}") from error
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address}: give the address that it prints when it starts, as in tcp://10.0.0.1:8786"
        ) from error
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
