"""A saved run as one HDF5 file, for h5py and what else reads it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.installing import install
from backpulse.firmware_py.pulse_log import COLUMNS
from backpulse.host.errors import InputError
from backpulse.host.saved.folder import CURVES, PULSES, SavedRun
from backpulse.host.saved.report import Known
from backpulse.host.storage import written_whole

CHUNK = 1 << 16
"""Rows of a chunk of the pulse log."""


def write_hdf5(path: Path, run: SavedRun, known: Known) -> None:
    """Write manifest and result as JSON in attributes, and all arrays as data sets.

    Parameters
    ----------
    path : Path
    run : SavedRun
    known : Known
        The reference and the pulse ledger, if they are known.

    Raises
    ------
    InputError
        If the package for it is missing.
    StorageError
        If the file cannot be written.
    """
    hdf5 = package()
    with written_whole(path, "HDF5 file") as stream, hdf5.File(stream, "w") as file:
        file.attrs["manifest"] = json.dumps(run.manifest)
        file.attrs["result"] = json.dumps(run.result)
        _put(file.create_group("epochs"), {name: run.result[name] for name in CURVES if run.result.get(name)})
        if run.result.get("confusion"):
            file["confusion"] = np.array(run.result["confusion"], np.int64)
        if known.reference:
            _put(file.create_group("reference"), {name: known.reference[name] for name in ("test_accuracy", "train_loss")})
        array = file.create_group("array")
        array.attrs["unit"] = "device units"
        array.attrs["tile_rows"] = run.config.tile_rows
        scale = 1.0 / (1 << run.config.cell_frac)
        _put(array, {"before": run.before * scale, "after": run.after * scale}, compression="gzip")
        if known.ledger:
            _put(file.create_group("ledger"), known.ledger, compression="gzip")
        if run.parts:
            _put_log(file.create_group(PULSES), run)


def package() -> Any:
    """Import what writes HDF5, which the base installation lacks."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise InputError(f"An HDF5 file needs the package h5py: {install('runs')}") from error
    return h5py


def _put(group: Any, values: dict[str, Any], **options: Any) -> None:
    for name, value in values.items():
        group.create_dataset(name, data=np.asarray(value), **options)


def _put_log(group: Any, run: SavedRun) -> None:
    """Append the parts of the pulse log, one at a time."""
    import pyarrow.parquet as parquet

    for part in run.parts:
        table = parquet.read_table(part)
        for name in COLUMNS:
            column = table[name].to_numpy()
            if name not in group:
                group.create_dataset(name, (0,), column.dtype, maxshape=(None,), chunks=(CHUNK,), compression="gzip")
            group[name].resize(len(group[name]) + len(column), axis=0)
            if len(column):
                group[name][-len(column) :] = column
