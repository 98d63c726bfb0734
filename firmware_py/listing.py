"""Instructions in words, as the listing of a program and the first divergence name them."""

from collections.abc import Sequence

from backpulse.firmware_py.isa import Function, Instruction, Op, When, require

_LISTING = {
    Op.READ: "{region}, {a:<3} > {b}",
    Op.READT: "{region}, {a:<3} > {b}",
    Op.PULSE: "{region}, {a}, {b}, s{ins.c}",
    Op.ERR: "{a}, {b} > {c}",
    Op.NORM2: "{a}, s{ins.b} > s{ins.c}",
    Op.AXPY: "{b} - s{ins.c} {a} > {b}",
    Op.NEXT: "{ins.region}",
    Op.END: "",
}
"""How the operands of each operation are listed."""
require("listing", _LISTING)


def instruction_text(ins: Instruction, regions: Sequence[str], vectors: Sequence[str]) -> str:
    """Return an instruction in words, with the names of regions and vectors by number."""

    def name(index: int) -> str:
        return vectors[index] if index < len(vectors) else f"v{index}"

    region = regions[ins.region] if ins.region < len(regions) else f"r{ins.region}"
    operands = _LISTING[ins.op].format(ins=ins, region=region, a=name(ins.a), b=name(ins.b), c=name(ins.c))
    parts = [f"{ins.op.name:<6} {operands}".rstrip()]
    for flag in ("accumulate", "auto_range", "stochastic"):
        if getattr(ins, flag):
            parts.append(flag.replace("_", "-"))
    if ins.profile:
        parts.append(f"profile {ins.profile}")
    if ins.function is not Function.NONE and len(ins.operation.functions) > 1:
        parts.append(ins.function.name.lower().replace("_", " "))
        other = ins.operation.other
        if ins.hadamard and other and other.when is When.HADAMARD:
            parts[-1] += f" {name(ins.c)}"
    return ", ".join(parts)
