"""Checkpoints with a changed bit, a missing tail or bytes too many are refused. `make checkpoints` tries every bit and every tail."""

import random
import time

import pytest

from backpulse.host.archive import DIGEST_CHARS, sign

from .checkpoints import small_run, verdict

HANG_S = 5
"""Seconds in which any file is judged, on a busy machine too."""
FLIPS, FORGED, STEP = 500, 150, 97
"""Bits changed, the same with the digest made right, and the step from tail to tail, where not all are tried."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.npz"
    return path, small_run(path)


def judge(run, contents) -> tuple[int, int, int, float]:
    """Load each content; return how many were refused, loaded as the original, loaded as another, and the longest time."""
    path, whole = run
    bad, copy = path.with_name("bad.npz"), path.with_name("copy.npz")
    counts, longest = {"refused": 0, "": 0, "changed": 0}, 0.0
    for content in contents:
        bad.unlink(missing_ok=True)  # some file systems bring a file that is written over to the disk at once
        bad.write_bytes(content)
        begun = time.perf_counter()
        answer = verdict(bad, whole, copy)
        longest = max(longest, time.perf_counter() - begun)
        counts[answer if answer in counts else "refused"] += 1
    return counts["refused"], counts[""], counts["changed"], longest


def flipped(whole: bytes, bit: int) -> bytes:
    content = bytearray(whole)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def test_the_original_loads_as_it_was(run):
    assert judge(run, [run[1]])[:3] == (0, 1, 0)


def test_a_flipped_bit_is_found(run):
    whole = run[1]
    bits = random.Random(1).sample(range(8 * len(whole)), FLIPS)
    assert judge(run, (flipped(whole, bit) for bit in bits))[:3] == (FLIPS, 0, 0)


def test_a_cut_tail_and_bytes_too_many_are_found(run):
    whole = run[1]
    tails = [whole[:size] for size in (*range(0, len(whole), STEP), len(whole) - 1, len(whole) - DIGEST_CHARS)]
    longer = [whole + extra for extra in (b"\0", b"\n", whole[-1:], whole[-DIGEST_CHARS:], whole)] + [b"\0" + whole]
    assert judge(run, tails + longer)[:3] == (len(tails) + len(longer), 0, 0)


def test_swapped_parts_are_found(run):
    whole = run[1]
    third = len(whole) // 3
    assert judge(run, [whole[third : 2 * third] + whole[:third] + whole[2 * third :]])[:3] == (1, 0, 0)


def test_a_flip_whose_digest_is_made_right_gives_no_traceback_and_no_hang(run):
    """What is behind the digest copes with anything: members, manifest and headers that do not belong together."""
    whole = run[1]
    bits = random.Random(2).sample(range(8 * (len(whole) - DIGEST_CHARS)), FORGED)
    refused, original, _, longest = judge(run, (sign(flipped(whole, bit)) for bit in bits))
    assert refused + original > 0.9 * FORGED
    assert longest < HANG_S


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_bit_and_every_tail(run):
    whole, begun = run[1], time.monotonic()
    body = 8 * (len(whole) - DIGEST_CHARS)
    kinds = {
        "bit flipped": (flipped(whole, bit) for bit in range(8 * len(whole))),
        "tail cut": (whole[:size] for size in range(len(whole))),
        "bit flipped and the digest made right": (sign(flipped(whole, bit)) for bit in range(body)),
    }
    print(f"\nA checkpoint of {len(whole):,} bytes, every bit and every tail:")
    for kind, contents in kinds.items():
        refused, original, changed, longest = judge(run, contents)
        print(
            f"  {kind}: {refused:,} refused in a sentence, {original:,} loaded as the original, {changed:,} as another, "
            f"none longer than {1000 * longest:.0f} ms"
        )
        assert not changed or kind.endswith("made right")
        assert longest < HANG_S
    print(f"  {time.monotonic() - begun:.0f} s")
