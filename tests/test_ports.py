"""Ports are listed unopened, asked without changing a session, and the one board that answers is taken."""

import contextlib
import json
import os
import select
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import REG
from backpulse.gateware.boards.boards import BOARDS
from backpulse.host import probe
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort
from backpulse.host.probe import answers
from backpulse.host.urls import board_config
from backpulse.host.virtual import VirtualPort, start

from .test_same_bits import CONFIGS

CONFIG = board_config(None, PRESETS["ideal"], tile="8x4")
ULX3S, ICEBREAKER = BOARDS["ulx3s-85f"].usb, BOARDS["icebreaker"].usb


def port(device, usb=None, location=None, product=None):
    """Return a port as pyserial lists it."""
    info = ListPortInfo(device)
    info.vid, info.pid = (usb.vendor, usb.product) if usb else (None, None)
    info.location, info.product = location, product
    return info


@pytest.fixture
def here(monkeypatch):
    """Return a function that says which ports there are."""
    return lambda *ports: monkeypatch.setattr(list_ports, "comports", lambda: list(ports))


@contextlib.contextmanager
def served(*, silent: bool = False) -> Iterator[str]:
    """Serve a golden board, or nothing, on a pty; give its path."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    wake, end = os.pipe()

    def serve():
        machine = GoldenMachine(CONFIG)
        endpoint = Endpoint(machine)
        while True:
            ready = select.select([ours, wake], [], [])[0]
            if wake in ready:
                return
            data = os.read(ours, 4096)
            if not silent:
                os.write(ours, endpoint.feed(data))
                machine.run(CONFIG.order_depth)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(end)
        thread.join()
        for handle in (ours, theirs, wake):
            os.close(handle)


def test_ports_are_listed_with_ids_and_names_and_none_is_opened(backpulse, here, monkeypatch):
    monkeypatch.setattr(probe, "SerialPort", None)
    here(
        port("/dev/ttyUSB1", ICEBREAKER, "1-2:1.1", "iCEBreaker V1.0e"),
        port("/dev/ttyUSB0", ICEBREAKER, "1-2:1.0", "iCEBreaker V1.0e"),
        port("/dev/ttyS0"),
    )
    code, out, err = backpulse("ports")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["/dev/ttyS0", "/dev/ttyUSB0", "/dev/ttyUSB1"]
    assert lines[2].split()[-1] == "-", "the channel that programs the board is not its line"
    assert ("0403:6010" in lines[3], "iCEBreaker V1.0e" in lines[3], "icebreaker" in lines[3]) == (True, True, True)
    found = json.loads(backpulse("ports", "--json", "-")[1])["ports"]
    assert found[2]["boards"] == ["icebreaker", "tang-nano-9k"]
    assert found[2]["answer"] == ""
    here()
    assert backpulse("ports")[1] == "There are no serial ports here.\n"


def test_only_ports_of_known_boards_are_asked(backpulse, here, monkeypatch):
    asked = []
    real = probe.SerialPort
    monkeypatch.setattr(probe, "SerialPort", lambda device, baud: asked.append((device, baud)) or real(device, baud))
    monkeypatch.setattr(probe, "PATIENCE_S", 0.1)
    with served() as there, served(silent=True) as silent:
        here(port(there, ULX3S, product="ULX3S"), port(silent, ICEBREAKER), port("/dev/ttyS9"), port("/dev/ttyUSB9", ULX3S))
        found = {each["device"]: each for each in json.loads(backpulse("ports", "--probe", "--json", "-")[1])["ports"]}
    assert (found[there]["answer"], found[there]["baud"]) == ("answers", 3_000_000)
    assert found[silent]["answer"] == "silent"
    assert (found["/dev/ttyS9"]["answer"], found["/dev/ttyUSB9"]["answer"]) == ("", "cannot be opened")
    assert {device for device, _ in asked} == {there, silent, "/dev/ttyUSB9"}


def ask(line):
    """Ask a board in the middle of a session, which goes on; return whether it answered."""
    link = Link(line)
    link.hello()
    address = REG["SCALE"].address
    link.write_words(address, [5])
    answered = answers(line)
    link.write_words(address, [7])  # by the next number
    assert link.read_words(address, 1) == [7]
    assert link.hello(link._nonce), "the session is still the same"
    return answered


def test_asking_changes_no_session_of_the_golden_model():
    assert ask(GoldenPort(GoldenMachine(CONFIG)))


def test_asking_changes_no_session_of_the_rtl():
    with start(CONFIGS["ideal"]) as board:
        assert answers(VirtualPort(board)), "also where there is no session yet"
        assert ask(VirtualPort(board))


def test_auto_takes_the_board_that_answers(backpulse, here, monkeypatch):
    monkeypatch.setattr(probe, "PATIENCE_S", 0.2)
    with served() as there, served(silent=True) as silent:
        here(port(there, ULX3S), port(silent, ICEBREAKER))
        code, out, err = backpulse("info", "--board", "auto", "--json", "-")
        assert code == 0, err
        assert json.loads(out)["config"]["tile_rows"] == 8
        here(port(there, ULX3S), port(there, ULX3S))
        code, _, err = backpulse("info", "--board", "auto")
        assert (code, err) == (2, f"Error: Several boards answer, at {there}, {there}: name one of these ports with --board\n")
        here(port(silent, ICEBREAKER))
        code, _, err = backpulse("info", "--board", "auto")
        expected = f"No board answers: asked were {silent} (silent): load it with backpulse flash, or name its port with --board"
        assert (code, err) == (1, f"Error: {expected}\n")
    here(port("/dev/ttyS0"))
    code, _, err = backpulse("info", "--board", "auto")
    assert code == 1
    assert "no port of this computer has the USB id of a known board" in err


def test_the_ids_are_those_of_the_boards_page():
    text = (Path(__file__).parent.parent / "docs" / "boards.md").read_text()
    for name in ("icebreaker", "ulx3s", "tang-nano-9k"):
        usb = next(board.usb for board in BOARDS.values() if board.name.startswith(name))
        assert usb
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} | USB"))
        assert f"| {usb.vendor:04x}:{usb.product:04x} |" in row
        assert ("second channel" in row) == (usb.interface == 1)


def test_each_board_with_usb_has_a_channel_of_its_own():
    assert {board.name for board in BOARDS.values() if not board.usb} == {"colorlight-5a75b"}
    assert all("usb" not in board.to_dict() for board in BOARDS.values()), "a bitstream does not depend on it"
