"""Lines that are slow, blocked or bad, boards that answer and do not go on: nothing waits for ever, and what was seen is said."""

import time
from collections import deque

import numpy as np
import pytest

import backpulse.host.link
import backpulse.host.run
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import Status
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import REG, Counter
from backpulse.host.commands import granted, grants, reads, words
from backpulse.host.errors import LineBlockedError, LinkError, NoAnswerError, NoProgressError, OwnError
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .machines import machine_of
from .toy import EndpointPort, ToyMachine

BASE = ToyMachine.BASE
SETTINGS = Settings(dataset="iris", layers="4-5-3")


def config():
    return board_config(SETTINGS.network, SETTINGS.device_model, tile="16x8")


class Clock:
    """Time that passes only where one waits."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class SlowPort(EndpointPort):
    """The toy behind a line with a latency each way, which may change; on a `Clock`."""

    def __init__(self, endpoint, clock, latency):
        super().__init__(endpoint)
        self.clock, self.latency = clock, latency
        self.there, self.back = deque(), deque()

    def write(self, data):
        self.there.append((self.clock.now + self.latency, data))
        return len(data)

    def read(self, timeout):
        end = self.clock.now + timeout
        while True:
            while self.there and self.there[0][0] <= self.clock.now:
                super().write(self.there.popleft()[1])
                self.back.append((self.clock.now + self.latency, super().read(0)))
            answers = b""
            while self.back and self.back[0][0] <= self.clock.now:
                answers += self.back.popleft()[1]
            if answers or self.clock.now >= end:
                return answers
            self.clock.now = min([queue[0][0] for queue in (self.there, self.back) if queue] + [end])


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(backpulse.host.link, "time", clock)
    return clock


@pytest.mark.parametrize("latency", [0.05, 0.2, 0.5, 1.0])
def test_a_slow_line_is_measured_and_then_costs_its_round_trips_alone(clock, latency):
    port = SlowPort(Endpoint(ToyMachine()), clock, latency)
    link = Link(port)
    link.hello()
    for i in range(20):
        link.write_words(BASE + i, [i])
    assert link.round_trip_s == pytest.approx(2 * latency, rel=0.2)
    retries, begun = link.retries, clock.now
    for i in range(20):
        assert link.read_words(BASE + i, 1) == [i]
    assert link.retries == retries < 12
    assert clock.now - begun == pytest.approx(40 * latency, rel=0.01)


def test_a_line_that_leaps_is_followed(clock):
    machine = ToyMachine()
    port = SlowPort(Endpoint(machine), clock, 0.05)
    link = Link(port)
    link.hello()
    for i in range(120):
        port.latency = 1.0 if 20 <= i < 60 else 0.05
        link.write_words(BASE + i, [i])
    assert [link.read_words(BASE + i, 1) for i in range(120)] == [[i] for i in range(120)]
    assert link.retries < 30
    assert machine.log.count(("write", 30, 30)) == 1


def test_a_lossy_line_is_tried_often(clock):
    """Where no answer comes the wait grows, but not beyond a second."""
    machine = ToyMachine()
    port = SlowPort(Endpoint(machine), clock, 0.01)
    link = Link(port, patience_s=30)
    link.hello()
    link.write_words(BASE, [1])
    write, lost = port.write, []

    def drop(data):
        if len(lost) < 10:
            lost.append(clock.now)
            return len(data)
        return write(data)

    port.write = drop
    link.write_words(BASE, [2])
    assert max(np.diff(lost)) <= backpulse.host.link.TIMEOUT_MAX_S + 0.1
    assert machine.words[0] == 2


@pytest.mark.parametrize("at", ["hello", "write", "middle"])
def test_a_port_that_takes_no_more_bytes_is_told(monkeypatch, at):
    monkeypatch.setattr(backpulse.host.link, "WRITE_LIMIT_S", 0.05)
    port = EndpointPort(Endpoint(ToyMachine()))
    link = Link(port)
    if at != "hello":
        link.hello()
    left = [5 if at == "middle" else 0]

    def write(data):
        taken, left[0] = min(len(data), left[0]), 0
        time.sleep(0 if taken else 0.01)
        return taken

    monkeypatch.setattr(port, "write", write)
    with pytest.raises(LineBlockedError, match=r"^The port takes no more bytes \(none for 0\.05 s\): check the cable"):
        link.hello() if at == "hello" else link.write_words(BASE, range(200))


def test_a_blocked_port_heeds_the_wish_to_stop_and_goes_on_when_it_can(monkeypatch):
    machine = ToyMachine()
    port = EndpointPort(Endpoint(machine))
    link, stop = Link(port), Stop()
    link.hello()
    write, taken = port.write, []

    def half(data):
        if taken:
            return 0
        taken.append(write(data[:6]))
        stop.asked = True
        return 6

    monkeypatch.setattr(port, "write", half)
    link.heed = stop.heed
    with pytest.raises(StoppedError):
        link.write_words(BASE, [1])
    monkeypatch.setattr(port, "write", write)
    stop.asked = False
    link.write_words(BASE + 1, [2])
    assert machine.words[:2] == [1, 2]


def refuse_all(endpoint, frame):
    return Status.SEQUENCE, bytes((endpoint._expected,))


def spoil(port):
    read = port.read

    def damaged(timeout):
        data = bytearray(read(timeout))
        data[3:4] = b"\x55"
        return bytes(data)

    return damaged


def test_patience_ends_with_what_was_seen(monkeypatch):
    def connected():
        port = EndpointPort(Endpoint(ToyMachine()))
        link = Link(port, patience_s=0.3)
        link.hello()
        return port, link

    port, link = connected()
    monkeypatch.setattr(Endpoint, "_accept", refuse_all)
    with pytest.raises(NoAnswerError, match=r"answers, but has taken no command for 0.* s: each was refused as out of sequence: restart"):
        link.write_words(BASE, [1])
    monkeypatch.undo()
    port, link = connected()
    monkeypatch.setattr(port, "read", spoil(port))
    with pytest.raises(NoAnswerError, match=r"came whole for .*, \d+ came damaged: check cable"):
        link.write_words(BASE, [1])


def test_grants_behind_a_full_order_are_noticed():
    requests = grants(list(range(300)))
    for request, status in zip(requests, (Status.OK, Status.FULL, Status.FULL), strict=True):
        request.answer, request.status = b"", status
    assert granted(requests) == 120
    requests[2].status = Status.OK
    with pytest.raises(LinkError, match="took a GRANT behind one that found its order full: restart it"):
        granted(requests)


def test_an_answer_of_another_length_is_told():
    (request,) = reads(0, 2)
    request.answer = b"1234"
    with pytest.raises(LinkError, match="answered READ of 2 words at register MAGIC with 4 bytes"):
        words([request])


def train(monkeypatch, patch, *, limit=0.2):
    """Train on a golden board that `patch` spoils once it has been loaded."""
    monkeypatch.setattr(backpulse.host.run, "PATIENCE_S", limit)
    with open_board("golden://", config=config()) as board:
        board.link._patience_s = limit
        trainer = Trainer(board, SETTINGS, 2)
        patch(machine_of(board))
        trainer.run()


def test_a_board_that_stands_still_is_told_and_left_stopped(monkeypatch):
    aborted = []

    def stand(machine):
        monkeypatch.setattr(machine, "run", lambda samples: 0)
        monkeypatch.setattr(machine, "abort", lambda: aborted.append(True))

    with pytest.raises(NoProgressError, match=r"is training and has done no sample for \d s: it has 32 to do, and 0 of this run are done"):
        train(monkeypatch, stand)
    assert aborted


def test_a_board_whose_order_is_always_full_is_told(monkeypatch):
    with pytest.raises(NoProgressError, match=r"has taken no sample for .*its order is full"):
        train(monkeypatch, lambda machine: monkeypatch.setattr(machine, "grant", lambda indices: False))


@pytest.mark.parametrize("steps", [lambda n: 0xFFFFFF00 - n, lambda n: n + 1000])
def test_steps_that_run_backwards_or_ahead_are_told(monkeypatch, steps):
    def spoil_steps(machine):
        get = machine._get
        begun = int(machine.memory.counters[Counter.STEPS])

        def wrong(name, index):
            value = get(name, index)
            if name == "COUNTER" and index == Counter.STEPS and value != begun:
                return steps(value) & 0xFFFFFFFF
            return value

        monkeypatch.setattr(machine, "_get", wrong)

    with pytest.raises(NoProgressError, match="its counter STEPS is wrong: restart the board, and go on from the last checkpoint"):
        train(monkeypatch, spoil_steps)


def test_a_state_that_does_not_exist_is_told(monkeypatch):
    with pytest.raises(LinkError, match="says that its state is 77, which does not exist"):
        train(monkeypatch, lambda machine: monkeypatch.setattr(machine, "_get", lambda name, index: 77))


def test_trouble_of_the_golden_model_is_its_own(monkeypatch):
    def full(self, samples):
        raise OSError(28, "No space left on device")

    machine = GoldenMachine(config())
    monkeypatch.setattr(GoldenMachine, "run", full)
    with pytest.raises(OwnError, match=r"The golden model failed on this computer: .*No space left"):
        GoldenPort(machine).read(0.1)


@pytest.mark.parametrize("when", ["load", "upload", "train", "test"])
def test_a_wish_to_stop_is_heeded_at_once_and_the_board_rests(when):
    stop, phases = Stop(), []

    def watch(event):
        phases.append(event.phase)
        stop.asked |= event.phase == when

    with open_board("golden://", config=config()) as board:
        if when == "load":
            with pytest.raises(StoppedError):
                Trainer(board, SETTINGS, 5, watch=watch, stop=stop)
        else:
            trainer = Trainer(board, SETTINGS, 5, watch=watch, stop=stop)
            assert not trainer.run()
            assert (trainer.position.totals["STEPS"] == board.raw_counters()[Counter.STEPS]) == (when != "test")
        assert phases.count(when) <= 2
        assert board.link.read_words(REG["STATE"].address, 1) == [0]
