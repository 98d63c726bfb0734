import random
from struct import pack

import pytest

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import LONG_PAYLOAD, MAX_PAYLOAD, RESPONSE, Deframer, Frame, Opcode, Status, most_words
from backpulse.firmware_py.registers import State

from .toy import ToyMachine

NONCE = b"12345678"
BASE = ToyMachine.BASE


class Board:
    """An endpoint with an open session and a way to ask it one frame."""

    def __init__(self, *, hello: bool = True, payload: int = MAX_PAYLOAD) -> None:
        self.machine = ToyMachine(payload=payload)
        self.endpoint = Endpoint(self.machine)
        if hello:
            self.ask(Opcode.HELLO, 0, NONCE)
            self.machine.log.clear()

    def ask(self, opcode: int, seq: int, payload: bytes = b"") -> tuple[Status, bytes]:
        (answer,) = Deframer(self.machine.payload).feed(self.endpoint.feed(Frame(opcode, seq, payload).encode()))
        assert (answer.opcode, answer.seq) == (opcode | RESPONSE, seq)
        return Status(answer.payload[0]), answer.payload[1:]


@pytest.fixture
def board():
    return Board()


def write(offset, *words):
    return pack(f"<I{len(words)}I", BASE + offset, *words)


def test_before_hello_everything_is_refused():
    board = Board(hello=False)
    for opcode in [o for o in range(256) if o != Opcode.HELLO]:
        assert board.ask(opcode, opcode) == (Status.NO_SESSION, b"")
    assert board.machine.log == []


def test_hello_opens_continues_and_resets(board):
    assert board.ask(Opcode.WRITE, 0, write(3, 1)) == (Status.OK, b"")
    assert board.ask(Opcode.HELLO, 9, NONCE) == (Status.OK, pack("<IBB", ABI_VERSION, 1, 1))
    assert board.machine.log == [("write", 3, 1)]
    assert board.ask(Opcode.HELLO, 9, b"87654321") == (Status.OK, pack("<IBB", ABI_VERSION, 0, 0))
    assert board.machine.log[1:] == [("clear_credit",)]
    assert board.machine.session == int.from_bytes(b"87654321", "little")
    assert board.ask(Opcode.HELLO, 9, b"short") == (Status.BAD_LENGTH, b"")
    assert board.ask(Opcode.WRITE, 255, write(0, 9)) == (Status.SEQUENCE, b"\0"), "the cache of the old session is gone"


def test_repeated_change_is_answered_and_not_done(board):
    for seq in range(8):
        assert board.ask(Opcode.WRITE, seq, write(seq, seq)) == (Status.OK, b"")
    board.machine.log.clear()
    for seq in range(8):
        assert board.ask(Opcode.WRITE, seq, write(seq, 99)) == (Status.OK, b"")
    assert board.machine.log == []
    for seq in (9, 10, 128, 255):
        assert board.ask(Opcode.WRITE, seq, write(0, 99)) == (Status.SEQUENCE, b"\x08")
    assert board.ask(Opcode.WRITE, 8, write(600, 1)) == (Status.BAD_ADDRESS, b"")
    assert board.ask(Opcode.WRITE, 8, write(0, 1)) == (Status.BAD_ADDRESS, b""), "the answer, not the command, is what is repeated"
    assert board.ask(Opcode.WRITE, 0, write(0, 99)) == (Status.SEQUENCE, b"\x09")


def test_repeated_read_is_done_again(board):
    read = pack("<IB", BASE, 2)
    assert board.ask(Opcode.READ, 0, read) == (Status.OK, bytes(8))
    board.machine.words[1] = 7
    assert board.ask(Opcode.READ, 0, read) == (Status.OK, pack("<II", 0, 7))


def test_sequence_wraps(board):
    for i in range(600):
        assert board.ask(Opcode.WRITE, i & 0xFF, write(0, i)) == (Status.OK, b"")
    assert [entry[2] for entry in board.machine.log] == list(range(600))


@pytest.mark.parametrize(
    ("opcode", "payload", "status"),
    [
        (Opcode.READ, pack("<IB", BASE, 0), Status.BAD_LENGTH),
        (Opcode.READ, pack("<IB", BASE, 61), Status.BAD_LENGTH),
        (Opcode.READ, pack("<I", BASE), Status.BAD_LENGTH),
        (Opcode.READ, pack("<IH", BASE, 1), Status.BAD_LENGTH),
        (Opcode.READ, pack("<IB", BASE + 250, 7), Status.BAD_ADDRESS),
        (Opcode.READ, pack("<IB", 0xFFFFFFFF, 2), Status.BAD_ADDRESS),
        (Opcode.WRITE, pack("<I", BASE), Status.BAD_LENGTH),
        (Opcode.WRITE, write(0, 1) + b"x", Status.BAD_LENGTH),
        (Opcode.WRITE, b"", Status.BAD_LENGTH),
        (Opcode.START, b"x", Status.BAD_LENGTH),
        (Opcode.HALT, b"x", Status.BAD_LENGTH),
        (Opcode.GRANT, b"", Status.BAD_LENGTH),
        (Opcode.GRANT, b"\1", Status.BAD_LENGTH),
        (Opcode.GRANT, bytes(242), Status.BAD_LENGTH),
        (Opcode.GRANT, b"\1\0", Status.NOT_RUNNING),
        (8, b"", Status.UNKNOWN_OPCODE),
        (0, b"", Status.UNKNOWN_OPCODE),
        (Opcode.READ | RESPONSE, pack("<IB", BASE, 1), Status.UNKNOWN_OPCODE),
    ],
)
def test_refusals(board, opcode, payload, status):
    if opcode & RESPONSE:
        (answer,) = Deframer().feed(board.endpoint.feed(Frame(opcode, 0, payload).encode()))
        assert answer.payload == bytes((status,))
    else:
        assert board.ask(opcode, 0, payload) == (status, b"")
    assert board.machine.log == []


@pytest.mark.parametrize("payload", [260, LONG_PAYLOAD])
def test_limits_of_longer_frames(payload):
    board = Board(payload=payload)
    words = list(range(1, 65))
    assert board.ask(Opcode.WRITE, 0, write(100, *words)) == (Status.OK, b"")
    assert board.ask(Opcode.READ, 1, pack("<IB", BASE + 100, 64)) == (Status.OK, pack("<64I", *words))
    assert board.ask(Opcode.READ, 2, pack("<IH", BASE + 100, 64)) == (Status.OK, pack("<64I", *words))
    most = most_words(payload)
    assert most == (payload - 4) // 4
    beyond = Status.BAD_ADDRESS if most > 256 else Status.OK
    assert board.ask(Opcode.READ, 3, pack("<IH", BASE, most))[0] is beyond
    assert board.ask(Opcode.READ, 4, pack("<IH", BASE, most + 1)) == (Status.BAD_LENGTH, b"")
    assert board.ask(Opcode.READ, 5, pack("<II", BASE, 1)) == (Status.BAD_LENGTH, b"")
    board.machine.log.clear()
    assert board.ask(Opcode.WRITE, 6, write(250, *words)) == (Status.BAD_ADDRESS, b"")
    assert board.machine.log == [("write", 250 + i, words[i]) for i in range(6)], "those before the failing one"
    assert board.ask(Opcode.START, 7) == (Status.OK, b"")
    board.machine.room = 1 << 16
    assert board.ask(Opcode.GRANT, 8, pack(f"<{2 * most}H", *range(2 * most))) == (Status.OK, b"")
    assert board.ask(Opcode.GRANT, 9, bytes(4 * most + 2)) == (Status.BAD_LENGTH, b"")


def test_start_grant_and_stops(board):
    assert board.ask(Opcode.START, 0) == (Status.OK, b"")
    assert board.ask(Opcode.START, 1) == (Status.BUSY, b"")
    assert board.ask(Opcode.GRANT, 2, pack("<3H", 5, 6, 65535)) == (Status.OK, b"")
    board.machine.room = 2
    assert board.ask(Opcode.GRANT, 3, pack("<3H", 5, 6, 7)) == (Status.FULL, b"")
    assert board.ask(Opcode.GRANT, 4, pack("<2H", 8, 9)) == (Status.OK, b"")
    for _ in range(2):
        assert board.ask(Opcode.ABORT, 77) == (Status.OK, b"")
    assert board.ask(Opcode.GRANT, 5, pack("<H", 8)) == (Status.NOT_RUNNING, b"")
    assert board.ask(Opcode.START, 6) == (Status.OK, b""), "START clears a fault"
    assert board.ask(Opcode.HALT, 0) == (Status.OK, b"")
    grants = [("grant", 5, 6, 65535), ("grant", 8, 9)]
    assert board.machine.log == [("start",), *grants, ("abort",), ("abort",), ("start",), ("halt",)]


def test_windows_of_the_machine_are_busy_while_it_trains(board):
    board.machine.state = State.TRAINING
    assert board.ask(Opcode.READ, 0, pack("<IB", 1 << 28, 1)) == (Status.BUSY, b"")
    assert board.ask(Opcode.WRITE, 1, pack("<II", 8 << 28, 1)) == (Status.BUSY, b"")
    assert board.ask(Opcode.READ, 2, pack("<IB", BASE, 1)) == (Status.OK, bytes(4))
    board.machine.state = State.PAUSED
    assert board.ask(Opcode.READ, 3, pack("<IB", 1 << 28, 1)) == (Status.BAD_ADDRESS, b"")


def test_random_bytes_neither_crash_nor_act(board):
    rng = random.Random(5)
    for _ in range(300):
        board.endpoint.feed(rng.randbytes(rng.randrange(400)))
    board.endpoint.feed(b"\0")
    assert board.machine.log == []
    assert board.ask(Opcode.WRITE, 0, write(1, 2)) == (Status.OK, b"")
