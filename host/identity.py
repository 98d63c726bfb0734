"""What a board says of itself when a session with it begins."""

from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.framing import LONG_PAYLOAD, MAX_PAYLOAD, Status
from backpulse.firmware_py.registers import MAGIC, REG
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.host.errors import HostError, RefusedError
from backpulse.host.link import Link
from backpulse.host.tile import read_facts


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board is."""

    abi: int
    config: Config
    config_digest: str
    build_digest: str
    facts: TileFacts


def read_identity(link: Link) -> Identity:
    """Return what a board in an open session is; from then on the link's payloads are as long as the board takes.

    Raises
    ------
    HostError
        If what answers is no Backpulse board of this version.
    """
    if link.read_words(REG["MAGIC"].address, 1)[0] != MAGIC:
        raise HostError("What answers there is no Backpulse board: its identity block begins with another word", "give another port")
    link.payload = _longest_payload(link)
    abi = link.read_words(REG["ABI"].address, 1)[0]
    count = link.read_words(REG["CONFIG_WORDS"].address, 1)[0]
    if count != REG["CONFIG"].count:
        raise HostError(
            f"The board has a configuration of {count} words and this program knows {REG['CONFIG'].count}: use the same version"
        )
    try:
        config = Config.from_words(link.read_words(REG["CONFIG"].address, count))
    except ValueError as error:
        raise HostError(f"The board's configuration is none: {error}", "use the program of the board's version") from error
    config_digest, build_digest = _digest(link, "CONFIG_DIGEST"), _digest(link, "BUILD_DIGEST")
    if config_digest != config.digest.hex():
        raise HostError(
            "The board's configuration digest is not that of its configuration: it was built with another version",
            "build and load it anew",
        )
    return Identity(abi=abi, config=config, config_digest=config_digest, build_digest=build_digest, facts=read_facts(link))


def _longest_payload(link: Link) -> int:
    """Return how long a payload the board says that it takes."""
    try:
        (longest,) = link.read_words(REG["PAYLOAD"].address, 1)
    except RefusedError as error:
        if error.status is not Status.BAD_ADDRESS:
            raise
        return MAX_PAYLOAD
    return min(max(longest, MAX_PAYLOAD), LONG_PAYLOAD)


def _digest(link: Link, register: str) -> str:
    words = link.read_words(REG[register].address, REG[register].count)
    return np.array(words, "<u4").tobytes().hex()
