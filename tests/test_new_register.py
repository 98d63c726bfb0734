"""A register added to the list in firmware_py is served or refused by name; it never is another register's alias.

Each case runs in a process of its own, as the list is read at import.
"""

import subprocess
import sys

import pytest

ADDED = """
import sys
from backpulse.firmware_py import config, registers

new = registers.Register(name="NEW", address=int(sys.argv[1]), access=sys.argv[2], bits=8, reset=5, description="")
registers.REGISTERS += (new,)
registers.REG[new.name] = new

from backpulse.gateware.chip.registers import Bank, Live
from backpulse.gateware.link.small_link import SmallLink

bank = lambda: Bank(config.IDEAL).new.shape()
for make in (bank, lambda: Live(config.LEAN), lambda: SmallLink(config.LEAN)):
    try:
        print(make())
    except ValueError as error:
        print(error)
"""
NO_VALUE = "Register NEW has no value: add it in gateware/link/registers.py"
SPREAD = "Settings must have consecutive addresses if lean, but 5 are from"


def added(address, access):
    """Return what bank, live registers and small link say of a register."""
    command = [sys.executable, "-c", ADDED, str(address), access]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("address", "alias", "link"),
    [
        (13, "ENTRY and NEW", "The program must have at most 512 words, not 513"),
        (3, "NEW and STRIDE", f"{SPREAD} 3 (NEW) to 12 (WATCHDOG)"),
        (120, "WATCHDOG and NEW", f"{SPREAD} 9 (ENTRY) to 120 (NEW)"),
    ],
)
def test_a_setting_more_is_for_full_machines(address, alias, link):
    bank, live, small_link = added(address, "rw")
    assert bank == "unsigned(8)"
    assert live.startswith(f"Registers {alias} must differ in the last two bits of their addresses if lean")
    assert small_link == link


def test_a_register_without_a_value_is_refused():
    bank, _, small_link = added(13, "r")
    assert bank == small_link == NO_VALUE
