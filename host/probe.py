"""The serial ports of this computer, the boards that they may be, and which of them answer."""

import time
from dataclasses import dataclass, replace
from typing import Literal

from backpulse.firmware_py.framing import RESPONSE, Deframer, Frame, Opcode, Status
from backpulse.host.errors import HostError, InputError
from backpulse.host.link import Port
from backpulse.host.ports import SerialPort

ASK = Frame(Opcode.HELLO, 0x5A)
"""A HELLO without its nonce: every board refuses it, in a session and without one, and nothing changes."""
ANSWER = Frame(Opcode.HELLO | RESPONSE, ASK.seq, bytes([Status.BAD_LENGTH]))
PATIENCE_S = 0.5
"""Time that a board has for its answer: some bytes, and the 16 ms that a USB converter may keep them."""
Answer = Literal["answers", "silent", "cannot be opened"]


@dataclass(frozen=True)
class Found:
    """A serial port.

    Parameters
    ----------
    device : str
        Its path.
    name : str
        What it calls itself.
    usb : str
        Vendor and product in hexadecimal, as in 0403:6010; empty where it is not USB.
    boards : tuple of str
        Boards whose line it may be, by its USB id.
    rates : tuple of int
        Their baud rates.
    answer : str
        How it has answered, or nothing if it was not asked.
    baud : int
        The rate at which it answered, else 0.
    """

    device: str
    name: str
    usb: str
    boards: tuple[str, ...]
    rates: tuple[int, ...]
    answer: Answer | Literal[""] = ""
    baud: int = 0


def found_ports() -> list[Found]:
    """Return the ports of this computer; none is opened."""
    from serial.tools.list_ports import comports

    found = []
    for port in sorted(comports(), key=lambda port: port.device):
        boards = _boards(port.vid, port.pid, port.location or "")
        name = port.product or (port.description if port.description != "n/a" else "") or ""
        usb = "" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"
        found.append(Found(port.device, name, usb, tuple(boards), tuple(sorted(set(boards.values())))))
    return found


def _boards(vendor: int | None, product: int | None, location: str) -> dict[str, int]:
    """Return the baud rates of boards by name that have such an id; where the place says which channel it is, of the channel too."""
    try:
        from backpulse.gateware.boards.boards import BOARDS
    except ModuleNotFoundError:  # the base installation lacks what they are made with
        return {}
    _, colon, place = location.rpartition(":")
    channel = int(place.rpartition(".")[2]) if colon and place.rpartition(".")[2].isdecimal() else None
    return {
        name: board.baud
        for name, board in BOARDS.items()
        if board.usb and (vendor, product) == (board.usb.vendor, board.usb.product) and channel in (None, board.usb.interface)
    }


def probed(port: Found) -> Found:
    """Ask a port of known boards whether a board is there; any other port is returned as it is."""
    if not port.boards:
        return port
    for baud in port.rates:
        try:
            line = SerialPort(port.device, baud)
        except InputError:
            return replace(port, answer="cannot be opened")
        try:
            if answers(line):
                return replace(port, answer="answers", baud=baud)
        except (OSError, EOFError):  # unplugged meanwhile
            break
        finally:
            line.close()
    return replace(port, answer="silent")


def answers(port: Port) -> bool:
    """Say whether a board of ours is behind a line, and change nothing in it, whoever has a session with it."""
    data, deframer = b"\0" + ASK.encode(), Deframer()
    end = time.monotonic() + PATIENCE_S
    while data and time.monotonic() < end:
        data = data[port.write(data) :]
    while (left := end - time.monotonic()) > 0:
        if ANSWER in deframer.feed(port.read(left)):
            return True
    return False


def the_one() -> Found:
    """Return the port of the only board that answers.

    Raises
    ------
    HostError
        If there is none.
    InputError
        If there are several.
    """
    ports = [probed(port) for port in found_ports()]
    boards = [port for port in ports if port.answer == "answers"]
    if len(boards) > 1:
        raise InputError(f"Several boards answer, at {', '.join(port.device for port in boards)}: name one of these ports with --board")
    if not boards:
        asked = ", ".join(f"{port.device} ({port.answer})" for port in ports if port.answer)
        tried = f"asked were {asked}" if asked else "no port of this computer has the USB id of a known board"
        raise HostError(f"No board answers: {tried}", "load it with backpulse flash, or name its port with --board")
    return boards[0]
