import random

import pytest

from backpulse.firmware_py import endpoint as endpoint_module
from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import LONG_PAYLOAD, MAX_PAYLOAD, RESPONSE, Frame, Opcode, Status, most_granted
from backpulse.host.errors import LineLostError, NoAnswerError, RefusedError, SessionLostError, WrongAbiError
from backpulse.host.link import Link

from .faults import FaultyLine, FaultyPort
from .toy import EndpointPort, ToyMachine

BASE = ToyMachine.BASE


def connect(payload=MAX_PAYLOAD, **options):
    machine = ToyMachine(payload=payload)
    port = EndpointPort(Endpoint(machine), **options)
    link = Link(port, patience_s=0.5)
    link.payload = payload
    assert link.hello() is False
    machine.log.clear()
    return machine, port, link


def exercise(link, machine, operations, words_at_most, seed):
    """Do random operations; return the log that the machine must have."""
    rng = random.Random(seed)
    memory = [0] * 256
    want = []
    link.start()
    want.append(("start",))
    machine.room = 10**9
    for _ in range(operations):
        count = rng.randint(1, words_at_most)
        at = rng.randrange(256 - count + 1)
        match rng.randrange(4):
            case 0 | 1:
                values = [rng.getrandbits(32) for _ in range(count)]
                link.write_words(BASE + at, values)
                memory[at : at + count] = values
                want += [("write", at + i, v) for i, v in enumerate(values)]
            case 2:
                assert link.read_words(BASE + at, count) == memory[at : at + count]
            case 3:
                indices = [rng.randrange(65536) for _ in range(count)]
                assert link.grant(indices) == count
                most = most_granted(link.payload)
                want += [("grant", *indices[i : i + most]) for i in range(0, count, most)]
    return want


@pytest.mark.parametrize("payload", [MAX_PAYLOAD, LONG_PAYLOAD])
@pytest.mark.parametrize("chop", [False, True])
def test_clean_line(chop, payload):
    machine, _, link = connect(payload, chop=chop)
    assert exercise(link, machine, 300, 256, 1) == machine.log
    assert link.retries == 0
    assert link.damaged == 0


@pytest.mark.parametrize(("rate", "operations", "words"), [(1 / 1000, 400, 256), (1 / 50, 400, 3)])
@pytest.mark.parametrize("kind", ["corrupt", "drop", "double", "all"])
@pytest.mark.parametrize(("seed", "payload"), [(1, MAX_PAYLOAD), (2, MAX_PAYLOAD), (3, LONG_PAYLOAD)])
def test_everything_once_and_in_order_on_a_bad_line(rate, operations, words, kind, seed, payload):
    machine, port, _ = connect(payload)
    rates = {k: rate for k in ("corrupt", "drop", "double") if kind in (k, "all")}
    faulty = FaultyPort(port, seed, **rates)
    link = Link(faulty, patience_s=5)
    link.payload = payload
    link.hello()
    machine.log.clear()
    assert exercise(link, machine, operations, words, seed) == machine.log
    assert faulty.faults > 50
    assert link.retries > 10


def test_a_line_that_only_repeats_is_noticed(monkeypatch):
    """The broken variant: a board that forgets what it has answered does things twice, and the test above sees it."""
    monkeypatch.setattr(endpoint_module.Endpoint, "_accept", lambda self, frame: forgetful(self, frame))
    original = endpoint_module.Endpoint.__dict__["_execute"]

    def forgetful(self, frame):
        if frame.opcode == Opcode.HELLO:
            return self._hello(frame.payload)
        return original(self, frame)

    machine, port, _ = connect()
    link = Link(FaultyPort(port, 3, corrupt=1 / 50, drop=1 / 50))
    link.hello()
    machine.log.clear()
    assert exercise(link, machine, 200, 3, 3) != machine.log


def test_refusals_are_sentences():
    machine, _, link = connect()
    with pytest.raises(RefusedError, match="refused READ of 2 words at STORE 0xff: there is nothing at that address") as caught:
        link.read_words(BASE + 255, 2)
    assert caught.value.status is Status.BAD_ADDRESS
    with pytest.raises(RefusedError, match="refused GRANT of 2 samples: the machine is idle or in fault"):
        link.grant([1, 2])
    link.start()
    with pytest.raises(RefusedError, match="refused START: a program runs"):
        link.start()
    link.write_words(BASE, [1])
    assert machine.words[0] == 1


def test_grant_stops_where_the_order_is_full():
    machine, _, link = connect()
    link.start()
    assert link.grant(range(500)) == 240
    assert [i for entry in machine.log[1:] for i in entry[1:]] == list(range(240))


def test_halt_and_abort_pass_a_full_window():
    machine, _, link = connect()
    link.halt()
    link.abort()
    assert machine.log == [("halt",), ("abort",)]


def test_silence_is_one_sentence():
    class Silent(EndpointPort):
        def read(self, timeout):
            return b""

    with pytest.raises(NoAnswerError, match=r"No answer from the board within 0\.05 s: check port, baud rate, cable and bitstream"):
        Link(Silent(Endpoint(ToyMachine())), patience_s=0.05).hello()


def test_a_board_that_falls_silent_is_one_sentence(monkeypatch):
    _, port, link = connect()
    monkeypatch.setattr(port, "read", lambda timeout: b"")
    with pytest.raises(NoAnswerError, match="does not answer any more"):
        link.read_words(BASE, 1)


def test_an_unplugged_line_is_one_sentence():
    _, port, link = connect()
    port.broken = True
    with pytest.raises(LineLostError, match=r"line to the board was lost \(device unplugged\): the board pauses when its credit"):
        link.read_words(BASE, 1)


def test_a_restart_is_one_sentence():
    machine, port, link = connect()
    port.endpoint = Endpoint(machine)
    with pytest.raises(SessionLostError, match="restarted in mid session"):
        link.write_words(BASE, [1])
    assert link.hello() is False
    link.write_words(BASE, [1])


def test_another_program_is_one_sentence():
    _, port, link = connect()
    for i in range(20):
        link.write_words(BASE, [i])
    Link(port).hello()
    with pytest.raises(SessionLostError, match="another program has opened it"):
        link.write_words(BASE, [1])


def test_another_abi_is_one_sentence(monkeypatch):
    monkeypatch.setattr(endpoint_module, "ABI_VERSION", 99)
    with pytest.raises(WrongAbiError, match=f"The board has ABI version 99, this program {ABI_VERSION}"):
        connect()


def test_a_session_can_be_continued():
    machine, port, _ = connect()
    link = Link(port)
    link.hello(b"abcdefgh")
    for i in range(5):
        link.write_words(BASE, [i])
    machine.log.clear()
    again = Link(port)
    assert again.hello(b"abcdefgh") is True
    again.write_words(BASE, [9])
    assert machine.log == [("write", 0, 9)]


def test_an_interrupted_call_spoils_nothing(monkeypatch):
    machine, port, link = connect()
    read, calls = port.read, []

    def interrupt(timeout):
        calls.append(timeout)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return read(timeout)

    monkeypatch.setattr(port, "read", interrupt)
    link.write_words(BASE, [1])
    with pytest.raises(KeyboardInterrupt):
        link.write_words(BASE + 1, [2])
    link.halt()
    link.write_words(BASE + 9, [9])
    assert machine.log == [("write", 0, 1), ("write", 1, 2), ("halt",), ("write", 9, 9)]


def test_fault_rates_are_checked_and_repeatable():
    with pytest.raises(ValueError, match="Fault rates must be 0 to 1 together"):
        FaultyLine(1, corrupt=0.6, drop=0.6)
    data = bytes(range(256)) * 40
    assert FaultyLine(4, corrupt=0.1)(data) == FaultyLine(4, corrupt=0.1)(data) != data
    assert abs(len(FaultyLine(4, drop=0.1)(data)) - 0.9 * len(data)) < 200 > abs(len(FaultyLine(4, double=0.1)(data)) - 1.1 * len(data))


def test_a_refusal_of_what_the_line_held_before_is_not_ours(monkeypatch):
    machine = ToyMachine()
    port = EndpointPort(Endpoint(machine))
    link = Link(port)
    link._tag = 6
    port._bytes += Frame(Opcode.HELLO | RESPONSE, 7, bytes((Status.BAD_LENGTH,))).encode()  # with the tag that we are about to use
    link.hello()
    link.write_words(BASE, [1])
    assert machine.words[0] == 1
