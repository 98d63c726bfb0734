"""Results of a sweep on the disk: a folder of Parquet parts, one row a run.

A part appears when it is whole, so whatever has been read of the folder is right, and `pandas.read_parquet(folder)` reads it at any
time. What is not yet in a part stands in a journal beside them, which the next sweep there makes a part of: a run that has been told as
done is kept.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from types import UnionType
from typing import IO, TYPE_CHECKING, Any, Self, get_args

from backpulse.firmware_py.installing import install
from backpulse.firmware_py.places import reason
from backpulse.host.errors import InputError, StorageError
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.storage import check_writable, written_whole
from backpulse.host.sweep_pool import execute
from backpulse.host.sweep_run import Outcome, Run
from backpulse.host.sweep_table import counting_accuracy

if TYPE_CHECKING:
    import pyarrow

PART_S = 5.0
"""Least time between two parts: ten thousand short runs make some hundred files."""
PARTS = "part-*.parquet"
JOURNAL = ".journal"
"""Readers of Parquet folders skip names that begin with a dot."""
KEYS = {
    "run": "string",
    "abi": "int64",
    "data": "string",
    "epochs": "int64",
    "tile": "string",
    "seconds": "double",
    "cpu_seconds": "double",
}
"""Columns that tell a run from the others, and how long it took."""
CHOSEN = {"accuracy": "double"}
"""Column of the test accuracy in the epoch that counts (`sweep_table.counting_epoch`)."""
RESULTS = {
    **dict.fromkeys(("test_accuracy", "train_accuracy", "train_loss", "class_accuracy"), "list<double>"),
    **dict.fromkeys(("validation_accuracy", "validation_loss", "learning_rate"), "list<double>"),
    "best_epoch": "int64",
    "confusion": "list<list<int64>>",
    **dict.fromkeys(("steps", "cycles", "read_cycles", "pulse_cycles"), "int64"),
    **dict.fromkeys(("pulses_up", "pulses_down", "pulses_clipped", "pulses_missed"), "int64"),
    **dict.fromkeys(("sense_clipped", "vector_saturated", "link_retries"), "int64"),
    **dict.fromkeys(("cycles_per_step", "steps_per_second"), "double"),
    "labels": "list<string>",
    **dict.fromkeys(("config_digest", "build_digest", "conductance_digest"), "string"),
}
"""Columns of what came out, as in the JSON of `backpulse train`: type by name; None where a schedule has no such thing."""

Row = dict[str, Any]


def row(outcome: Outcome) -> Row:
    """Return a run and its result as values by column, which are plain JSON."""
    run, result = outcome.run, outcome.result
    keys = (run.identity, run.abi, run.data, run.epochs, run.tile, outcome.seconds, outcome.cpu_seconds)
    values = dict(zip((*KEYS, *CHOSEN), (*keys, counting_accuracy(result)), strict=True))
    return {**values, **run.settings.to_dict(), **{name: result.get(name) for name in RESULTS}}


def schema() -> "pyarrow.Schema":
    """Return the columns of a part."""
    pa = _arrow()
    types = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    types |= {f"list<{name}>": pa.list_(kind) for name, kind in types.items()}
    types["list<list<int64>>"] = pa.list_(types["list<int64>"])
    plain = {str: "string", int: "int64", float: "double", bool: "bool"}
    settings = {name: _plain(field.annotation) for name, field in Settings.model_fields.items()}
    columns = {**KEYS, **CHOSEN, **{name: plain[kind] for name, kind in settings.items()}, **RESULTS}
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


class Store:
    """The folder of a sweep's results.

    Parameters
    ----------
    folder : Path
        Made if need be.

    Attributes
    ----------
    rows : dict
        What has been done, by the identity of the run; also runs of other sweeps.

    Raises
    ------
    InputError
        If there are no packages for it, the folder cannot be written, holds damaged parts, or another sweep is writing to it.
    StorageError
        If results cannot be written any more, as on a full disk; what was added before is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, Row] = {}
        self._schema = schema()
        self._waiting: list[Row] = []
        self._written = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The folder {folder} cannot be made: {reason(error)}: choose another") from error
        check_writable(folder / JOURNAL)

    def __enter__(self) -> Self:
        self._journal = self._locked()
        try:
            for part in sorted(self.folder.glob(PARTS)):
                self.rows |= {one["run"]: one for one in self._read(part)}
            self._recover()
        except BaseException:
            self._journal.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if not (kind and issubclass(kind, StorageError)):
                self.flush()
        finally:
            self._journal.close()

    def add(self, one: Row) -> None:
        """Keep a row, whatever happens to this process after it."""
        try:
            line = json.dumps(one).encode() + b"\n"
            if self._journal.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise StorageError.of(f"The folder {self.folder}", error) from error
        self.rows[one["run"]] = one
        self._waiting.append(one)
        if time.monotonic() - self._written > PART_S:
            self.flush()

    def flush(self) -> None:
        """Write the part of what is in none."""
        self._written = time.monotonic()
        if not self._waiting:
            return
        import pyarrow.parquet as parquet

        table = _arrow().Table.from_pylist(self._waiting, schema=self._schema)
        with written_whole(self._next(), "part") as file:
            parquet.write_table(table, file, compression="zstd")
        self._waiting.clear()
        with suppress(OSError):  # rows in a part are left out when it is read again
            self._journal.truncate(0)

    def _next(self) -> Path:
        """Return the name of the next part."""
        last = max((int(path.stem.removeprefix("part-")) for path in self.folder.glob(PARTS)), default=0)
        return self.folder / f"part-{last + 1:05}.parquet"

    def _locked(self) -> IO[bytes]:
        """Open the journal for this process alone, where the file system knows that."""
        file = (self.folder / JOURNAL).open("ab+", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InputError(f"Another sweep writes to the folder {self.folder}: wait for its end, or choose another folder") from None
        except OSError:
            pass
        return file

    def _recover(self) -> None:
        """Take over what an earlier sweep left in the journal; a line that was cut off is a run that was not done."""
        self._journal.seek(0)
        for line in self._journal.read().splitlines():
            with suppress(ValueError):
                one = json.loads(line)
                if one["run"] not in self.rows:
                    self.rows[one["run"]] = one
                    self._waiting.append(one)
        self.flush()
        self._journal.truncate(0)

    def _read(self, part: Path) -> list[Row]:
        import pyarrow.parquet as parquet

        try:
            rows = parquet.read_table(part).to_pylist()
            return [one for one in rows if one["run"]]
        except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are ValueErrors or OSErrors
            raise InputError(f"{part} is no part of a sweep, or damaged: remove it, and its runs are done again") from error


def do_missing(
    runs: Iterable[Run],
    store: Store,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    stop: Stop | None = None,
    watch: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Do the runs that a store lacks, and keep what they come to; return those that failed, which are not kept.

    Parameters
    ----------
    runs : iterable of Run
    store : Store
        Entered.
    workers, scheduler
        Where, as in `sweep_pool.execute`.
    stop : Stop, optional
        Looked at while runs go on; what is under way when it asks is lost.
    watch : callable, optional
        Called with what each run came to, when that is kept.
    """
    failed = []
    missing = [run for run in runs if run.identity not in store.rows]
    with closing(execute(missing, workers=workers, scheduler=scheduler, stop=stop)) as outcomes, suppress(StoppedError):
        for outcome in outcomes:
            if outcome.error:
                failed.append(outcome)
            else:
                store.add(row(outcome))
            if watch:
                watch(outcome)
    return failed


def _plain(annotation: Any) -> type:
    """Return the type of a setting that may be None."""
    return next(kind for kind in get_args(annotation) if kind is not type(None)) if isinstance(annotation, UnionType) else annotation


def _arrow() -> Any:
    """Import what writes Parquet, which the base installation lacks."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise InputError(f"A sweep keeps its results as Parquet ({error.name} is missing): {install('sweep')}") from error
    return pyarrow
