"""What C++ models of arrays take from the project, as text of a header."""

from backpulse.firmware_py import device, relaxation, wired
from backpulse.firmware_py.registers import TILE_WORDS, TileParameter
from backpulse.firmware_py.streams import GAUSS_MEAN, GAUSS_SIGMA, XORSHIFT


def shared() -> dict[str, int | float]:
    """Return what all of them need: random numbers, relaxation, the device."""
    return {
        "kLeak": wired.LEAK,
        "kSweeps": relaxation.SWEEPS,
        "kGaussSigma": GAUSS_SIGMA,
        "kGaussMean": GAUSS_MEAN,
        **{f"kXorshift{letter}": bits for letter, bits in zip("ABC", XORSHIFT, strict=True)},
        "kFactorFrac": device.FACTOR_FRAC,
        "kUpdateFrac": device.UPDATE_FRAC,
        "kSlopeShift": device.SLOPE_SHIFT,
        "kStuck": device.STUCK,
        "kTileWords": TILE_WORDS,
        **{camel(parameter.name): int(parameter) for parameter in TileParameter},
    }


def header(names: dict[str, int | float], tables: dict[str, list[int]] | None = None) -> str:
    """Return the C++ text of constants, floats as doubles, and of tables."""
    lines = ["#include <cstdint>"]
    lines += [
        f"constexpr {'double' if isinstance(value, float) else 'int'} {name} = {value!r};"
        for name, value in names.items()
    ]
    lines += [
        f"constexpr int {name}[] = {{{', '.join(map(str, values))}}};"
        for name, values in (tables or {}).items()
    ]
    return "\n".join([*lines, ""])


def camel(name: str) -> str:
    """Return a constant's name in C++."""
    return "k" + "".join(part.capitalize() for part in name.split("_"))
