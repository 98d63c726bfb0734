"""Data memory of the small link's processor: where everything lies, and what is there at first."""

from backpulse.firmware_py.config import ABI_VERSION, CONFIG_WORDS, Config
from backpulse.firmware_py.framing import CRC_BYTES, CRC_RESIDUE, HEADER_BYTES, WINDOW, Status
from backpulse.firmware_py.registers import REG
from backpulse.gateware.link.microcode import DATA_BYTES

# Page 0: the registers that are memory, the digests behind CONFIG without a gap, statuses, and in the gaps variables.
DIGESTS = REG["CONFIG"].address + CONFIG_WORDS
DIGEST_WORDS = REG["CONFIG_DIGEST"].count + REG["BUILD_DIGEST"].count
STATUSES = -(-4 * (DIGESTS + DIGEST_WORDS) // WINDOW) * WINDOW
NONCE = 4 * REG["SESSION"].address
ENTRY, BANK, STRIDE = (4 * REG[name].address for name in ("ENTRY", "BANK", "STRIDE"))
LIVE = tuple(REG[name].address for name in ("STATE", "FAULT", "CREDIT"))
GAPS = (3, 13, 14, 15)
_FREE = [4 * word + byte for word in (*GAPS, *LIVE) for byte in range(4)]
ONCE, LEFT, ROOM, BEGUN, LENGTH, STATUS, FRESH, EXPECTED, OPENED, SAME, AT, COUNT, BACK, CODE, REST, GATE, SLOT, *BYTES = _FREE[:21]
RESIDUE = _FREE[-CRC_BYTES]
# Page 1: the frame as it came, so that a nonce is where the session's is in page 0; behind the address of a READ or WRITE the answer.
FRAME = 256 + NONCE - HEADER_BYTES
ADDRESS = range(FRAME + 2, FRAME + 6)
ANSWER = FRAME + 5


def data_image(config: Config, build_digest: bytes) -> list[int]:
    """Return what data memory holds at first: the registers that never change, and the resets of the others."""
    words = [0] * (DATA_BYTES // 4)

    def place(address: int, values: list[int]) -> None:
        words[address : address + len(values)] = values

    for name in ("MAGIC", "CONFIG_WORDS", "ENTRY", "BANK", "STRIDE", "WATCHDOG"):
        place(REG[name].address, [REG[name].reset])
    place(REG["ABI"].address, [ABI_VERSION])
    place(REG["CONFIG"].address, config.to_words())
    digests = config.digest + build_digest
    place(DIGESTS, [int.from_bytes(digests[i : i + 4], "little") for i in range(0, len(digests), 4)])
    data = [word >> 8 * i & 0xFF for word in words for i in range(4)]
    data[STATUSES : STATUSES + WINDOW] = [Status.SEQUENCE] * WINDOW
    data[RESIDUE : RESIDUE + CRC_BYTES] = CRC_RESIDUE.to_bytes(CRC_BYTES, "little")
    return data
