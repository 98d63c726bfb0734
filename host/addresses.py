"""What to say of a board's URL behind which nothing can be opened: the cause, and what was probably meant."""

import difflib
import errno
import os
import socket

VIRTUAL = ("golden://", "sim://")
"""Boards that are made here."""
AUTO = "auto"
"""The board that answers on a port of this computer."""
FORMS = "golden://, sim://, socket://host:port, auto or the path of a serial port"


def likely(url: str) -> str:
    """Return what was probably meant by a URL that is none, as advice, or nothing."""
    word = url.lower().rstrip(":/")
    names = {board.removesuffix("://"): board for board in (*VIRTUAL, AUTO)}
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.75)
    if near:
        return f"did you mean {names[near[0]]}?"
    if word in _boards():
        return f"{word} is a kind of board: give the port that yours is at{_ports()}, or sim:// for the RTL"
    if word.startswith("socket") or (":" in url and "/" not in url):
        return "a board in the network is socket://host:port"
    return ""


def port_trouble(path: str, error: Exception) -> str:
    """Return the sentence of a serial port that cannot be opened."""
    number = _number(error)
    if number == errno.ENOENT:
        cause, advice = "no such file or directory", likely(path) or f"plug the board in, or give the port that it is at{_ports()}"
    elif number in (errno.ENOTTY, errno.EISDIR) or "Inappropriate ioctl" in str(error):  # pyserial keeps no number of it
        cause, advice = "it is no serial port", likely(path) or f"give the path of one{_ports()}"
    elif number in (errno.EAGAIN, errno.EBUSY):
        cause, advice = "it is in use by another program", "end that one, or choose another port"
    elif number == errno.EACCES:
        cause, advice = "permission denied", "log in as a member of the group that owns it, often dialout"
    elif number:
        cause, advice = os.strerror(number).lower(), "see that the board is plugged in and yours to use"
    else:
        cause, advice = "it cannot be set up so", "give the board's rate with --baud"
    return f"The port {path} cannot be opened: {cause}: {advice}"


def connection_trouble(address: str, error: Exception) -> str:
    """Return the sentence of a TCP connection that is not made."""
    host, number = address.rpartition(":")[0], _number(error)
    if isinstance(error, socket.gaierror) and number == socket.EAI_AGAIN:
        cause, advice = f"the name {host} cannot be looked up now", "check the network"
    elif isinstance(error, socket.gaierror | UnicodeError):
        cause, advice = f"the name {host} is not known", "check how it is spelled, or give the number"
    elif isinstance(error, TimeoutError):
        cause, advice = "nothing answers there", "see that the computer is on, and that no firewall is between"
    else:
        cause, advice = os.strerror(number).lower() if number else str(error), "see that a board is served there"
    return f"No connection to socket://{address}: {cause}: {advice}"


def _number(error: Exception) -> int | None:
    """Return the system's number of an error, if it has one: pyserial wraps its words in others."""
    return error.errno if isinstance(error, OSError) else None


def _boards() -> tuple[str, ...]:
    """Return the names of boards that bitstreams are built for."""
    try:
        from backpulse.gateware.boards.boards import BOARDS
    except ImportError:  # the base installation lacks what they are made with
        return ()
    return tuple(BOARDS)


def _ports() -> str:
    """Return the serial ports that there are, in brackets; none is opened."""
    from serial.tools.list_ports import comports

    names = sorted(port.device for port in comports())
    return f" (here are {', '.join(names)})" if names else ""
