"""Data memory of the small link's processor: its map and its initial contents."""

from backpulse.firmware_py.config import CONFIG_WORDS, Config
from backpulse.firmware_py.framing import CRC_BYTES, CRC_RESIDUE, HEADER_BYTES, WINDOW, Status
from backpulse.firmware_py.registers import REG, REGISTERS
from backpulse.gateware.link.microcode import DATA_BYTES
from backpulse.gateware.link.registers import OVER_BUS, SETTINGS, constants

# Page 0: registers at their addresses, the digests behind CONFIG without a gap, statuses. Variables lie where
# no register is, and where one is that is read over the bus.
DIGESTS = REG["CONFIG"].address + CONFIG_WORDS
DIGEST_WORDS = REG["CONFIG_DIGEST"].count + REG["BUILD_DIGEST"].count
STATUSES = -(-4 * (DIGESTS + DIGEST_WORDS) // WINDOW) * WINDOW
NONCE = 4 * REG["SESSION"].address
_USED = {r.address + i for r in REGISTERS for i in range(r.count)}
GAPS = tuple(address for address in range(REG["CONFIG"].address) if address not in _USED)
_FREE = [4 * word + byte for word in (*GAPS, *(r.address for r in OVER_BUS)) for byte in range(4)]
_VARIABLES = 21
(
    ONCE,
    LEFT,
    ROOM,
    BEGUN,
    LENGTH,
    STATUS,
    FRESH,
    EXPECTED,
    OPENED,
    SAME,
    AT,
    COUNT,
    BACK,
    CODE,
    REST,
    GATE,
    SLOT,
    *BYTES,
) = _FREE[:21]
RESIDUE = _FREE[-CRC_BYTES]
# Page 1: the frame as it came, with a nonce at the offset that the session's has in page 0. The answer begins
# behind the address of a READ or WRITE.
FRAME = 256 + NONCE - HEADER_BYTES
ADDRESS = range(FRAME + 2, FRAME + 6)
ANSWER = FRAME + 5


def data_image(config: Config, build_digest: bytes) -> list[int]:
    """Return the initial contents of data memory: constants, and the resets of the settings.

    Raises
    ------
    ValueError
        If the digest does not have 32 bytes, a register has no value, or registers leave no room.
    """
    fixed = constants(config, build_digest)
    page, needed = DATA_BYTES // 2, _VARIABLES + CRC_BYTES
    if page < STATUSES + WINDOW:
        raise ValueError(
            f"Registers and statuses take {STATUSES + WINDOW} bytes of the small link's page of {page}"
        )
    if len(_FREE) < needed:
        raise ValueError(
            f"Registers leave {len(_FREE)} bytes for the small link's variables, which take {needed}"
        )
    words = [0] * (DATA_BYTES // 4)
    digests = DIGESTS - REG["CONFIG_DIGEST"].address
    for name, values in [*fixed.items(), *((r.name, [r.reset]) for r in SETTINGS)]:
        address = REG[name].address + digests * name.endswith("_DIGEST")
        words[address : address + len(values)] = values
    data = [word >> 8 * i & 0xFF for word in words for i in range(4)]
    data[STATUSES : STATUSES + WINDOW] = [Status.SEQUENCE] * WINDOW
    data[RESIDUE : RESIDUE + CRC_BYTES] = CRC_RESIDUE.to_bytes(CRC_BYTES, "little")
    return data
