"""All proofs, and the table of them."""

import inspect

from . import lines, link, machine, tile
from .harness import Harness

__all__ = ["PROOFS", "table"]

PROOFS: dict[str, type[Harness]] = {
    name: proof
    for module in (link, lines, machine, tile)
    for name in module.__all__
    if inspect.isclass(proof := getattr(module, name)) and issubclass(proof, Harness)
}
"""The proofs by name."""


def table() -> str:
    """Return the table of docs/proofs.md."""
    lines = ["| proof | block | property | method | its mutant |", "| --- | --- | --- | --- | --- |"]
    for name, proof in PROOFS.items():
        method = f"induction, {proof.depth}" if proof.mode == "prove" else f"all runs of {proof.depth} cycles"
        property_ = (proof.__doc__ or "").split("\n")[0]
        lines.append(f"| {name} | {proof.block} | {property_} | {method} | {proof.mutant} |")
    return "\n".join(lines)
