"""Serves the live page of a run to browsers of this computer alone, and to none that does not know its address.

The address has a random token in its path. A request that names another host, or that another site's page has made, is refused whatever
it knows: no web site can stop a board, or read it. Nothing is loaded from anywhere else.
"""

import asyncio
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from bokeh.settings import settings as bokeh_settings
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest, ResponseStartLine
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.routing import AnyMatches, Matcher, Rule, RuleRouter

from backpulse.firmware_py.places import reason
from backpulse.host.errors import InputError
from backpulse.host.saved.live_page import LivePage
from backpulse.host.saved.watched import WatchedRun

ADDRESS = "127.0.0.1"
LOOK_MS = 250
"""Time between two looks at the folder."""
TOKEN_BYTES = 16
LAST_S = 1.5
"""Time in which pages that are open learn how a run ended, before their server ends with it."""
UNUSED_MS = 5000
"""Time after which what a closed page has used is given back."""
REFUSED = b"This page answers under its own address alone.\n"


class _Own(Matcher):
    """Matches requests that name this server, and that no other site's page has made."""

    def __init__(self, host: str) -> None:
        self._host, self._origin = host, f"http://{host}"

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Return nothing more to know, or None for what is refused."""
        headers = request.headers
        own = headers.get_list("Host") == [self._host] and headers.get("Origin", self._origin) == self._origin
        return {} if own else None


def _refuse(request: HTTPServerRequest) -> None:
    """Answer what is not for this server."""
    connection = request.connection
    if connection is not None:
        line = ResponseStartLine("HTTP/1.1", 403, "Forbidden")
        headers = type(request.headers)({"Content-Length": str(len(REFUSED)), "Content-Type": "text/plain"})
        connection.write_headers(line, headers, REFUSED)
        connection.finish()


def serve(folder: Path, port: int, tell: Callable[[str], None], *, until: threading.Event | None = None) -> None:
    """Serve the page of a run until the process is interrupted, or something is set.

    Parameters
    ----------
    folder : Path
        Of the run.
    port : int
        To listen at; 0: any that is free.
    tell : callable
        Called with the address when it answers.
    until : Event, optional
        Looked at four times a second; pages are served `LAST_S` longer.

    Raises
    ------
    InputError
        If it is no folder of a run, or the port is taken.
    """
    watched = WatchedRun(folder)
    bokeh_settings.resources = "server"  # whatever the environment says: nothing from the network
    asyncio.set_event_loop(asyncio.new_event_loop())
    loop = IOLoop.current()
    try:
        sockets, port = bind_sockets(ADDRESS, port)
    except OSError as error:
        raise InputError(f"Port {port} cannot be used: {reason(error)}: give another with --port, or none") from error
    host, token = f"{ADDRESS}:{port}", secrets.token_urlsafe(TOKEN_BYTES)
    application = Application(FunctionHandler(lambda document: _page(document, watched)))
    pages = BokehTornado(
        {"/": application},
        prefix=token,
        extra_websocket_origins=[host],
        check_unused_sessions_milliseconds=UNUSED_MS,
        unused_session_lifetime_milliseconds=UNUSED_MS,
    )
    http = HTTPServer(RuleRouter([Rule(_Own(host), pages), Rule(AnyMatches(), _refuse)]))
    http.add_sockets(sockets)
    server = BaseServer(loop, pages, http)
    server.start()
    watched.begin_reference()

    def look() -> None:
        watched.look()
        if until and until.is_set():
            loop.call_later(LAST_S, loop.stop)

    looking = PeriodicCallback(look, LOOK_MS)
    looking.start()
    tell(f"http://{host}/{token}/")
    try:
        loop.start()
    finally:
        looking.stop()
        server.stop(wait=False)
        http.stop()


def _page(document: object, watched: WatchedRun) -> None:
    LivePage(document, watched)  # type: ignore[arg-type] - Bokeh gives its Document


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the page in a process of its own while the body runs; give its address.

    Raises
    ------
    InputError
        If it cannot be served.
    """
    # A session of its own: Ctrl-C is the run's, which ends in order. It ends when this process does, however that ends. With -P no
    # folder of the user's stands in the place of ours.
    command = [sys.executable, "-P", "-m", "backpulse.host.saved.live", str(folder.absolute())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True) as child:
        assert child.stdin
        assert child.stdout
        try:
            address = child.stdout.readline().strip()
            if not address:
                raise InputError("The live page cannot be served: what its process has said stands above")
            yield address
        finally:
            with suppress(OSError):
                child.stdin.close()


def main() -> None:
    """Serve the page of the folder that is named, until the standard input ends."""
    ended = threading.Event()

    def hear() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=hear, daemon=True).start()
    serve(Path(sys.argv[1]), 0, lambda address: print(address, flush=True), until=ended)


if __name__ == "__main__":
    main()
