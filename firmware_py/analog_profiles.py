"""From volts, seconds and siemens of an array file to the words of an analog tile: lines, profiles, and the calibration of perfect parts.

Host and virtual board take them from here. Codes and samples are parts of full scale, `front_end.drive_volts` and `front_end.sense_volts`.
An amplifier holds its line at its code's voltage and its output at that voltage less the line's current times `feedback_ohm`; a current
is positive that flows out of the line into the amplifier. A front end gives a sample the sign of that current.
"""

from dataclasses import replace

from backpulse.firmware_py.analog import (
    AVERAGES_AT,
    CODE_BITS,
    CODE_OPEN,
    CODES,
    FACTOR_BITS,
    GAIN_BITS,
    GAIN_FRAC,
    PROFILE_WORDS,
    SAMPLE_BITS,
    SCALE_BITS,
    SCALE_FRAC,
    LineClass,
    Lines,
    LineWord,
    Phase,
    ProfileFlag,
    ProfileWord,
    Reference,
)
from backpulse.firmware_py.array import Array, FrontEnd, LineVolts, Profile
from backpulse.firmware_py.config import Config, DeviceKind

SLICE_LINES = 8
"""Rows of a slice, and its columns."""
STUDENT_LINES = 4
"""Rows of the student kit, and its columns."""
CODE_MAX = (1 << (CODE_BITS - 1)) - 1
_THIRD = 1 / 6
"""Share of the programming voltage on lines that are not selected, in the scheme of thirds."""


def front_end_of(array: Array) -> FrontEnd:
    """Return the front end that a file describes.

    Raises
    ------
    ValueError
        If there is none.
    """
    if array.front_end is None:
        raise ValueError("The array file has no table front_end, which says what drives and senses the lines: give it")
    return array.front_end


def lines(array: Array) -> Lines:
    """Return the lines of an array with a front end: all that the front end has."""
    front = front_end_of(array)
    count = front.slices * SLICE_LINES if front.kind == "slices" else STUDENT_LINES
    return Lines(rows=count, cols=count, reference=Reference[array.read.reference.upper()])


def config_of(array: Array, config: Config) -> Config:
    """Return a board's configuration with the analog tile of an array in place of its own tiles."""
    found = lines(array)
    size = {"tiles": 1, "tile_rows": found.rows, "tile_cols": found.logical_cols}
    return replace(config, device=DeviceKind.REAL, spread=0, read_noise=0, **size)


def code_of(volts: float, front: FrontEnd) -> int:
    """Return the code of a line's voltage.

    Raises
    ------
    ValueError
        If lines do not reach it.
    """
    code = round(volts / front.drive_volts * (1 << (CODE_BITS - 1)))
    if code == CODE_MAX + 1:
        return CODE_MAX
    if abs(code) > CODE_MAX:
        raise ValueError(f"Lines reach {front.drive_volts:g} V with this front end: a voltage of {volts:g} V is beyond")
    return code


def cycles_of(seconds: float, clock_khz: int) -> int:
    """Return the clock cycles of a time, rounded; at least one.

    Raises
    ------
    ValueError
        If they are more than a word holds.
    """
    cycles = max(1, round(seconds * 1000 * clock_khz))
    if cycles >= 1 << 32:
        raise ValueError(f"A time must be at most {(1 << 32) / clock_khz / 1000:.0f} s at {clock_khz / 1000:g} MHz, not {seconds:g} s")
    return cycles


def profile_words(profile: Profile, array: Array, config: Config, clock_khz: int) -> list[int]:
    """Return the words of a profile, PROFILE_WORDS of them.

    Raises
    ------
    ValueError
        If a voltage is beyond what lines reach, or a time is too long.
    """
    front = front_end_of(array)
    words = [0] * PROFILE_WORDS
    flags = ProfileFlag.VALID
    flags |= ProfileFlag.TWO_PHASE if profile.phases == 2 else ProfileFlag(0)
    flags |= ProfileFlag.UNIPOLAR if profile.unipolar else ProfileFlag(0)
    words[ProfileWord.FLAGS] = flags | (profile.averages.bit_length() - 1) << AVERAGES_AT
    volts = profile.read_volts or front.read_volts
    of_drive = volts / (1 << config.drive_frac) / front.drive_volts * (1 << (CODE_BITS - 1))
    words[ProfileWord.SCALE] = min(round(of_drive * (1 << SCALE_FRAC)), (1 << SCALE_BITS) - 1)
    words[ProfileWord.SENSE_SHIFT] = round(front.read_volts / volts).bit_length() - 1
    times = {"SETTLE": "settle_s", "WIDTH": "pulse_s", "GAP": "gap_s", "DELAY": "delay_s"}
    for word, name in times.items():
        own = getattr(profile, name)
        words[ProfileWord[word]] = cycles_of(getattr(front, name) if own is None else own, clock_khz)
    up, down = pulse_volts(profile, array)
    for phase, of_phase in zip(Phase, (profile.idle, profile.read, profile.read, up, down), strict=True):
        for line in LineClass:
            is_open = line.name.lower() in of_phase.open
            words[CODES + 8 * phase + line] = code_of(of_phase.volts[line], front) & ((1 << CODE_BITS) - 1) | is_open << CODE_OPEN
    return words


def pulse_volts(profile: Profile, array: Array) -> tuple[LineVolts, LineVolts]:
    """Return the lines' voltages in pulses up and down."""
    if profile.up is None:
        volts = profile.pulse_volts or front_end_of(array).pulse_volts
        scheme = profile.scheme or (array.write.scheme if array.write else "half")
        other = volts * _THIRD if scheme == "third" else 0.0
        up = LineVolts(selected_row=volts / 2, selected_col=-volts / 2, other_row=-other, other_col=other)
    else:
        up = profile.up
    return up, profile.down or LineVolts(**{name: value if name == "open" else -value for name, value in up})


def nominal(array: Array, config: Config) -> dict[LineWord, int]:
    """Return a line's calibration if all parts are perfect and wires have no resistance; the same for all lines.

    A gain is the current of one sample LSB over that of one sense LSB: of (device unit) / 2^sense_frac at full drive.

    Raises
    ------
    ValueError
        If a sample is worth more or less than the words hold.
    """
    front, cells = front_end_of(array), array.cells
    unit = (cells.g_max - cells.g_min) / (1 if array.read.reference == "pairs" else 2)
    sample = front.sense_volts / (1 << (SAMPLE_BITS - 1)) / front.feedback_ohm
    sense = unit * front.read_volts / (1 << config.sense_frac)
    gain, most = round(sample / sense * (1 << GAIN_FRAC)), (1 << GAIN_BITS) - 1
    if not 1 << (GAIN_BITS // 2) <= gain <= most:
        ohm = front.feedback_ohm * gain / (1 << GAIN_FRAC)
        raise ValueError(
            f"front_end.feedback_ohm must be so large that a sample is at most {most / (1 << GAIN_FRAC):.0f} sense LSB, and not so "
            f"large that a line is at its rail at once: about {ohm:.3g} gives one sense LSB a sample, not {front.feedback_ohm:g}"
        )
    factor = 0
    if array.read.reference == "calibrated":
        mid = (cells.g_max + cells.g_min) / 2 / unit
        factor = round(mid * 2 ** (config.sense_frac - config.drive_frac + GAIN_FRAC))
        if factor >= 1 << (FACTOR_BITS - 1):
            raise ValueError('cells.g_min must be at most 0.6 of g_max with a calibrated reference: give read.reference = "pairs"')
    return {LineWord.TRIM: 0, LineWord.OFFSET: 0, LineWord.GAIN: gain, LineWord.FACTOR: factor}
