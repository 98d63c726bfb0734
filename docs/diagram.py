"""Draws the block diagram of docs/architecture.md: `python docs/diagram.py` writes docs/images/architecture.svg anew."""

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parent / "images" / "architecture.svg"
WIDTH, HEIGHT = 1180, 1016
SAMPLE, PROGRAM, OTHER = "#1f6fb5", "#c8510a", "#777777"
"""Colours of the arrows: the way of a sample, the way of a program word, the rest."""
STYLE = """
text { font-family: "DejaVu Sans", "Helvetica Neue", Arial, sans-serif; fill: #222222; text-anchor: middle }
.title { font-size: 15px; font-weight: bold }
.file { font-size: 12px }
.group { font-size: 13px; text-anchor: start; fill: #555555 }
.mark { font-size: 12px; font-weight: bold; fill: #ffffff }
.word { font-size: 12px; text-anchor: start }
"""


@dataclass(frozen=True)
class Box:
    """A block: what it is called, the files that it is made of, and where it is drawn."""

    title: str
    files: tuple[str, ...]
    x: int
    y: int
    width: int = 220
    height: int = 66

    def svg(self) -> str:
        """Return the box as SVG."""
        middle = self.x + self.width // 2
        lines = [
            f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="6" fill="#ffffff" stroke="#333333"/>',
            f'<text x="{middle}" y="{self.y + 25}" class="title">{escape(self.title)}</text>',
            *(f'<text x="{middle}" y="{self.y + 47 + 17 * i}" class="file">{escape(name)}</text>' for i, name in enumerate(self.files)),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Arrow:
    """A way from block to block, through these points, with a mark that the text of the page names."""

    colour: str
    points: tuple[tuple[int, int], ...]
    mark: str = ""
    at: tuple[int, int] = (0, 0)
    dashed: bool = False

    def svg(self) -> str:
        """Return the arrow as SVG."""
        points = " ".join(f"{x},{y}" for x, y in self.points)
        dashes = ' stroke-dasharray="6 4"' if self.dashed else ""
        head = f"url(#head{self.colour[1:]})"
        lines = [f'<polyline points="{points}" fill="none" stroke="{self.colour}" stroke-width="2"{dashes} marker-end="{head}"/>']
        if self.mark:
            x, y = self.at
            lines.append(f'<circle cx="{x}" cy="{y}" r="10" fill="{self.colour}"/>')
            lines.append(f'<text x="{x}" y="{y + 4}" class="mark">{self.mark}</text>')
        return "\n".join(lines)


GROUPS = (
    ("On the PC: host and firmware_py", 20, 20, 1140, 114, "#f2f2f2", (32, 40)),
    ("The chip: gateware/chip/top.py", 280, 172, 880, 828, "#f2f2f2", (294, 192)),
    ("The controller: rtl/core/core.py", 300, 496, 850, 380, "#e4ebf2", (612, 516)),
    ("The units: rtl/units/units.py", 308, 748, 820, 120, "#d5dfe8", (620, 863)),
)
"""Title, rectangle, colour and place of the title."""

BOXES = (
    Box("Data set", ("host/datasets.py",), 40, 54),
    Box("Training run", ("host/training.py",), 320, 54),
    Box("Board API and link", ("host/board.py, host/link.py",), 610, 54),
    Box("Compiler and image", ("firmware_py/compiler.py, image.py",), 900, 54, width=236),
    Box("Golden model", ("firmware_py/endpoint.py", "firmware_py/machine.py", "firmware_py/golden.py"), 40, 206, height=104),
    Box("UART", ("gateware/link/uart.py",), 610, 206),
    Box("Frames, exactly once", ("gateware/link/session.py", "gateware/link/small_link.py"), 610, 296, height=78),
    Box("Bus", ("gateware/link/bus.py",), 610, 404),
    Box("Sample store", ("gateware/chip/store.py",), 320, 302),
    Box("Registers", ("gateware/chip/registers.py",), 900, 302),
    Box("Order, sample pages", ("rtl/core/samples.py",), 320, 530),
    Box("Vectors, read ports", ("rtl/core/vectors.py",), 610, 530),
    Box("Program memory, fetch", ("rtl/core/prefetch.py", "rtl/core/fetch.py"), 900, 530, height=78),
    Box("Counters, scale registers", ("rtl/core/ledger.py",), 320, 632),
    Box("Decode, sequencer", ("rtl/core/decode.py", "rtl/core/sequencer.py"), 900, 632, height=78),
    Box("Drives, sense words", ("rtl/units/reader.py",), 320, 782),
    Box("Vector arithmetic", ("rtl/units/arithmetic.py",), 610, 782),
    Box("Pulse planner", ("rtl/units/planner.py",), 900, 782),
    Box(
        "Tile",
        ("rtl/tile/signature.py is the contract; behind it rtl/tile/emulated.py, rtl/tile/lean.py or your array",),
        320,
        916,
        width=800,
    ),
)

ARROWS = (
    Arrow(SAMPLE, ((260, 87), (318, 87)), "1", (288, 87)),
    Arrow(SAMPLE, ((540, 87), (608, 87)), "2", (572, 87)),
    Arrow(SAMPLE, ((690, 120), (690, 204)), "3", (690, 158)),
    Arrow(SAMPLE, ((690, 272), (690, 294))),
    Arrow(SAMPLE, ((690, 374), (690, 402))),
    Arrow(SAMPLE, ((610, 437), (450, 437), (450, 370)), "4", (530, 437)),
    Arrow(SAMPLE, ((390, 368), (390, 528)), "5", (390, 470)),
    Arrow(SAMPLE, ((540, 563), (608, 563)), "6", (572, 563)),
    Arrow(SAMPLE, ((650, 596), (650, 722), (390, 722), (390, 780)), "7", (560, 722)),
    Arrow(SAMPLE, ((390, 848), (390, 914)), "8", (390, 886)),
    Arrow(SAMPLE, ((470, 916), (470, 850)), "9", (470, 882)),
    Arrow(SAMPLE, ((470, 782), (470, 738), (680, 738), (680, 598)), "10", (680, 668)),
    Arrow(SAMPLE, ((730, 596), (730, 780)), "11", (730, 690)),
    Arrow(SAMPLE, ((770, 782), (770, 598))),
    Arrow(SAMPLE, ((810, 596), (810, 728), (960, 728), (960, 780)), "12", (860, 728)),
    Arrow(SAMPLE, ((960, 848), (960, 914)), "13", (960, 886)),
    Arrow(PROGRAM, ((900, 87), (832, 87)), "A", (868, 87)),
    Arrow(PROGRAM, ((750, 120), (750, 204)), "B", (750, 158)),
    Arrow(PROGRAM, ((750, 272), (750, 294))),
    Arrow(PROGRAM, ((750, 374), (750, 402))),
    Arrow(PROGRAM, ((830, 445), (1010, 445), (1010, 528)), "C", (920, 445)),
    Arrow(PROGRAM, ((1010, 608), (1010, 630)), "D", (1030, 620)),
    Arrow(PROGRAM, ((1060, 710), (1060, 780)), "E", (1060, 738)),
    Arrow(PROGRAM, ((1060, 764), (830, 764), (790, 764), (790, 780))),
    Arrow(PROGRAM, ((790, 764), (510, 764), (510, 780))),
    Arrow(PROGRAM, ((1120, 670), (1138, 670), (1138, 896), (1090, 896), (1090, 914)), "F", (1138, 820)),
    Arrow(OTHER, ((830, 425), (865, 425), (865, 335), (898, 335))),
    Arrow(OTHER, ((640, 120), (640, 160), (150, 160), (150, 204)), dashed=True),
)

WORDS = (
    (286, 154, "golden://: the same frames without a chip"),
    (40, 360, "The same frames in,"),
    (40, 378, "the same bits out."),
    (78, 436, "the way of a sample"),
    (78, 462, "the way of a program word"),
    (78, 488, "other"),
)


def picture() -> str:
    """Return the diagram as SVG."""
    heads = "".join(
        f'<marker id="head{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
        for colour in (SAMPLE, PROGRAM, OTHER)
    )
    groups = "\n".join(
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{fill}" stroke="#999999"/>'
        f'<text x="{tx}" y="{ty}" class="group">{escape(title)}</text>'
        for title, x, y, width, height, fill, (tx, ty) in GROUPS
    )
    key = "\n".join(Arrow(colour, ((40, y), (70, y))).svg() for colour, y in ((SAMPLE, 432), (PROGRAM, 458), (OTHER, 484)))
    words = "\n".join(f'<text x="{x}" y="{y}" class="word">{escape(text)}</text>' for x, y, text in WORDS)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
            f"<style>{STYLE}</style>",
            f"<defs>{heads}</defs>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            groups,
            *(box.svg() for box in BOXES),
            *(arrow.svg() for arrow in ARROWS),
            key,
            words,
            "</svg>\n",
        )
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
