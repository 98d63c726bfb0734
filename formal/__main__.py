"""Runs the proofs: `python -m formal [--quick] [NAME ..]`; `--table` prints the table of docs/proofs.md."""

import argparse
import sys
import time

from .table import PROOFS, table


def main() -> int:
    """Prove every property named (all by default) and reject every mutant; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m formal", description="Prove the properties of the RTL, and reject their mutants.")
    parser.add_argument("--quick", action="store_true", help="only those that take a few seconds")
    parser.add_argument("--table", action="store_true", help="print the table and prove nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PROOFS)}")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return 0
    unknown = sorted(set(arguments.names) - set(PROOFS))
    if unknown:
        parser.error(f"{unknown[0]} is no proof: choose from {', '.join(PROOFS)}")
    chosen = {n: p for n, p in PROOFS.items() if (n in arguments.names or not arguments.names) and (p.quick or not arguments.quick)}
    wrong = 0
    for name, proof in chosen.items():
        start = time.monotonic()
        verdict, mutant = proof().verdict(), proof(broken=True).verdict()
        good = verdict.passed and mutant.status == "FAIL"
        wrong += not good
        seconds = time.monotonic() - start
        word = "ok " if good else "BAD"
        print(f"{word} {name}: {verdict.status}; mutant {mutant.status} at step {mutant.step} ({seconds:.0f} s)", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} properties proved, each with its mutant rejected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
