"""The admin port of a process.

``/metrics`` for Prometheus, with exemplars where it asks for OpenMetrics; ``/health`` for whoever asks whether the
process lives; ``/logs`` for operators who want to hear more.
"""

import asyncio
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from mesh.telemetry.log_service import logs_page
from mesh.telemetry.metrics import LOOP_LAG, REGISTRY

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
App = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
MOST_LAG_SECONDS = 1.0
"""How long a scrape waits for a busy event loop."""
_END_SECONDS = 2.0


class _Server(ThreadingMixIn, WSGIServer):
    """Serves without waking while nobody asks: `serve_forever` would look ten times a second whether it shall stop."""

    daemon_threads = True
    _ending = False

    def serve(self) -> None:
        """Answers until `end`."""
        while not self._ending:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection is a request: the one by which `end` wakes the loop is none."""
        return not self._ending

    def end(self) -> None:
        """Ends `serve`."""
        self._ending = True
        with suppress(OSError), socket.create_connection(self.socket.getsockname(), timeout=_END_SECONDS):
            pass


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # a client that says nothing must not hold its thread for ever

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Scrapes are not worth a log line."""


@asynccontextmanager
async def open_admin(listen: str, pages: Mapping[str, App] | None = None) -> AsyncIterator[str]:
    """Serves in a thread of its own, so that a busy event loop can still be scraped; yields the address.

    Args:
        listen: ``host:port``; port 0: any free one.
        pages: what else is here, WSGI applications by path. They run in threads of their own.

    Raises:
        OSError: the port is taken.
    """
    host, _, port = listen.rpartition(":")
    metrics_app: App = make_wsgi_app(REGISTRY)
    all_pages = {"/logs": logs_page(), **(pages or {})}
    loop = asyncio.get_running_loop()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            LOOP_LAG.set(loop_lag(loop))
            return metrics_app(environ, start_response)
        if path in all_pages:
            return all_pages[path](environ, start_response)
        found = path == "/health"
        start_response("200 OK" if found else "404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"alive\n" if found else b"try /metrics or /health\n"]

    server = await asyncio.to_thread(make_server, host, int(port), app, _Server, _QuietHandler)
    thread = threading.Thread(target=server.serve, name="admin", daemon=True)
    thread.start()
    try:
        yield f"{host}:{server.server_port}"
    finally:
        await asyncio.to_thread(server.end)
        await asyncio.to_thread(thread.join, _END_SECONDS)
        server.server_close()


def loop_lag(loop: asyncio.AbstractEventLoop) -> float:
    """Seconds until an event loop comes to a callback, `MOST_LAG_SECONDS` at most; NaN: it does not run.

    Called from another thread. Asked at a scrape, so that nobody measures while nobody looks.
    """
    if not loop.is_running():
        return math.nan
    called = threading.Event()
    began = time.perf_counter()
    try:
        loop.call_soon_threadsafe(called.set)
    except RuntimeError:  # it was closed just now
        return math.nan
    called.wait(MOST_LAG_SECONDS)
    return min(time.perf_counter() - began, MOST_LAG_SECONDS)
