"""What an analog tile is told when its board is opened: the profiles of the array file, and the calibration."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backpulse.firmware_py.analog import (
    AVERAGES_LOG2_MAX,
    CODE_BITS,
    CODES,
    PROFILES,
    SCALE_FRAC,
    FrontEnd,
    Lines,
    Phase,
    ProfileWord,
)
from backpulse.firmware_py.analog_profiles import CODE_MAX, code_of, cycles_of, lines, nominal, profile_words
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.array import FrontEnd as FrontEndTable
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.registers import ArrayWord, Capability, TileState
from backpulse.host.analog_tile import CONVERSION_S, AnalogTile
from backpulse.host.calibration_file import array_digest, read_calibration
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.tile import facts_text

if TYPE_CHECKING:
    from backpulse.host.board import Board
    from backpulse.host.urls import Address

LIMITS: tuple[ArrayWord, ...] = (ArrayWord.LIMIT, ArrayWord.READ_LIMIT, ArrayWord.CODE_LIMIT, ArrayWord.READ_CODE_LIMIT)
TRIM_VOLTS = 0.02
"""Room for the trims of lines, where the array file has no limit of voltage."""
ANEW = "arm the array anew: `backpulse array arm`"
"""What to do where the limits are not those of the array file."""


def prepare(board: "Board", address: "Address") -> None:
    """Load profiles and calibration into a board's analog tile.

    Without a calibration it gets that of perfect parts. A virtual board is armed. Other boards, and those whose array file has no front
    end, are left as they are.

    Raises
    ------
    InputError
        If a calibration or profiles are given and the board takes none; if the calibration is another array's, or stale; if a profile is
        beyond the limits. No line is driven then.
    """
    array, calibration = address.array, address.calibration
    if Capability.DIRECT not in board.capabilities:
        if calibration:
            raise InputError(
                f"This board ({facts_text(board.facts)}) takes no calibration: leave {calibration} out, or give a board with an analog tile"
            )
        if array and array.front_end and not address.virtual:
            raise InputError(
                f"The array file has a front end, and this board ({facts_text(board.facts)}) has none: give the board that has, or leave "
                "[front_end] out; no line was driven"
            )
        return
    tile = AnalogTile(board)
    if array is None or array.front_end is None:
        if calibration:
            raise InputError(f"A calibration belongs to an array file with a front end: give it as ?array=FILE, or leave {calibration} out")
        return
    check_lines(tile, array)
    with wrong_input():
        profiles = [profile_words(profile, array, board.config, tile.clock_khz) for profile in array.profiles]
        perfect = {at: np.full(tile.lines.count, word) for at, word in nominal(array, board.config).items()}
    check_profiles(tile, array, profiles, arming=address.arming)
    tables, number = perfect, 0
    if calibration:
        found = read_calibration(calibration)
        found.check(calibration, array_digest(array, tile.lines, tile.front_end), address.calibration_days)
        tables, number = found.tables, found.number
    board.stop()
    for at, words in enumerate(profiles):
        tile.write_profile(at, words)
    for at in range(len(profiles), PROFILES):
        tile.write_profile(at, [0])  # not valid: a command that names it is refused
    if not number or tile.words[ArrayWord.CALIBRATION] != number:
        tile.write_calibration(tables, number)
    board.facts = replace(board.facts, profiles=len(profiles))
    if address.virtual and not address.arming:  # no device can come to harm
        from backpulse.host.array_arm import carry_out, plan  # which imports this

        carry_out(tile, plan(tile, array).limits)


def check_lines(tile: AnalogTile, array: Array) -> None:
    """Refuse an array file whose front end is not the board's."""
    with wrong_input():
        wanted = lines(array)
    assert array.front_end is not None
    kind = FrontEnd[array.front_end.kind.upper()]
    if (wanted, kind) != (tile.lines, tile.front_end):
        raise InputError(
            f"The array file is of {_lines_text(wanted, kind)}, and the board has {_lines_text(tile.lines, tile.front_end)}: "
            "give the file of this array; no line was driven"
        )


def _lines_text(found: Lines, kind: int) -> str:
    name = FrontEnd(kind).name.lower() if kind in set(FrontEnd) else f"unknown kind {kind}"
    return f"{found.rows} rows and {found.cols} columns, {found.reference.name.lower()}, behind a front end of {name}"


def limits(tile: AnalogTile, array: Array, profiles: list[list[int]]) -> dict[ArrayWord, int]:
    """Return the limits to arm an array with: those of its file, or as much as its profiles need.

    Raises
    ------
    InputError
        If a limit is beyond what lines reach or a word holds.
    """
    given, front = array.limits, array.front_end
    assert front is not None
    need = needs(tile, array, profiles)
    need[ArrayWord.READ_LIMIT] += _conversions(tile, 1 << AVERAGES_LOG2_MAX)  # what a calibration takes
    for word in (ArrayWord.CODE_LIMIT, ArrayWord.READ_CODE_LIMIT):
        need[word] = min(need[word] + code_of(TRIM_VOLTS, front), CODE_MAX)
    with wrong_input("[limits]: "):
        volts = {ArrayWord.CODE_LIMIT: given.pulse_volts, ArrayWord.READ_CODE_LIMIT: given.read_volts}
        seconds = {ArrayWord.LIMIT: given.pulse_s, ArrayWord.READ_LIMIT: given.read_s}
        return {
            **{word: need[word] if value is None else code_of(value, front) for word, value in volts.items()},
            **{word: need[word] if value is None else cycles_of(value, tile.clock_khz) for word, value in seconds.items()},
        }


def needs(tile: AnalogTile, array: Array, profiles: list[list[int]]) -> dict[ArrayWord, int]:
    """Return the least limits under which profiles do what they say."""
    found: dict[ArrayWord, int] = dict.fromkeys(LIMITS, 0)
    for words, profile in zip(profiles, array.profiles, strict=True):
        of_phase = {phase: max(abs(code_in(word)) for word in words[CODES + 8 * phase : CODES + 8 * phase + 8]) for phase in Phase}
        read = max(of_phase[Phase.READ], of_phase[Phase.READ_NEGATIVE], full_drive(words, tile.board.config.drive_max))
        one = {
            ArrayWord.LIMIT: words[ProfileWord.WIDTH],
            ArrayWord.READ_LIMIT: words[ProfileWord.SETTLE] + _conversions(tile, profile.averages),
            ArrayWord.CODE_LIMIT: max(of_phase[Phase.UP], of_phase[Phase.DOWN]),
            ArrayWord.READ_CODE_LIMIT: read,
        }
        found = {word: max(found[word], one[word]) for word in found}
    return found


def _conversions(tile: AnalogTile, count: int) -> int:
    """Return the cycles that so many conversions may take."""
    return round(count * CONVERSION_S * 1000 * tile.clock_khz)


def full_drive(words: list[int], drive_max: int) -> int:
    """Return the code of a full drive of a profile."""
    return rshift(drive_max * words[ProfileWord.SCALE], SCALE_FRAC)


def check_profiles(tile: AnalogTile, array: Array, profiles: list[list[int]], *, arming: bool) -> None:
    """Refuse profiles beyond the limits: those that the board is armed with, or those that it will be armed with (`arming`: anew).

    Raises
    ------
    InputError
        If one is; it names the first.
    """
    words = tile.words
    armed = bool(words[ArrayWord.STATE] & TileState.ARMED) and not arming
    allowed = {word: words[word] for word in LIMITS} if armed else limits(tile, array, profiles)
    front = array.front_end
    assert front is not None
    names = {
        ArrayWord.CODE_LIMIT: ("pulses with", "pulse_volts"),
        ArrayWord.READ_CODE_LIMIT: ("reads with", "read_volts"),
        ArrayWord.LIMIT: ("has pulses of", "pulse_s"),
        ArrayWord.READ_LIMIT: ("has reads of", "read_s"),
    }
    for number, profile in enumerate(profiles):
        one = replace_profiles(array, number)
        for word, need in needs(tile, one, [profile]).items():
            if need > allowed[word]:
                what, name = names[word]
                advice = ANEW if armed else f"change it, or {name} in [limits]"
                raise InputError(
                    f"Profile {number} {what} {in_units(word, need, front, tile.clock_khz)}, and the limit is "
                    f"{in_units(word, allowed[word], front, tile.clock_khz)}: {advice}; no line was driven"
                )
        if profile[ProfileWord.WIDTH] < tile.width_min:
            raise InputError(
                f"Profile {number} has pulses of {in_units(ArrayWord.LIMIT, profile[ProfileWord.WIDTH], front, tile.clock_khz)}, and this "
                f"front end makes none below {in_units(ArrayWord.LIMIT, tile.width_min, front, tile.clock_khz)}: change pulse_s; "
                "no line was driven"
            )


def replace_profiles(array: Array, number: int) -> Array:
    """Return an array with one of its profiles alone."""
    return array.model_copy(update={"profile": [array.profiles[number]]})


def in_units(word: ArrayWord, value: int, front: FrontEndTable, clock_khz: int) -> str:
    """Return a limit in volts or seconds."""
    if word in (ArrayWord.CODE_LIMIT, ArrayWord.READ_CODE_LIMIT):
        return f"{value / (1 << CODE_BITS - 1) * front.drive_volts:.4g} V"
    return seconds_text(value / (1000 * clock_khz))


def seconds_text(seconds: float) -> str:
    """Return a time with a unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def code_in(word: int) -> int:
    """Return the code of a profile's word."""
    code = word & ((1 << CODE_BITS) - 1)
    return code - ((code >> (CODE_BITS - 1)) << CODE_BITS)
