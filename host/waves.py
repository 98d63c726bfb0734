"""Waves of named samples of a virtual board, and a save file that shows them in GTKWave by room and in words."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Function, Op
from backpulse.firmware_py.registers import Fault
from backpulse.host.errors import InputError, StorageError, own_trouble, wrong_input
from backpulse.host.storage import written_whole

if TYPE_CHECKING:
    from backpulse.gateware.sim.waves import Form

ROOMS = {
    "chip": ("board",),
    "link": ("board.top.uart", "board.top.session"),
    "core": ("board.top.machine.core", "board.top.machine.trace"),
    "units": ("board.top.machine.core.units",),
    "tile": ("board.top.machine.tile",),
}
"""Rooms, and where each begins in the hierarchy; the longest name counts."""
CORE = "board.top.machine.core"
GLANCE = (
    (CORE, "state"),
    (f"{CORE}.sequencer", "ins__payload.pc"),
    (f"{CORE}.sequencer", "ins__payload.op"),
    (f"{CORE}.sequencer", "ins__payload.function"),
    (f"{CORE}.sequencer", "begin"),
    (f"{CORE}.sequencer", "done"),
    (f"{CORE}.sequencer", "sample_take"),
    (CORE, "to_tile__drive__valid"),
    (CORE, "to_tile__drive__payload"),
    (CORE, "to_tile__sense__valid"),
    (CORE, "to_tile__sense__payload.value"),
)
"""What the save file shows first: where the program is, and what goes to and from the tile."""
FORM = "FILE.vcd or FILE.vcd,FROM,TO"


@dataclass
class Waves:
    """What a virtual board is to write.

    Parameters
    ----------
    file : Path
        A .vcd or .fst file.
    first, last : int
        Samples, from 0, in the order in which they are trained (or evaluated).
    evaluation : bool
        Whether samples of evaluation are meant.
    """

    file: Path
    first: int = 0
    last: int = 0
    evaluation: bool = False
    _signals: list[tuple[str, str, int, bool, dict[str, str] | None]] = field(default_factory=list)
    _partial: Path = Path()

    @classmethod
    def of(cls, text: str, board: str, *, evaluation: bool = False) -> Self:
        """Take an option apart, and refuse what cannot be.

        Raises
        ------
        InputError
            If it is none, the board is not simulated here, or this computer cannot write such a file.
        """
        if board != "sim://":
            raise InputError(f"--waves are those of the simulated RTL, and {board} is not simulated: give --board sim://, or leave it out")
        parts = text.split(",")
        name, numbers = ",".join(parts[:-2]), parts[-2:]
        if "," not in text:
            name, numbers = text, ["0", "0"]
        if not name or not all(n.isdecimal() and len(n) < 10 for n in numbers) or int(numbers[0]) > int(numbers[1]):
            raise InputError(f"--waves takes {FORM}, samples from 0 on, as in run.vcd,0,9, not {text}")
        waves = cls(Path(name), int(numbers[0]), int(numbers[1]), evaluation)
        waves.form()
        return waves

    @property
    def outputs(self) -> dict[str, Path]:
        """Files that are written, by how messages name them."""
        return {"--waves": self.file, "--waves's save file": self.save_file}

    def form(self) -> "Form":
        """Return how such a file is written.

        Raises
        ------
        InputError
            If its ending is wrong, or this computer lacks what it needs.
        """
        try:
            from backpulse.gateware.sim.waves import check_form
        except ModuleNotFoundError as error:
            raise InputError(f"--waves needs the simulator's packages ({error.name} is missing): pip install 'backpulse[sim]'") from error
        with own_trouble(), wrong_input(f"--waves {self.file}: "):
            return check_form(self.file.suffix.lower())

    @property
    def save_file(self) -> Path:
        """Where the save file is to lie."""
        return self.file.with_suffix(".gtkw")

    def check(self, samples: int) -> None:
        """Refuse samples that a run does not have."""
        if self.last >= samples:
            what = "are classified" if self.evaluation else "are trained"
            raise InputError(
                f"--waves names sample {self.last}, and {samples:,} {what} here, counted from 0: name one up to {samples - 1:,}"
            )

    def begin(self, program: Path) -> tuple[str, ...]:
        """Return what the board is started with; `program` is its own, beside which its signals are described."""
        from backpulse.gateware.sim.waves import SIGNALS

        self._signals = json.loads(program.with_name(SIGNALS).read_text())
        target = self.file.resolve()
        self._partial = target.with_name(f".backpulse-{secrets.token_hex(16)}{target.suffix}")
        return str(self._partial), str(self.first), str(self.last), str(int(self.evaluation))

    def save(self, program: Program) -> str:
        """Give the file its name when the board has ended, and write what shows it; return what there is to say.

        Raises
        ------
        StorageError
            If something cannot be written.
        """
        if not self._partial.is_file():
            return f"The run ended before sample {self.first}: there are no waves"
        try:
            self._partial.replace(self.file.resolve())
            folder = self.file.with_suffix(".words")
            folder.mkdir(exist_ok=True)
            text = self._save_text(program, folder)
        except OSError as error:
            raise StorageError.of(f"The waves {self.file}", error) from error
        with written_whole(self.save_file, "save file") as file:
            file.write(text.encode())
        samples = f"sample {self.first}" if self.first == self.last else f"samples {self.first} to {self.last}"
        return f"Waves of {samples} in {self.file}; to see them: gtkwave {self.save_file}"

    def _save_text(self, program: Program, folder: Path) -> str:
        """Return the save file, and write the files of words that it names."""
        from vcd.gtkw import GTKWFlag, GTKWSave

        from backpulse.gateware.sim.waves import SCOPE

        out = StringIO()
        save = GTKWSave(out)
        save.dumpfile(str(self.file))
        save.treeopen(f"{SCOPE}.{CORE}")
        by_name = {(scope, name): (bits, signed, words) for scope, name, bits, signed, words in self._signals}
        written: dict[str, str] = {}

        def show(scope: str, name: str) -> None:
            bits, signed, own = by_name[scope, name]
            path = f"{SCOPE}.{scope}.{name}" + (f"[{bits - 1}:0]" if bits > 1 else "")
            alias = f"{scope.rpartition('.')[2]}.{name}"
            words = own or _words(name, program)
            point = _point(name, program.config)
            if words:
                text = "".join(f"{value} {word}\n" for value, word in words.items())
                if text not in written:  # decimal numbers, which have one form
                    written[text] = str((folder / f"{len(written)}-{name.rpartition('.')[2].rpartition('__')[2]}.txt").resolve())
                    Path(written[text]).write_text(text)
                save.trace(path, alias, datafmt="dec", translate_filter_file=written[text])
            elif point is not None:
                out.write(f"[fpshift_count] {point}\n")
                save.trace(path, alias, datafmt="signed", extraflags=GTKWFlag.fpdecshift)
            else:
                save.trace(path, alias, datafmt="signed" if signed else "bin" if bits == 1 else "hex")

        with save.group("program"):
            for scope, name in GLANCE:
                show(scope, name)
        for room in ROOMS:
            with save.group(room, closed=True):
                scopes = sorted({scope for scope, _ in by_name if _room(scope) == room})
                for scope in scopes:
                    with save.group(scope.removeprefix("board.top.") if scope != "board" else scope, closed=True):
                        for name in sorted(name for within, name in by_name if within == scope):
                            show(scope, name)
        return out.getvalue()


def _room(scope: str) -> str:
    """Return the room that a module belongs to."""
    begins = [(begin, room) for room, places in ROOMS.items() for begin in places if f"{scope}.".startswith(f"{begin}.")]
    return max(begins, key=lambda found: len(found[0]))[1]


def _words(name: str, program: Program) -> Mapping[int, str]:
    """Return the words of a field of instructions by value; nothing for another signal."""
    last = name.rpartition(".")[2]
    if last == "pc":
        return dict(enumerate(_texts(program)))
    kinds = {"op": Op, "function": Function, "fault": Fault}
    return {value.value: value.name for value in kinds[last]} if "." in name and last in kinds else {}


def _texts(program: Program) -> Sequence[str]:
    return [" ".join(program.text(instruction).split()) for instruction in program.instructions]


def _point(name: str, config: Config) -> int | None:
    """Return how many bits a number that goes to or from the tile has behind its point; None for another signal."""
    if name.endswith("drive__payload"):
        return config.drive_bits - 1
    if name.endswith("sense__payload.value"):
        return config.sense_bits - 1 - config.sense_scale_log2
    return None
