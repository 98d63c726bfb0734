"""Arming an array in two steps: what its lines may be driven with is said first, and the answer must name just that."""

import hashlib
import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backpulse.firmware_py.analog import CODE_BITS, CODES, LineClass, Phase, ProfileFlag, ProfileWord
from backpulse.firmware_py.array import SAFE_N2GR, Array
from backpulse.firmware_py.registers import ArrayWord, Capability
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_setup import code_in, full_drive, in_units, limits, seconds_text
from backpulse.host.errors import InputError
from backpulse.host.stop import Stop
from backpulse.host.terminal import plain

CODE_LETTERS = 6
NO_LIMIT = 0xFFFFFFFF
"""What ArrayWord.BUDGET holds where as many pulses are given as are asked for."""


@dataclass(frozen=True)
class Plan:
    """What an array's lines may be driven with.

    Parameters
    ----------
    said : list of (str, str)
        What a person is told: names and values.
    limits : dict
        Words of the ARRAY window that are written when the array is armed.
    code : str
        Names all of it.
    n2gr : float
        N^2 g R.
    """

    said: list[tuple[str, str]]
    limits: dict[ArrayWord, int]
    code: str
    n2gr: float


def plan(tile: AnalogTile, array: Array, most_siemens: float | None = None) -> Plan:
    """Say what the lines may be driven with: profiles as the board has them, and the limits that go with them.

    Parameters
    ----------
    tile : AnalogTile
    array : Array
        With a front end.
    most_siemens : float, optional
        Conductance of the best cell, of a map; by default that of the array file.

    Raises
    ------
    InputError
        If the limits of the array file are beyond what lines reach.
    """
    front = array.front_end
    if front is None:
        raise InputError("What an array may be driven with is in the table [front_end] of its file: give it as ?array=FILE")
    profiles = [tile.profile(number) for number in range(len(array.profiles))]
    words = limits(tile, array, profiles)
    words[ArrayWord.BUDGET] = array.limits.pulses or NO_LIMIT
    lines = max(tile.lines.rows, tile.lines.cols)
    g = array.cells.g_max if most_siemens is None else most_siemens
    n2gr = array.n2gr(lines, g)
    said = [("board", f"build {tile.board.build_digest[:16]}"), ("array", array.name or "without a name")]
    for number, profile in enumerate(profiles):
        said.append((f"profile {number}", _profile_text(tile, array, profile)))
    names = {
        ArrayWord.CODE_LIMIT: "lines in a pulse at most",
        ArrayWord.READ_CODE_LIMIT: "lines in a read at most",
        ArrayWord.LIMIT: "longest pulse",
        ArrayWord.READ_LIMIT: "longest read",
    }
    said += [(name, in_units(word, words[word], front, tile.clock_khz)) for word, name in names.items()]
    budget = words[ArrayWord.BUDGET]
    said.append(("pulses until it trips", "as many as are asked for" if budget == NO_LIMIT else f"{budget:,}"))
    calibrated = tile.words[ArrayWord.CALIBRATION]
    said.append(("calibration", f"{calibrated:08x}" if calibrated else "none: perfect parts are assumed"))
    said.append(("N² g R", f"{n2gr:.3g}, {'at most' if n2gr <= SAFE_N2GR else 'above'} {SAFE_N2GR}"))
    return Plan(said, words, code_of_plan(said, [*profiles, list(words.values())]), n2gr)


def code_of_plan(said: list[tuple[str, str]], words: list[list[int]]) -> str:
    """Return the code that names what was said, and the words behind it."""
    return hashlib.sha256(json.dumps([said, words]).encode()).hexdigest()[:CODE_LETTERS]


def _profile_text(tile: AnalogTile, array: Array, words: list[int]) -> str:
    """Return what a profile does in words."""
    front = array.front_end
    assert front is not None

    def volts(code: int) -> str:
        return f"{code / (1 << CODE_BITS - 1) * front.drive_volts:+.4g} V"

    def time(word: ProfileWord) -> str:
        return seconds_text(words[word] / (1000 * tile.clock_khz))

    phases = 2 if words[ProfileWord.FLAGS] & ProfileFlag.TWO_PHASE else 1
    read = f"reads up to {volts(full_drive(words, tile.board.config.drive_max))[1:]} in {phases} phase{'s' * (phases > 1)}"
    parts = [f"{read}, settled {time(ProfileWord.SETTLE)}"]
    for phase in (Phase.UP, Phase.DOWN):
        codes = {line: code_in(words[CODES + 8 * phase + line]) for line in LineClass}
        lines = ", ".join(f"{line.name.lower().replace('_', ' ')} {volts(code)}" for line, code in codes.items() if code)
        parts.append(f"pulses {phase.name.lower()}: {lines or 'nothing'}")
    parts.append(f"each {time(ProfileWord.WIDTH)} wide, {time(ProfileWord.GAP)} apart")
    return "; ".join(parts)


def check_arm(capabilities: Capability) -> None:
    """Refuse a board whose array needs no arming."""
    if Capability.ARM not in capabilities:
        raise InputError("This board's array needs no arming: its lines are driven whenever a command asks for it")


def carry_out(tile: AnalogTile, words: dict[ArrayWord, int]) -> None:
    """Write limits, and arm.

    Raises
    ------
    HostError
        If the drivers stay off.
    """
    tile.board.stop()
    _write(tile, words)
    tile.arm()


def _write(tile: AnalogTile, words: dict[ArrayWord, int]) -> None:
    for word, value in words.items():
        if word is not ArrayWord.BUDGET or Capability.BUDGET in tile.board.capabilities:
            tile.set_word(word, value)


@contextmanager
def own_limits(tile: AnalogTile, words: dict[ArrayWord, int], profile: int, profile_words: list[int]) -> Iterator[None]:
    """Arm with other limits, and another profile in a profile's place, for the body alone; behind it the array is disarmed.

    Limits and profile are then as they were, and so whatever ends the body.
    """
    stood, of_profile = tile.words, tile.profile(profile)
    tile.board.disarm()
    tile.write_profile(profile, profile_words)
    try:
        carry_out(tile, words)
        yield
    finally:
        with tile.board.heeding(Stop()):
            tile.board.disarm()
            tile.write_profile(profile, of_profile)
            _write(tile, {word: stood[word] for word in words})


def typed(code: str) -> str | None:
    """Let a person on a terminal type a code; return it, or None if something else was typed or there is no terminal."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    from backpulse.host.view import console

    given = console.input(f"Type {code} to go on, anything else to leave the drivers off: ").strip()
    return given if given == code else None


def check_code(code: str, given: str) -> None:
    """Refuse another code than that of what would be driven.

    Raises
    ------
    InputError
        If another was given.
    """
    if not secrets.compare_digest(given.strip().lower().encode(), code.encode()):
        raise InputError(f"The code {plain(given)!r:.40} is not {code}, the one of what would be driven now: look at it, and confirm that")
