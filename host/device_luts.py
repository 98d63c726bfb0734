"""Tables of steps: CrossSim's matrices of a step by conductance and probability, and columns of mean and sigma by conductance."""

import re

import numpy as np

from backpulse.host.device_grid import Block
from backpulse.host.device_traces import Steps
from backpulse.host.errors import InputError

_STEP = re.compile(r"(mean|sigma|std)?[\s_]*d[\s_]*g", re.IGNORECASE)


def joined(blocks: list[Block]) -> Block:
    """Return the blocks of a file as one, without names: a matrix may have an empty line below its first rows."""
    width = max(block.values.shape[1] for block in blocks)
    padded = [np.pad(block.values, ((0, 0), (0, width - block.values.shape[1])), constant_values=np.nan) for block in blocks]
    rows = np.concatenate([block.rows for block in blocks])
    title = " ".join(block.title for block in blocks)
    return Block(file=blocks[0].file, names=[""] * width, values=np.concatenate(padded), rows=rows, title=title)


def is_lut(values: np.ndarray) -> bool:
    """Say whether a table is CrossSim's: growing conductances, probabilities from 0 to 1, a matrix (probabilities, conductances)."""
    if len(values) < 5:
        return False
    g, cdf = (row[~np.isnan(row)] for row in values[:2])
    return (
        len(g) > 2
        and len(cdf) == len(values) - 2
        and bool((np.diff(g) > 0).all() and (np.diff(cdf) >= 0).all())
        and 0 <= cdf[0] < 0.1
        and 0.9 < cdf[-1] <= 1 + 1e-9
    )


def lut_steps(block: Block, up: bool | None) -> Steps:
    """Return the mean and sigma of a matrix over its probabilities.

    Parameters
    ----------
    block : Block
    up : bool, optional
        The direction that the file's name says; else the sign of the steps decides.
    """
    values = block.values
    if not is_lut(values):
        raise InputError(
            f"{block.file} is no table of steps: its first row must be growing conductances, its second one probabilities from 0 to 1, and "
            "below them one row a probability"
        )
    g, cdf = (row[~np.isnan(row)] for row in values[:2])
    matrix = values[2:, : len(g)]
    holes = np.argwhere(np.isnan(matrix))
    if len(holes):
        raise InputError(f"{block.file}: {block.cell(int(holes[0][0]) + 2, int(holes[0][1]))} has no value: fill the cell")
    whole = cdf[-1] - cdf[0]
    mean = np.trapezoid(matrix, cdf, axis=0) / whole
    sigma = np.sqrt(np.trapezoid((matrix - mean) ** 2, cdf, axis=0) / whole)
    rises = bool(mean.mean() > 0)
    up = rises if up is None else up
    if up is not rises:
        raise InputError(f"{block.file} is named as of steps {'up' if up else 'down'}, and its steps go the other way: name it anew")
    return Steps(device="", up=up, g=g, mean=mean, sigma=sigma, where=block.file)


def named_steps(block: Block) -> list[Steps]:
    """Return the tables of steps of a block whose columns are named so (G, mean dG and sigma dG of each direction, device); none if not."""
    names = [name.lower() for name in block.names]
    steps = [k for k, name in enumerate(names) if _STEP.match(name) or "sigma" in name]
    if not steps or block.values.shape[1] < 3:
        return []
    at = next(
        (k for k, name in enumerate(names) if k not in steps and k not in block.words and re.match(r"g([\s_(\[]|$)|cond", name)), None
    )
    if at is None:
        raise InputError(f"{block.file}: columns of steps need one of conductances, named G: name it")
    device = next((k for k in block.words), None)
    device_words = block.words[device] if device is not None else [""] * len(block.rows)
    found: list[Steps] = []
    for name in dict.fromkeys(device_words):
        rows = np.array([row for row, word in enumerate(device_words) if word == name])
        order = rows[np.argsort(block.values[rows, at], kind="stable")]
        for up, word in ((True, "up"), (False, "down")):
            mean = next((k for k in steps if word in names[k] and not _is_sigma(names[k])), None)
            sigma = next((k for k in steps if word in names[k] and _is_sigma(names[k])), None)
            if mean is None:
                continue
            for k in filter(None, (at, mean, sigma)):
                holes = np.flatnonzero(np.isnan(block.values[order, k]))
                if holes.size:
                    raise InputError(
                        f"{block.file}: {block.cell(int(order[holes[0]]), k)} has no value: fill the cell, or leave the row out"
                    )
            spread = block.values[order, sigma] if sigma is not None else np.zeros(len(order))
            where = f"{block.file}: {name or 'steps'} {word}"
            g = block.values[order, at]
            found.append(Steps(device=name, up=up, g=g, mean=block.values[order, mean], sigma=spread, where=where))
    return found


def _is_sigma(name: str) -> bool:
    return "sigma" in name or "std" in name
