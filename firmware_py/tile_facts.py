"""What a tile says of itself in the ARRAY window."""

from dataclasses import dataclass

from backpulse.firmware_py.registers import ArrayWord, Capability, TileKind


@dataclass(frozen=True, kw_only=True)
class TileFacts:
    """The words of the ARRAY window that never change."""

    kind: TileKind
    capabilities: Capability
    profiles: int
    """Profiles that a command may name, from 0 on; a command with another one is refused."""
    safe_cycles: int
    """Most clock cycles from an abort until no driver is on."""

    def words(self) -> dict[ArrayWord, int]:
        """Return them by their place in the window."""
        return {
            ArrayWord.KIND: int(self.kind),
            ArrayWord.CAPABILITIES: int(self.capabilities),
            ArrayWord.PROFILES: self.profiles,
            ArrayWord.SAFE_CYCLES: self.safe_cycles,
        }


EMULATED = TileFacts(
    kind=TileKind.EMULATED,
    capabilities=Capability.CELLS_READ | Capability.CELLS_WRITE | Capability.CELLS_EXACT,
    profiles=1,
    safe_cycles=8,
)
"""Of the emulated tiles; a lean machine has no ARRAY window, and this holds of it."""
