"""Caches: where they lie, what of them is trusted, and what is done where there can be none."""

import hashlib
import os
import pwd
import stat
import threading
import time
from pathlib import Path

import pytest

from backpulse.firmware_py import cache, places
from backpulse.firmware_py.places import CacheError

from .caches import damages, full, only_cache

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOWHERE = ["/dev/null", "/proc/none"]
"""Where nobody can make a folder, not even root."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    return only_cache(monkeypatch, tmp_path / "cache")


def make_folder(path, **files):
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_xdg_cache_home_comes_first_then_home_then_temporary_files(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    temporary = [tmp_path / f"backpulse-{os.geteuid()}", Path(f"/tmp/backpulse-{os.geteuid()}")]
    assert places.places()[:3] == [Path("/xdg/backpulse"), *temporary]
    for value in ("", "relative/to/somewhere"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert places.places()[:3] == [Path("/home/me/.cache/backpulse"), *temporary]


def test_a_user_without_a_home_has_the_temporary_folder_and_without_one_none(monkeypatch, tmp_path):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(places, "_TEMPORARY", (str(tmp_path),))
    for variable in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.delenv(variable, raising=False)
    assert places.places() == [tmp_path / f"backpulse-{os.geteuid()}"]
    assert cache.write("kind/entry", b"data")
    monkeypatch.setattr(places, "_TEMPORARY", (str(tmp_path / "none"),))
    assert places.places() == []
    assert not cache.write("kind/entry", b"data")
    assert cache.read("kind/entry") is None
    with pytest.raises(CacheError, match=r"no folder for caches \(no home and no temporary folder\): set XDG_CACHE_HOME"):
        next(places.usable())


@pytest.mark.parametrize("nowhere", NOWHERE)
def test_where_nothing_can_be_written_an_entry_is_done_without_and_a_folder_told(monkeypatch, tmp_path, nowhere):
    only_cache(monkeypatch, nowhere)
    assert not cache.write("kind/entry", b"data")
    for ask in (lambda: next(places.usable()), lambda: cache.store(tmp_path, "kind/entry", [])):
        with pytest.raises(CacheError, match=rf"no folder for caches \({nowhere}/backpulse: .*\): set XDG_CACHE_HOME to a folder of yours"):
            ask()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert cache.write("kind/entry", b"data")
    assert cache.read("kind/entry") == b"data"


def test_a_damaged_entry_is_none_and_can_be_written_again(home):
    assert cache.write("kind/entry", b"some data")
    path = home / "kind" / "entry"
    whole = path.read_bytes()
    for damaged in damages(whole, bits=len(whole)):
        path.write_bytes(damaged)
        assert cache.read("kind/entry") is None
    assert cache.write("kind/entry", b"other data")
    assert cache.read("kind/entry") == b"other data"


def test_an_entry_under_another_name_is_none(home):
    cache.write("kind/one", b"data")
    for other in ("kind/other", "kind2/one"):
        (home / other).parent.mkdir(exist_ok=True)
        (home / other).write_bytes((home / "kind/one").read_bytes())
        (home / other).chmod(0o600)
        assert cache.read(other) is None


def test_a_folder_is_found_only_if_all_that_is_sealed_is_whole(home, tmp_path):
    source = make_folder(tmp_path / "made", program="run", log="words")
    folder = cache.store(source, "kind/entry", ["program"])
    assert cache.find("kind/entry") == folder == home / "kind" / "entry"
    (folder / "log").unlink()
    assert cache.find("kind/entry") == folder
    for name in ("program", "seal"):
        whole = (folder / name).read_bytes()
        for damaged in damages(whole, bits=9):
            (folder / name).write_bytes(damaged)
            assert cache.find("kind/entry") is None
        (folder / name).unlink()
        assert cache.find("kind/entry") is None
        (folder / name).write_bytes(whole)
        (folder / name).chmod(0o600)
    assert cache.find("kind/entry") == folder
    (folder / "program").write_bytes(b"")
    assert cache.find(f"kind/{cache.store(source, 'kind/entry', ['program']).name}") == folder
    assert (folder / "log").exists()


def test_a_file_is_read_once_in_a_process_until_it_changes(home, tmp_path, monkeypatch):
    """One that is so young that its times may not tell it from what it is written over with is read each time."""
    folder = cache.store(make_folder(tmp_path / "made", program="run"), "kind/folder", ["program"])
    digest, read = hashlib.file_digest, []
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: read.append(name) or digest(file, name))
    for young, times in ((True, 3), (False, 1)):
        monkeypatch.setattr(cache, "_OLD_NS", int(1e15) if young else 0)
        assert [cache.find("kind/folder") for _ in range(3)] == [folder] * 3
        assert len(read) == times
        read.clear()
    time.sleep(0.05)  # a tick of the file system's clock
    (folder / "program").write_text("ran")
    assert cache.find("kind/folder") is None
    assert len(read) == 1


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_could_write_is_not_trusted(home, tmp_path, mode):
    cache.write("kind/entry", b"data")
    folder = cache.store(make_folder(tmp_path / "made", program="run"), "kind/folder", ["program"])
    for path in (home / "kind" / "entry", folder / "program"):
        path.chmod(mode)
    assert cache.read("kind/entry") is None
    assert cache.find("kind/folder") is None


def test_links_and_pipes_are_not_trusted(home, tmp_path):
    cache.write("kind/entry", b"data")
    (home / "kind" / "entry").rename(tmp_path / "entry")
    (home / "kind" / "entry").symlink_to(tmp_path / "entry")
    assert cache.read("kind/entry") is None
    (home / "kind" / "entry").unlink()
    os.mkfifo(home / "kind" / "entry")
    assert cache.read("kind/entry") is None


@ROOT
def test_what_belongs_to_others_is_not_trusted(home, tmp_path):
    cache.write("kind/entry", b"data")
    folder = cache.store(make_folder(tmp_path / "made", program="run"), "kind/folder", ["program"])
    os.chown(home / "kind" / "entry", 12345, 12345)
    assert cache.read("kind/entry") is None
    os.chown(folder, 12345, 12345)
    assert cache.find("kind/folder") is None
    os.chown(home, 12345, 12345)
    assert places.trouble(home) == "it belongs to another user"
    assert places.clear()[1] == [f"{home} stays: it belongs to another user"]
    assert (home / "kind" / "entry").exists()


def test_a_folder_open_to_others_is_closed_and_one_that_others_can_replace_not_used(home, monkeypatch):
    home.mkdir(parents=True)
    home.chmod(0o777)
    assert places.trouble(home) is None
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    home.parent.chmod(0o777)
    assert "everybody can replace it" in str(places.trouble(home))
    home.parent.chmod(0o1777)  # as /tmp is
    assert places.trouble(home) is None
    home.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # as on a file system that knows no permissions
    assert places.trouble(home) == "others can write to it"


def test_any_umask_leaves_entries_that_are_trusted(home, tmp_path):
    old = os.umask(0)
    try:
        cache.write("kind/entry", b"data")
        cache.store(make_folder(tmp_path / "made", program="run"), "kind/folder", ["program"])
    finally:
        os.umask(old)
    assert cache.read("kind/entry") == b"data"
    assert cache.find("kind/folder")


def test_a_full_disk_is_told_or_done_without_and_leaves_nothing_half(home, tmp_path):
    source = make_folder(tmp_path / "made", program="x" * 5000)
    with full(1000):
        assert not cache.write("kind/entry", bytes(5000))
        with pytest.raises(CacheError, match=rf"^{home}/kind/folder cannot be written: .*large.*: make room there, or set XDG"):
            cache.store(source, "kind/folder", ["program"])
    assert cache.read("kind/entry") is None
    assert cache.find("kind/folder") is None
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["lock"]
    assert cache.find(cache.store(source, "kind/folder", ["program"]).relative_to(home).as_posix())


def test_room_and_programs_are_asked_for(home, monkeypatch):
    assert "MB free, and 1000000000000 are needed" in str(places.trouble(home, room=10**18))
    system = os.statvfs("/")
    noexec = os.statvfs_result([*system[:8], system.f_flag | os.ST_NOEXEC, system.f_namemax])
    monkeypatch.setattr(os, "statvfs", lambda _: noexec)
    assert places.trouble(home) is None
    assert places.trouble(home, programs=True) == "no program may run there (noexec)"


def test_make_is_given_no_path_that_it_does_not_take(home, monkeypatch, tmp_path):
    for name in ("my cache", "a$b", "c#d", "e:f"):
        only_cache(monkeypatch, tmp_path / name)
        with pytest.raises(CacheError, match=r"make takes no path with spaces or signs such as \$ \(.*\): set TMPDIR to a folder without"):
            with places.work():
                pass
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with places.work() as folder:
            assert folder.is_relative_to(tmp_path / f"backpulse-{os.geteuid()}")
    only_cache(monkeypatch, tmp_path / "Bücher")
    with places.work() as folder:
        assert "Bücher" in folder.parts


def test_what_killed_commands_left_is_removed_and_what_others_work_in_not(home):
    with places.work() as held:
        (held / "file").touch()
        killed = held.parent / "killed"
        killed.mkdir()
        (killed / "lock").touch()
        half = home / "kind" / ".backpulse-half"
        half.parent.mkdir()
        half.touch()
        os.utime(half, (0, 0))
        with places.work() as mine:
            assert sorted(mine.parent.iterdir()) == sorted([mine, held, held.parent / "lock"])
        places.clear()
        assert (held / "file").exists()
        half.parent.mkdir()
        half.touch()
        os.utime(half, (0, 0))
        cache.write("kind/entry", b"data")
        assert not half.exists()
    assert not held.exists()


def test_of_two_makers_one_waits_and_says_so(tmp_path):
    told, entered = threading.Event(), threading.Event()

    def second():
        with places.lock(tmp_path / "lock", told.set):
            entered.set()

    thread = threading.Thread(target=second)
    with places.lock(tmp_path / "lock"):
        thread.start()
        assert told.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_what_tools_keep_is_looked_at_before_each_use(home):
    with cache.shared("tools") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "code").write_bytes(b"code")
    with cache.shared("tools") as folder:
        assert (folder / "deep" / "code").exists()
    for damaged in damages(b"code"):
        (folder / "deep" / "code").write_bytes(damaged)
        (folder / "planted").write_bytes(b"code")
        with cache.shared("tools"):
            assert not (folder / "deep" / "code").exists()
            assert not (folder / "planted").exists()
            (folder / "deep" / "code").write_bytes(b"code")
    seal = (folder / "seal").read_bytes()
    for damaged in damages(seal):
        (folder / "seal").write_bytes(damaged)
        with cache.shared("tools"):
            assert not (folder / "deep" / "code").exists()
            (folder / "deep" / "code").write_bytes(b"code")


def test_of_two_that_share_a_new_folder_the_second_waits_and_finds_it_filled(home):
    filled = []

    def second():
        with cache.shared("tools") as folder:
            filled.append((folder / "code").exists())

    thread = threading.Thread(target=second)
    with cache.shared("tools") as folder:
        thread.start()
        (folder / "code").write_bytes(b"code")
        thread.join(0.3)
        assert not filled
    thread.join(10)
    assert filled == [True]
    with cache.shared("tools"):  # now both may have it
        second()
    assert filled == [True, True]


def test_clear_empties_all_places_and_counts(home, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    cache.write("kind/entry", bytes(1000))
    second = places.places()[1]
    second.mkdir()
    (second / "old-version.lock").write_bytes(bytes(500))
    (second / "link").symlink_to(tmp_path)
    freed, stays = places.clear()
    assert freed >= 1500
    assert not stays
    assert not list(home.iterdir())
    assert not list(second.iterdir())
    assert tmp_path.exists()
