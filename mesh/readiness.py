"""``/ready`` and ``/live`` of the admin port: whether a process takes calls, and whether its event loop still turns.

Both ask the event loop, within two seconds, though the port has threads of its own: a loop that is stuck answers no
caller either. For probes of what runs the process (Kubernetes, Docker): those of Kubernetes can ask
``grpc.health.v1`` themselves, but not once servers want certificates.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Page = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_SECONDS = 2.0


class Readiness:
    """What a process answers probes. Made in its event loop.

    Attributes:
        serving: whether calls are welcome.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        """Counts a loop that does not answer for so many seconds as stuck."""
        self.serving = False
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds

    @property
    def pages(self) -> Mapping[str, Page]:
        """The pages by path, WSGI applications."""
        return {"/ready": self._ready, "/live": self._live}

    def _ready(self, _environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not self.serving:
            return _answer(start_response, "503 Service Unavailable", b"not serving\n")
        return self._live(_environ, start_response)

    def _live(self, _environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not self._turns():
            return _answer(start_response, "503 Service Unavailable", b"the event loop does not answer\n")
        return _answer(start_response, "200 OK", b"yes\n")

    def _turns(self) -> bool:
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # it is closed: the process ends
            return False
        return turned.wait(self._seconds)


def _answer(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
