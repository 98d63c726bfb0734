"""Slow lines end with the clean line's bits, frozen ones in a sentence: a sample here, many places and latencies in `make lines`."""

import fcntl
import os
import time
import tty
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.host.errors import HostError, LineBlockedError, NoAnswerError
from backpulse.host.ports import GoldenPort, SocketPort
from backpulse.host.settings import Settings, prepare
from backpulse.host.training import Event, Trainer, Watcher
from backpulse.host.urls import board_config, open_board

from .bad_line import BadLine, leaping, steady, wandering

SETTINGS = Settings(layers="4-3", dataset="iris")
CONFIG: Config = board_config(SETTINGS.network, SETTINGS.device_model, tile="8x4")
DATA = prepare(SETTINGS, CONFIG.drive_max)
SAME = ("conductance_digest", "predictions", "test_accuracy", "train_loss", "steps", "cycles")
FROZEN_S = 15.0
"""Longest time that a frozen line is waited for."""
PARTS = {"open": "upload", "load": "upload", "upload": "upload", "read": "read-out"}
"""What a run did, by its last event; other events are those of training."""


@dataclass
class Trial:
    """What came of a training run on a line."""

    line: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    error: HostError | None = None
    marks: list[tuple[str, int, int]] = field(default_factory=lambda: [("open", 0, 0)])
    """Events, each with the bytes that the line had taken and given."""
    seconds: float = 0.0

    @property
    def part(self) -> str:
        return PARTS.get(self.marks[-1][0], "training")

    def same(self, clean: "Trial") -> bool:
        return bool(clean.result) and [self.result.get(key) for key in SAME] == [clean.result[key] for key in SAME]


def train(watch: Watcher | None = None, **port: Any) -> dict[str, Any]:
    """Train on a golden board, read all that a checkpoint needs, and return the result."""
    with open_board("golden://", config=CONFIG, **port) as board:
        trainer = Trainer(board, SETTINGS, 1, data=DATA, watch=watch)
        trainer.run()
        trainer.checkpoint()
        return trainer.result()


def trial(**line: Any) -> Trial:
    """Train on a golden board behind a bad line."""
    found, begun = Trial(line), time.monotonic()
    with BadLine(GoldenPort(GoldenMachine(CONFIG)), **line) as bad:

        def watch(event: Event) -> None:
            found.marks.append((event.phase, bad.taken, bad.given))

        try:
            found.result = train(watch, wrap=lambda _: SocketPort(bad.socket))
        except HostError as error:
            found.error = error
        found.marks.append((found.marks[-1][0], bad.taken, bad.given))
    found.seconds = time.monotonic() - begun
    return found


def trials(lines: list[dict[str, Any]]) -> list[Future[Trial]]:
    """Begin to train on many lines at a time: they mostly wait."""
    pool = ThreadPoolExecutor(len(lines))
    return [pool.submit(trial, **line) for line in lines]


def slow(kind: str, one_way: float) -> dict[str, Any]:
    """Return a line with a latency of this kind up to `one_way` seconds in each direction."""
    latency = {
        "steady": lambda seed: steady(one_way),
        "wandering": lambda seed: wandering(one_way / 10, one_way, seed),
        "leaping": lambda seed: leaping(one_way / 10, one_way, seed),
    }[kind]
    return {"there": latency(1), "back": latency(2)}


def check_frozen(found: Trial) -> None:
    """A frozen line is told as such, in time, and not as anything else."""
    assert isinstance(found.error, NoAnswerError | LineBlockedError), found
    assert found.error.exit_code == 1
    assert found.seconds < FROZEN_S


@pytest.fixture(scope="module")
def clean() -> Trial:
    """Return the run on a line without fault; before it there is one without a line.

    That one also compiles the golden model where nobody has: a proxy that compiles is a line that stands still.
    """
    direct, found = train(), trial()
    assert found.result, found
    assert [found.result[key] for key in SAME] == [direct[key] for key in SAME]
    return found


@pytest.fixture(scope="module")
def sample(clean: Trial) -> list[Future[Trial]]:
    """Begin runs on two slow lines, and on lines that freeze in the upload, in training and in the read-out."""
    at = {phase: (taken, given) for phase, taken, given in reversed(clean.marks)}  # the first of each
    frozen = [{"takes": at["load"][0] + 100}, {"gives": at["train"][1] + 10}, {"gives": at["read"][1] + 20}]
    return trials([*frozen, slow("steady", 0.05), slow("steady", 0.2)])


def test_a_port_that_takes_nothing_is_told_as_such(sample: list[Future[Trial]], backpulse) -> None:
    """`sample` is only to work meanwhile."""
    master, slave = os.openpty()
    tty.setraw(slave)
    fcntl.fcntl(slave, fcntl.F_SETFL, os.O_NONBLOCK)
    # The system moves what it has been given on to the other end, somewhat later: then there is room again.
    idle = 0
    while idle < 5:
        try:
            os.write(slave, bytes(256))
            idle = 0
        except BlockingIOError:
            idle += 1
            time.sleep(0.05)
    begun = time.monotonic()
    code, _, err = backpulse("info", "--board", os.ttyname(slave))
    assert (code, "The port takes no more bytes" in err) == (1, True), err
    assert time.monotonic() - begun < 10
    os.close(master)
    os.close(slave)


def test_a_frozen_line_ends_in_a_sentence(sample: list[Future[Trial]]) -> None:
    found = [one.result() for one in sample[:3]]
    for one in found:
        check_frozen(one)
    assert [one.part for one in found] == ["upload", "training", "read-out"]


def test_a_slow_line_brings_the_same_bits(sample: list[Future[Trial]], clean: Trial) -> None:
    for one in sample[3:]:
        assert one.result().same(clean), one.result()


@pytest.mark.slow
def test_frozen_at_twenty_places(clean: Trial) -> None:
    _, taken, given = clean.marks[-1]
    lines = [{"takes": taken * k // 10} for k in range(10)] + [{"gives": given * k // 10} for k in range(10)]
    found = [one.result() for one in trials(lines)]
    for one in found:
        print(f"{one.line} in {one.part}: {one.seconds:.1f} s: {one.error}")
    for one in found:
        check_frozen(one)
    assert {one.part for one in found} == {"upload", "training", "read-out"}


@pytest.mark.slow
def test_latencies_up_to_a_second(clean: Trial) -> None:
    kinds = [(kind, seconds) for kind in ("steady", "wandering", "leaping") for seconds in (0.05, 0.1, 0.2, 0.5, 1.0)]
    found = [one.result() for one in trials([slow(*kind) for kind in kinds])]
    for (kind, seconds), one in zip(kinds, found, strict=True):
        retries = one.result.get("link_retries")
        print(f"{kind}, {seconds} s each way: {one.seconds:.1f} s, {retries} frames again, same bits: {one.same(clean)} {one.error or ''}")
    assert all(one.same(clean) for one in found)


@pytest.mark.slow
def test_two_tenths_of_a_second_each_way_leave_a_third_of_the_speed() -> None:
    settings = Settings(layers="64-128-64-10", dataset="digits")
    config = board_config(settings.network, settings.device_model)
    data = prepare(settings, config.drive_max)
    ratios = {}
    for url in ("golden://", "sim://"):
        results = []
        for seconds in (None, 0.2):
            lines: list[BadLine] = []

            def wrap(port: Any, seconds: float | None = seconds, lines: list[BadLine] = lines) -> Any:
                if seconds is None:
                    return port
                lines.append(BadLine(port, there=steady(seconds), back=steady(seconds)).__enter__())
                return SocketPort(lines[0].socket)

            with open_board(url, config=config, wrap=wrap) as board:
                trainer = Trainer(board, settings, 1, data=data)
                assert board.resident
                trainer.run()
                results.append(trainer.result())
                for line in lines:
                    line.__exit__()
        clean, far = results
        assert [far[key] for key in SAME] == [clean[key] for key in SAME]
        ratios[url] = far["steps_per_second"] / clean["steps_per_second"]
        print(f"{url}: {clean['steps_per_second']:,.0f} steps/s, {far['steps_per_second']:,.0f} at 0.2 s each way: {ratios[url]:.2f}")
    assert ratios["sim://"] > 1 / 3
