"""Runs a cocotb bench on an Amaranth component: elaborate, export, build with Verilator, simulate, judge.

Tests (`test_*.py`, run by pytest) call `run_cocotb`; benches (`*_bench.py`) run inside the simulator and ask `parameters`
for what the test gave them. `WAVES=1` in the environment leaves a `dump.vcd` in the build folder.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from backpulse.firmware_py.places import lock
from backpulse.gateware.export.export import export
from backpulse.gateware.sim import verilator

SEED = 20240229
"""Seed of `random` in every simulator process, unless the test chooses another."""

BUILD = Path(__file__).parent.parent / "build" / "cocotb"
_VARIABLE = "BACKPULSE_BENCH"
_DETECTED = {"AssertionError", "SimTimeoutError"}
_ASSERTING = ("*_bench.py", "streams.py", "host_port.py")
"""Files whose assertions cocotb rewrites, so that a failure shows the values: in numba's it takes seconds a process."""


class BenchError(AssertionError):
    """A test of the bench failed; `kinds` are the exception types, `tests` the names of the tests."""

    def __init__(self, message: str, *, kinds: set[str], tests: list[str]) -> None:
        super().__init__(message)
        self.kinds = kinds
        self.tests = tests


def parameters() -> dict[str, Any]:
    """Return, inside the simulator, the parameters that the test gave to `run_cocotb`."""
    return json.loads(os.environ[_VARIABLE])


def run_cocotb(
    component: wiring.Component,
    bench: str,
    *,
    name: str | None = None,
    testcase: str | list[str] | None = None,
    seed: int = SEED,
    synthesise: Callable[[Path, str], list[Path]] | None = None,
    platform: object = None,
    **params: Any,
) -> None:
    """Run the tests of a bench module on a component.

    The build is kept, one folder for each different Verilog, and used again as long as Verilog and tools are the same.

    Parameters
    ----------
    component
        Design under test; the bench sees its flattened ports, `clk` and `rst`.
    bench
        Module name of the bench, e.g. `cocotb_tests.uart_bench` (without a dot it is looked up in `cocotb_tests`).
    name
        Name of the top module; that of the class by default.
    testcase
        Run only these tests of the bench.
    seed
        Seed of `random` in the simulator's process.
    synthesise
        Turns the Verilog of a top into other files to simulate.
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
    text = export(component, top, platform=platform)
    waves = bool(int(os.environ.get("WAVES") or 0))
    folder = BUILD / f"{top}-{verilator.digest(text, top, str(waves), getattr(synthesise, '__qualname__', ''))}"
    results = folder / f"{uuid.uuid4().hex}.xml"
    runner = get_runner("verilator")
    with lock(BUILD / f"{folder.name}.lock"):
        if not (folder / "stamp").exists():
            _build(runner, folder, top, text, waves, synthesise)
    try:
        runner.test(
            test_module=bench if "." in bench else f"cocotb_tests.{bench}",
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            testcase=testcase,
            seed=seed,
            waves=waves,
            results_xml=str(results),
            extra_env={_VARIABLE: json.dumps(params), "PYTHONWARNINGS": "error", "COCOTB_REWRITE_ASSERTION_FILES": " ".join(_ASSERTING)},
        )
    except (SystemExit, RuntimeError) as stop:
        if not results.exists():
            raise RuntimeError(f"Simulator of {top} left no results: {stop}") from None
    _judge(results, bench)


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


def _build(runner: Any, folder: Path, top: str, text: str, waves: bool, synthesise: Callable[[Path, str], list[Path]] | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = folder / f"{top}.v"
    source.write_text(text)
    # Cocotb makes every signal public, and Verilator then has to keep them all: fifty times as much C++. Benches see ports alone.
    ports = folder / "ports.vlt"
    names = re.search(rf"^module {top}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert names is not None
    # Names that are words of Verilog's own are escaped there.
    lines = (f'public_flat_rw -module "{top}" -var "{port}"' for port in names[1].replace("\\", " ").replace(",", " ").split())
    ports.write_text("\n".join(["`verilator_config", *lines, ""]))
    log = folder / "build.log"
    # Verilator's own library takes most of a small build and is the same for all of them: the first build compiles it for the others.
    library = BUILD / f"library-{verilator.digest(str(waves))}"
    found = library.exists()
    link = ["-LDFLAGS", " ".join(map(str, sorted(library.glob("*.o"))))] if found else []
    variables = {"VM_GLOBAL_FAST": "", "VM_GLOBAL_SLOW": ""} if found else {}
    try:
        with mock.patch.dict(os.environ, verilator.environment(**variables)):
            runner.build(
                sources=[ports, *(synthesise(source, top) if synthesise else [source])],
                hdl_toplevel=top,
                build_dir=folder,
                build_args=[*verilator.FLAGS, "--no-public-flat-rw", *link],
                timescale=("1ns", "1ps"),
                waves=waves,
                always=True,
                log_file=log,
            )
    except RuntimeError as error:
        raise RuntimeError(f"Verilator build of {top} failed: {error}\n{log.read_text()[-4000:]}") from None
    if not found:
        with tempfile.TemporaryDirectory(dir=BUILD) as temporary, contextlib.suppress(OSError):
            for file in folder.glob("verilated*.o"):
                shutil.copy(file, temporary)
            os.rename(temporary, library)
    (folder / "stamp").touch()


def _judge(results: Path, bench: str) -> None:
    root = ElementTree.parse(results).getroot()
    results.unlink()
    cases = root.findall(".//testcase")
    if not any(case.find("skipped") is None for case in cases):
        raise RuntimeError(f"Bench {bench} ran no test")
    failed = [(case.get("name", ""), bad) for case in cases for tag in ("failure", "error") for bad in case.findall(tag)]
    if failed:
        lines = [f"{test}: {bad.get('type')}: {bad.get('message')}" for test, bad in failed]
        raise BenchError(
            f"Bench {bench} failed\n" + "\n".join(lines),
            kinds={str(bad.get("type")) for _, bad in failed},
            tests=[test for test, _ in failed],
        )
