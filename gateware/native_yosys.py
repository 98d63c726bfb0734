"""Yosys as a program of this machine, from the wheel pyosys, which need not compile itself before first use.

It takes those arguments of yosys that proofs and the gate level give. Builds run YoWASP's WebAssembly, which
makes the same netlists wherever it runs.
"""

import argparse
import os

from pyosys import libyosys  # pyright: ignore[reportAttributeAccessIssue] - a compiled module, without types


def main() -> None:
    """Run a script or commands; the first that fails ends the process with yosys's own message and code."""
    parser = argparse.ArgumentParser(prog="yosys")
    parser.add_argument("-q", dest="quiet", action="store_true", help="print errors only")
    parser.add_argument("-l", dest="log", default=os.devnull, metavar="FILE", help="where the log goes")
    parser.add_argument("-p", dest="commands", help="commands, with semicolons between them")
    parser.add_argument("script", nargs="?", help="file of commands")
    arguments = parser.parse_args()
    if arguments.quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    text = arguments.commands or f"script {arguments.script}"
    design = libyosys.Design()
    for command in text.split(";"):
        libyosys.run_pass(f"tee -a {arguments.log} {command.strip()}", design)


if __name__ == "__main__":
    main()
