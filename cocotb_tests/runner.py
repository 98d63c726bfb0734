"""Runs a cocotb bench on an Amaranth component: elaborate, export, build with Verilator, simulate, judge.

Tests (`test_*.py`, run by pytest) call `run_cocotb`; benches (`*_bench.py`) run inside the simulator and ask `parameters` of the module
of that name for what the test gave them. In the environment, `WAVES=1` leaves a `dump.vcd` in a folder of `build/waves`, `BRANCHES=1`
counts for `cocotb_tests.coverage`, and `RANDOM_SEED=1`, or any other number, makes other random stimuli than those of every day (0).
"""

import contextlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from . import coverage, light
from .parameters import VARIABLE
from .program import DESIGN, Synthesise, build

WAVES = Path(__file__).parent.parent / "build" / "waves"
_FEATURES = {"coverage": "BRANCHES", "waves": "WAVES"}
_DETECTED = {"AssertionError", "SimTimeoutError"}
_ASSERTING = ("*_bench.py", "streams.py", "host_port.py")
"""Files whose assertions cocotb rewrites, so that a failure shows the values: in numba's it takes seconds a process."""
_COMPILED = ("contract_bench", "core_bench", "differential_bench", "top_bench", "registers_bench")
"""Benches with a whole golden machine, which is slow in plain Python; the others take longer to load compiled functions than these save."""


class BenchError(AssertionError):
    """A test of the bench failed; `kinds` are the exception types, `tests` the names of the tests."""

    def __init__(self, message: str, *, kinds: set[str], tests: list[str]) -> None:
        super().__init__(message)
        self.kinds = kinds
        self.tests = tests


def run_cocotb(
    component: wiring.Component,
    bench: str,
    *,
    name: str | None = None,
    testcase: str | list[str] | None = None,
    synthesise: Synthesise | None = None,
    verilog: tuple[Path, ...] = (),
    platform: object = None,
    **params: Any,
) -> Path:
    """Run the tests of a bench module on a component, and return the folder with its simulator.

    Parameters
    ----------
    component
        Design under test; the bench sees its flattened ports, `clk` and `rst`.
    bench
        Module name of the bench, e.g. `cocotb_tests.uart_bench` (without a dot it is looked up in `cocotb_tests`).
    name
        Name of the top module; that of the class by default.
    testcase
        Run only these tests of the bench, with all their parameters.
    synthesise
        Turns the Verilog of a top into other files to simulate.
    verilog
        Files of what the component instantiates.
    platform
        What the component is told that it is for.
    params
        JSON values that the bench gets from `parameters()`.

    Raises
    ------
    BenchError
        If a test failed.
    RuntimeError
        If the build failed, the simulator crashed, or no test ran at all.
    """
    top = name or type(component).__name__.lower()
    features = frozenset(name for name, variable in _FEATURES.items() if int(os.environ.get(variable) or 0))
    waves = "waves" in features
    seed = int(os.environ.get("RANDOM_SEED") or 0)
    folder = build(component, top, platform=platform, synthesise=synthesise, verilog=verilog, features=features)
    names = [testcase] if isinstance(testcase, str) else testcase
    variables = {
        VARIABLE: json.dumps(params),
        "PYTHONWARNINGS": "error",
        "COCOTB_REWRITE_ASSERTION_FILES": " ".join(_ASSERTING),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # cocotb rewrites with pytest, whose plugins are for its own tests
        light.VARIABLE: ",".join(light.SCHEMAS if bench in _COMPILED else (*light.SCHEMAS, *light.COMPILERS)),
    }
    with tempfile.TemporaryDirectory() as work:
        results = Path(work) / "results.xml"
        with contextlib.suppress(SystemExit, RuntimeError):  # what failed is in the results
            get_runner("verilator").test(
                test_module=bench if "." in bench else f"cocotb_tests.{bench}",
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=WAVES / f"{top}-{bench}" if waves else work,
                test_filter=rf"\.({'|'.join(map(re.escape, names))})(/.*)?$" if names else None,
                seed=seed,
                waves=waves,
                results_xml=str(results),
                extra_env=variables,
            )
        if (counts := Path(work) / "coverage.dat").exists():
            coverage.keep(counts, folder / DESIGN)
        if not results.exists():
            raise RuntimeError(f"Simulator of {top} left no results")
        _judge(results, bench, seed)
    return folder


def expect_failure(component: wiring.Component, bench: str, **arguments: Any) -> None:
    """Run a bench on a deliberately broken variant, and raise AssertionError unless a test of it notices.

    Noticing is a failed assertion or a timeout; an error in the bench itself does not count. Arguments are those of `run_cocotb`.
    """
    try:
        run_cocotb(component, bench, **arguments)
    except BenchError as failure:
        if not failure.kinds <= _DETECTED:
            raise RuntimeError(f"Bench {bench} broke instead of judging: {failure}") from failure
        return
    raise AssertionError(f"Bench {bench} did not notice that {type(component).__name__} is broken")


def _judge(results: Path, bench: str, seed: int) -> None:
    root = ElementTree.parse(results).getroot()
    cases = root.findall(".//testcase")
    if not any(case.find("skipped") is None for case in cases):
        raise RuntimeError(f"Bench {bench} ran no test")
    failed = [(case.get("name", ""), bad) for case in cases for tag in ("failure", "error") for bad in case.findall(tag)]
    if failed:
        lines = [f"{test}: {bad.get('type')}: {bad.get('message')}" for test, bad in failed]
        raise BenchError(
            f"Bench {bench} failed with RANDOM_SEED={seed}\n" + "\n".join(lines),
            kinds={str(bad.get("type")) for _, bad in failed},
            tests=[test for test, _ in failed],
        )
