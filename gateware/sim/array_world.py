"""The virtual board with a physical array: C++ behind the analog pins of a front end."""

from pathlib import Path

from backpulse.firmware_py import physical
from backpulse.firmware_py.analog import SAMPLE_BITS
from backpulse.gateware.sim.constants import camel, header, shared

FOLDER = Path(__file__).parent


def constants(lines: int) -> str:
    """Return the C++ header of what the model of an array with so many lines takes from the project."""
    return header(
        shared()
        | {camel(name): getattr(physical, name) for name in physical.PLACES}
        | {
            "kWorldSizes": physical.SIZES,
            "kWorldNumbers": physical.NUMBERS,
            "kSampleOne": float(1 << (SAMPLE_BITS - 1)),
            "kWholePulse": physical.WHOLE_PULSE,
            "kLeastPulse": physical.LEAST_PULSE,
            "kLines": lines,
        }
    )
