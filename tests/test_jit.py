"""Compiled kernels in the cache: loaded where they are whole, compiled anew where they are not, done without where there is no cache."""

import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

import numpy as np
import pytest
from numba import typeof

from backpulse.firmware_py import cache, jit

from .caches import damages, full, only_cache


def sum_of(values):
    total = np.int64(0)
    for value in values:
        total += value
    return total


VALUES = np.arange(10)


@pytest.fixture
def home(tmp_path, monkeypatch):
    return only_cache(monkeypatch, tmp_path / "cache")


def loads() -> bool:
    """Call the kernel as a new process would; say whether it was loaded and not compiled."""
    kernel = jit.jit(sum_of)
    assert kernel(VALUES) == 45
    return sum(kernel.stats.cache_hits.values()) == 1


def entries(home):
    return [path for path in home.rglob("*") if path.is_file()]


def test_a_kernel_is_compiled_once(home):
    assert not entries(home)
    assert not loads()
    assert len(entries(home)) == 1
    assert loads()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return an entry's bytes, and the name under which they are looked for."""
    with pytest.MonkeyPatch.context() as patch:
        home = only_cache(patch, tmp_path_factory.mktemp("cache"))
        assert not loads()
        [path] = entries(home)
        return path.read_bytes(), path.relative_to(home)


def test_a_damaged_kernel_is_compiled_anew_and_the_next_run_is_good(home, whole):
    data, name = whole
    path = home / name
    path.parent.mkdir(parents=True)
    for damaged in damages(data, bits=5):
        path.write_bytes(damaged)
        path.chmod(0o600)
        assert not loads()
        assert loads()


def test_a_kernel_that_numba_cannot_load_is_compiled_anew(home, whole):
    for stranger in (pickle.dumps(None), pickle.dumps(("of", "another", "version")), b"no pickle"):
        cache.write(str(whole[1]), stranger)
        assert not loads()
        assert loads()


def test_a_kernel_that_another_process_compiles_is_waited_for(home, whole):
    data, name = whole
    with ExitStack() as alone, ThreadPoolExecutor() as threads:
        assert cache.awaited(str(name), alone) is None
        other = threads.submit(loads)
        assert not wait([other], timeout=0.5).done
        (home / name).write_bytes(data)
        (home / name).chmod(0o600)
        alone.close()
        assert other.result()
    assert len(entries(home)) == 1


def test_it_is_not_waited_for_without_end(home, whole, monkeypatch):
    monkeypatch.setattr(cache, "_PATIENCE_S", 0.1)
    with ExitStack() as alone:
        assert cache.awaited(str(whole[1]), alone) is None
        assert not loads()
    assert loads()


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_a_planted_kernel_is_not_loaded(home, whole, mode, tmp_path):
    path = home / whole[1]
    path.parent.mkdir(parents=True)

    class Planted:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    cache.write(str(whole[1]), pickle.dumps(Planted()))
    path.chmod(mode)
    assert not loads()
    assert not (tmp_path / "ran").exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_cache_or_room_in_it_a_kernel_still_works(monkeypatch, home):
    with full(100):
        assert not loads()
    assert not entries(home)
    only_cache(monkeypatch, "/dev/null")
    assert not loads()


def test_nothing_is_looked_for_before_a_kernel_is_called(monkeypatch):
    monkeypatch.setattr(cache, "read", pytest.fail)
    jit.jit(sum_of)


def test_the_name_of_a_kernel_covers_sources_types_and_processor(monkeypatch):
    kernel = jit.jit(sum_of)
    kernels, signature, codegen = kernel._cache, (typeof(VALUES),), kernel.targetctx.codegen()
    names = {kernels._name(signature, codegen), kernels._name((), codegen)}

    class Other:
        def magic_tuple(self):
            return ("another processor",)

    names.add(kernels._name(signature, Other()))
    monkeypatch.setattr(jit, "source_digest", lambda folder: "other sources")
    names.add(kernels._name(signature, codegen))
    assert len(names) == 4
