"""The virtual board's harness, on a top that sends back what it hears: the rx pin, some cycles later, is the tx pin."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportGeneralTypeIssues=false, reportInvalidTypeForm=false, reportOperatorIssue=false
# A board without a line of its own has a socket.
# pyright: reportOptionalMemberAccess=false

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import serial
from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.gateware.sim import virtual_board
from backpulse.gateware.sim.virtual_board import VirtualBoard, compile_board, identity
from backpulse.host.errors import OwnError
from backpulse.host.virtual import VirtualPort

BUSY_CYCLES = 1 << 20


class Echo(wiring.Component):
    """Delays rx by 50 cycles to tx; busy for `BUSY_CYCLES` after the line was last low. a `broken` one holds
    each low level a bit time longer."""

    rx: In(1)
    tx: Out(1)
    busy: Out(1)

    def __init__(self, *, broken: bool = False) -> None:
        self._broken = broken
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        line = Signal(50, init=-1)
        left = Signal(range(BUSY_CYCLES + 1))
        m.d.sync += line.eq(Cat(self.rx, line))
        with m.If(~self.rx):
            m.d.sync += left.eq(BUSY_CYCLES)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += [self.tx.eq(line[-1] & (line[-5] if self._broken else 1)), self.busy.eq(left != 0)]
        return m


def program(**arguments):
    return compile_board(lambda: Echo(**arguments), identity(__name__, arguments))


@pytest.fixture(scope="module")
def echo():
    return program()


def receive(line, count):
    data = b""
    line.settimeout(20)
    while len(data) < count:
        part = line.recv(65536)
        assert part, "the board has closed the line"
        data += part
    return data


def test_every_byte_comes_back_in_order(echo):
    data = bytes(range(256)) + random.Random(1).randbytes(20_000)
    with VirtualBoard(echo) as board:
        board.socket.sendall(data)
        assert receive(board.socket, len(data)) == data


def test_a_wrong_bit_is_seen():
    with VirtualBoard(program(broken=True)) as board:
        board.socket.sendall(b"\xff")
        assert receive(board.socket, 1) == b"\xfe"


def test_the_clock_stands_still_when_there_is_nothing_to_do(echo):
    with VirtualBoard(echo) as board:
        for byte in b"ab":
            board.socket.sendall(bytes([byte]))
            assert receive(board.socket, 1) == bytes([byte])
            time.sleep(2)
        cycles = int(board.close().split()[0])
    assert 2 * BUSY_CYCLES < cycles < 2 * BUSY_CYCLES + 5000


def test_tcp_serves_one_client_after_the_other(echo):
    with VirtualBoard(echo, line="tcp") as board:
        address = ("127.0.0.1", int(board.url.rpartition(":")[2]))
        with socket.create_connection(address) as first, socket.create_connection(address) as second:
            second.sendall(b"second")
            first.sendall(b"first")
            assert receive(first, 5) == b"first"
            first.close()
            assert receive(second, 6) == b"second"
        assert board.running


def test_a_pty_is_a_serial_port(echo):
    data = bytes(range(256))
    with VirtualBoard(echo, line="pty") as board:
        for _ in range(2):
            with serial.Serial(board.url, 115200, timeout=20) as port:
                port.write(data)
                assert port.read(len(data)) == data
        assert board.running


def test_a_pulled_cable_does_not_stop_the_board(echo):
    with VirtualBoard(echo) as board:
        board.socket.close()
        time.sleep(0.2)
        assert board.running


def test_exit_on_close(echo):
    ours, theirs = socket.socketpair()
    command = [echo, "--fd", str(theirs.fileno()), "--exit-on-close"]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE) as process:
        theirs.close()
        ours.close()
        assert process.wait(10) == 0


def test_the_board_ends_with_the_program_that_started_it(echo):
    script = (
        "import sys, time; from pathlib import Path; from backpulse.gateware.sim.virtual_board import VirtualBoard\n"
        "board = VirtualBoard(Path(sys.argv[1])); print(board._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(echo)], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the board outlived its parent")


@pytest.mark.parametrize(
    ("number", "how"),
    [(signal.SIGSEGV, "it was ended by signal 11 (Segmentation fault)"), (signal.SIGKILL, "it was ended by signal 9 (Killed)")],
)
def test_a_crash_is_told_as_such_and_not_as_a_lost_line(echo, number, how):
    with VirtualBoard(echo) as board:
        port = VirtualPort(board)
        assert board.end() is None
        os.kill(board._process.pid, number)
        with pytest.raises(OwnError, match=re.escape(f"The virtual board on this computer is gone: {how}: run the command again")):
            port.read(20)
        assert not board.running


def test_the_last_words_of_a_board_are_told(tmp_path):
    dying = tmp_path / "board"
    dying.write_text("#!/bin/sh\necho first >&2; echo no memory left >&2; exit 3\n")
    dying.chmod(0o700)
    with VirtualBoard(dying) as board, pytest.raises(OwnError, match='it ended with exit code 3, and said "no memory left"') as told:
        VirtualPort(board).read(20)
    assert told.value.exit_code == 4


def test_wrong_arguments(echo):
    result = subprocess.run([echo], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "usage" in result.stderr


def test_identity_covers_imports_and_parameters():
    sources = virtual_board._digest_sources(__name__)
    for module in (__name__, "backpulse.gateware.sim.virtual_board", "backpulse.gateware.sim.verilator", "backpulse.firmware_py.config"):
        assert f"{module} " in sources
    assert (
        identity("backpulse.gateware.export.export")
        != identity("backpulse.gateware.export.export", 4)
        != identity("backpulse.gateware.sim.verilator", 4)
    )
    assert identity("backpulse.gateware.export.export") == identity("backpulse.gateware.export.export")
