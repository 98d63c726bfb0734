"""The live page in Chromium: it moves with the run, stops it, serves several viewers and nobody else, and needs nothing of the network."""

import http.client
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import backpulse as bp
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.registers import Fault, State
from backpulse.host.errors import AbortedError
from backpulse.host.saved import saver as saver_module
from backpulse.host.saved.folder import read_run
from backpulse.host.saved.saver import RunSaver
from backpulse.host.settings import Settings
from backpulse.host.training import Event, Trainer
from backpulse.host.urls import board_config, open_board

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("bokeh")
Document = importlib.import_module("bokeh.document").Document
LivePage = importlib.import_module("backpulse.host.saved.live_page").LivePage
WatchedRun = importlib.import_module("backpulse.host.saved.watched").WatchedRun

CHROMIUM = shutil.which("chromium")
SMALL = ("--dataset", "iris", "--layers", "4-3", "--tile", "16x8")
SETTINGS = Settings(layers="4-3", dataset="iris")
CONFIG = board_config(SETTINGS.network, SETTINGS.device_model, tile="16x8")
"""That of the first tutorial, whose board other tests build too."""
COMMAND = [sys.executable, "-m", "backpulse.host"]
PATIENCE_S = 240
SHOWN = """name => { const plot = Bokeh.documents[0].get_model_by_name(name);
  return plot.renderers.map(r => Array.from(r.data_source.data.y ?? r.data_source.data.image ?? [], v => v.length ? Array.from(v) : v)) }"""
"""What the renderers of a picture show."""
COUNT = "Bokeh.documents[0].get_model_by_name('accuracy').renderers[1].data_source.data.y.length"
MORE_MB = 12
"""What 150 epochs more may take of a server's memory, and of a page's."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        if os.environ.get("CHROMIUM") == "required":  # .ci/run has installed it
            pytest.fail("there is no chromium")
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        # Chromium has no sandbox for root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else [])
        yield browser
        browser.close()


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return found


def address(process: subprocess.Popen[str], said: Path) -> str:
    """Return the address that a command tells, whose words go into a file: a pipe that nobody reads stops it when it is full."""

    def told() -> str | None:
        found = re.search(r"Live page: (http://127\.0\.0\.1:\d+/[\w-]{20,}/)$", said.read_text(), re.MULTILINE)
        assert found or process.poll() is None, said.read_text()
        return found and found[1]

    return until(told, "no address")


def answer(url: str, path: str | None = None, **headers: str) -> int:
    """Return the status of a request that says what it likes of itself."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", parts.path if path is None else path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def epochs(page: Any) -> int:
    """Return how many epochs the curve of accuracy has."""
    return page.evaluate(COUNT)


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """A browser whose pages do not outlive the test: each would go on asking, and drawing, behind the others."""
    yield chromium
    for context in chromium.contexts:
        context.close()


def opened(browser: Any, url: str, requests: list[str] | None = None, width: int = 1280) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(1000 * PATIENCE_S)
    if requests is not None:
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
    page.goto(url)
    page.get_by_role("button", name="HALT").wait_for()
    return page


def test_a_run_on_the_rtl_is_watched_and_aborted(browser, tmp_path):
    command = [*COMMAND, "train", *SMALL, "--board", "sim://", "--epochs", "100000", "--save", "run", "--live"]
    said = tmp_path / "said"
    with said.open("w") as out, subprocess.Popen(command, cwd=tmp_path, stderr=out, text=True) as process:
        try:
            url = address(process, said)
            requests: list[str] = []
            page = opened(browser, url, requests)
            until(lambda: epochs(page) >= 2, "no curve")
            begun, cells = epochs(page), page.evaluate(SHOWN, "array")
            until(lambda: epochs(page) > begun and page.evaluate(SHOWN, "array") != cells, "nothing moves")
            until(lambda: len(page.evaluate(SHOWN, "loss")[0]) > begun, "no reference")
            assert page.get_by_text(re.compile(r"epoch \d+ of 100000, \w+")).count() == 1
            assert page.get_by_text("The pulses of single cells are not known here").is_visible()
            assert page.get_by_text("Shown is how far the cells have moved in all").is_visible()
            assert sum(page.evaluate(SHOWN, "rows")[0]) > 0
            assert page.get_by_role("row", name=re.compile("round trip .* ms")).is_visible()
            # A second viewer, on a telephone, and reloading.
            other = opened(browser, url, width=390)
            assert other.evaluate("document.documentElement.scrollWidth") == 390
            assert epochs(other) >= begun
            page.reload()
            page.get_by_role("button", name="HALT").wait_for()
            until(lambda: epochs(page) > begun, "nothing moves after a reload")
            # It asks before it stops anything.
            page.get_by_role("button", name="HALT").click()
            page.get_by_text("Halt the run?").wait_for()
            page.get_by_role("button", name="No").click()
            page.get_by_text("Halt the run?").wait_for(state="hidden")
            assert not other.get_by_text("Halt the run?").is_visible()
            assert process.poll() is None
            # Nobody else, and nothing from elsewhere.
            host = urlsplit(url).netloc
            assert answer(url) == 200
            assert answer(url, "/") == 404
            assert answer(url, path="/wrong" + urlsplit(url).path[6:]) == 404
            assert answer(url, Host="rebound.example") == 403
            assert answer(url, Host="localhost:" + host.partition(":")[2]) == 403
            for path in (None, urlsplit(url).path + "ws"):
                upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "YQ=="}
                assert answer(url, path, Origin="http://evil.example", **upgrade) == 403
            assert requests
            assert all(urlsplit(request).netloc == host or request.startswith("data:") for request in requests)
            page.get_by_role("button", name="ABORT").click()
            page.get_by_text("Abort the run?").wait_for()
            page.get_by_role("button", name="Yes").click()
            page.get_by_text(re.compile("Fault: failed: The run was aborted by somebody who watched it")).wait_for()
            process.wait(PATIENCE_S)
        finally:
            process.terminate()
        assert process.wait() == 1
    assert "Error: The run was aborted by somebody who watched it: go on from the last checkpoint" in said.read_text()
    assert read_run(tmp_path / "run").state.startswith("failed: The run was aborted")


@pytest.mark.parametrize("url", ["golden://", "sim://"])
def test_abort_switches_the_drivers_of_a_board_off(url):
    """In the middle of a run, and at once: the board rests in the fault that says so."""

    def watch(event: Event) -> None:
        if event.phase == "train" and event.progress and event.progress.done:
            raise AbortedError("enough")

    with open_board(url, config=CONFIG) as board:
        trainer = Trainer(board, SETTINGS, 1000, watch=watch)
        with pytest.raises(AbortedError):
            trainer.run()
        state, fault, *_ = board.status()
        assert (state, fault) == (State.FAULT, Fault.ABORTED)


def test_a_page_of_two_hundred_epochs_keeps_its_size(browser, tmp_path, monkeypatch):
    """Each epoch is shown; memory after 50 and after 200 of them, of server and page."""
    fast = "from backpulse.host.saved import live, live_page; live.LOOK_MS = live_page.LOOK_MS = 50; live.main()"
    sizes = []
    monkeypatch.setattr(saver_module, "SAVE_S", 0.0)
    with open_board("golden://", config=CONFIG) as board, RunSaver(tmp_path / "run", (), "golden://", ["backpulse"]) as saver:
        page: Any = None

        def watch(event: Event) -> None:
            saver(event)
            if event.phase == "epoch":
                until(lambda: epochs(page) == event.position.epoch, "the page lags behind")
                if event.position.epoch in (50, 200):
                    sizes.append((resident_mb(server.pid), heap_mb(page)))

        trainer = Trainer(board, SETTINGS, 200, watch=watch)
        saver.begin(trainer)
        command = [sys.executable, "-c", fast, str(tmp_path / "run")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin
            assert server.stdout
            page = opened(browser, server.stdout.readline().strip())
            assert trainer.run()
            server.stdin.close()  # as when the run's process ends, however it does
            assert server.wait(PATIENCE_S) == 0
    (server_then, page_then), (server_now, page_now) = sizes
    assert server_now < server_then + MORE_MB
    assert page_now < page_then + MORE_MB


def resident_mb(process: int) -> float:
    """Return the memory of a process."""
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def heap_mb(page: Any) -> float:
    """Return what a page holds after its garbage is collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used / 2**20


def test_a_run_that_has_ended_is_watched_without_stopping_it(browser, backpulse, tmp_path):
    assert backpulse("train", *SMALL, "--epochs", "3", "--save", "run", "--keep", "trace")[0] == 0
    said = tmp_path / "said"
    with said.open("w") as out, subprocess.Popen([*COMMAND, "watch", "run"], cwd=tmp_path, stderr=out, text=True) as server:
        try:
            page = opened(browser, address(server, said))
            assert epochs(page) == 3
            page.get_by_text(re.compile(r"^complete; test accuracy [\d.]+ % after epoch 3")).wait_for()
            assert page.get_by_role("button", name="HALT").is_disabled()
            assert page.get_by_role("button", name="ABORT").is_disabled()
        finally:
            server.terminate()
        assert server.wait(PATIENCE_S) == 143


@pytest.mark.parametrize("keep", [(), ("pulses",)])
def test_where_nothing_tells_pulses_the_page_shows_what_has_moved(tmp_path, keep):
    run = bp.train(SETTINGS, tile="8x4", epochs=2, save=tmp_path / "run", keep=keep)
    page = Document()
    LivePage(page, WatchedRun(tmp_path / "run"))
    plot, told = page.get_model_by_name("rows"), page.get_model_by_name("unknown")
    assert plot.visible
    heights = np.array(plot.renderers[0].data_source.data["y"])
    saved = read_run(tmp_path / "run")
    if keep:
        assert (plot.title.text, told.text) == ("Pulses a row", "")
        assert heights.sum() == run.result["pulses_up"] + run.result["pulses_down"]
    else:
        assert plot.title.text == "Change of the cells, device units, a row"
        assert "not known here" in told.text
        assert heights.tolist() == (np.abs(saved.after.astype(int) - saved.before).sum(axis=1) / (1 << 14)).tolist()


def test_cells_that_nobody_reads_are_not_drawn_as_unmoved(tmp_path):
    bp.train(SETTINGS, tile="8x4", epochs=1, save=tmp_path / "run")
    with np.load(tmp_path / "run" / "array.npz") as file:
        before = file["before"]
    np.savez(tmp_path / "run" / "array.npz", before=before, after=before)
    page = Document()
    LivePage(page, WatchedRun(tmp_path / "run"))
    assert not page.get_model_by_name("rows").visible
    assert "Its cells are not read before the end, either." in page.get_model_by_name("unknown").text


def test_what_cannot_be_watched_is_told(backpulse, monkeypatch, tmp_path):
    code, _, err = backpulse("watch", "nothing")
    assert code == 2
    assert "There is no folder nothing: give that of a run" in err
    monkeypatch.setitem(sys.modules, "bokeh.server", None)
    code, _, err = backpulse("train", *SMALL, "--live")
    assert code == 2
    assert install("live") in " ".join(err.split())
