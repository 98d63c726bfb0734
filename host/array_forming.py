"""What cells may be driven with while they are formed: limits of its own, said before they are confirmed."""

import numpy as np

from backpulse.firmware_py.analog import LineWord, ProfileWord
from backpulse.firmware_py.analog_profiles import code_of, cycles_of
from backpulse.firmware_py.array import Array, FrontEnd
from backpulse.firmware_py.registers import ArrayWord
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_arm import NO_LIMIT
from backpulse.host.array_setup import in_units, limits
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.tables import count


def forming_limits(
    analog: AnalogTile, array: Array, front: FrontEnd, volts: list[float], width: float | None, words: list[int]
) -> tuple[dict[ArrayWord, int], list[tuple[str, str]]]:
    """Return the limits of forming, and what is said of it; the pulses' width goes into the profile's words.

    Raises
    ------
    InputError
        If a voltage or the width is beyond what the front end makes.
    """
    most = max(map(abs, volts))
    with wrong_input():
        half = abs(code_of(most / 2, front))
        if width is not None:
            words[ProfileWord.WIDTH] = cycles_of(width, analog.clock_khz)

    def time(cycles: int) -> str:
        return in_units(ArrayWord.LIMIT, cycles, front, analog.clock_khz)

    if words[ProfileWord.WIDTH] < analog.width_min:
        raise InputError(f"This front end makes no pulse below {time(analog.width_min)}: give a longer --width; no line was driven")
    profiles = [analog.profile(number) for number in range(len(array.profiles))]
    trims = int(np.abs(analog.calibration()[LineWord.TRIM]).max())  # which the tile adds
    own = {ArrayWord.CODE_LIMIT: half + trims, ArrayWord.LIMIT: words[ProfileWord.WIDTH], ArrayWord.BUDGET: NO_LIMIT}
    said = [
        ("pulses", f"{volts[0]:.4g} V to {volts[-1]:.4g} V at the cell, half of it at its row and the other half at its column"),
        ("each", f"{time(words[ProfileWord.WIDTH])} wide, {count(len(volts), 'pulse')} a cell at most"),
        ("current at most", f"{1000 * front.most_amperes:.3g} mA a line, by its amplifier"),
    ]
    return limits(analog, array, profiles) | own, said
