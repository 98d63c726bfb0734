"""Who answers for each register of firmware_py/registers.py: link or bank, machine, or core."""

from backpulse.firmware_py.config import ABI_VERSION, Config
from backpulse.firmware_py.registers import REG, REGISTERS

__all__ = ["LEDGER", "LIVE", "OVER_BUS", "SETTINGS", "constants"]

LIVE = ("SESSION", "STATE", "FAULT", "CREDIT")
"""Registers that the rest of the machine computes."""
OVER_BUS = tuple(REG[name] for name in LIVE if name != "SESSION")
"""Those of them that the small link asks the machine for: its session it knows itself."""
LEDGER = ("COUNTER", "SCALE")
"""Registers that the core keeps. Bit 4 of their addresses tells them apart, there too."""
SETTINGS = tuple(
    sorted((r for r in REGISTERS if r.access == "rw" and r.name not in LEDGER), key=lambda r: r.address)
)
"""Registers that only the host writes, by address."""


def constants(config: Config, build_digest: bytes) -> dict[str, list[int]]:
    """Return the words of the registers that never change, by name.

    Raises
    ------
    ValueError
        If the digest does not have 32 bytes, or there is a register of which nobody knows what it reads.
    """
    if len(build_digest) != 32:
        raise ValueError(f"Build digest must have 32 bytes, not {len(build_digest)}")
    words = {
        "MAGIC": [REG["MAGIC"].reset],
        "ABI": [ABI_VERSION],
        "CONFIG_WORDS": [REG["CONFIG_WORDS"].reset],
        "CONFIG": config.to_words(),
        "CONFIG_DIGEST": _words(config.digest),
        "BUILD_DIGEST": _words(build_digest),
    }
    known = {*words, *LIVE, *LEDGER, *(r.name for r in SETTINGS)}
    if unknown := [r.name for r in REGISTERS if r.name not in known]:
        raise ValueError(f"Register {unknown[0]} has no value: add it in gateware/link/registers.py")
    return words


def _words(digest: bytes) -> list[int]:
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
