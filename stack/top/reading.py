"""Reads the metrics of processes over HTTP."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from stack.answers import Json
from stack.errors import StackError
from stack.top.samples import Scrape, Span

_SECONDS = 5.0
_AT_ONCE = 32
_PATH = "/metrics"


@dataclass(frozen=True, slots=True)
class Process:
    """One whose metrics are read.

    Attributes:
        name: ``generation``, ``generation-2``, ...; or its address, where nobody knows a name.
        url: of its metrics.
    """

    name: str
    url: str


def processes_of(state: Json) -> list[Process]:
    """Those of a stack on this machine; its servers, which are not ours, have no such metrics."""
    return [
        Process(name if index == 0 else f"{name}-{index + 1}", f"http://{entry['admin']}{_PATH}")
        for name, replicas in state["services"].items()
        for index, entry in enumerate(replicas)
        if "admin" in entry
    ]


def processes_at(addresses: Iterable[str]) -> list[Process]:
    """Those of metrics' addresses: ``host:port``, or a URL, whose path is /metrics when it has none.

    Raises:
        StackError: one is no address.
    """
    found = []
    for text in addresses:
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if not fits:
            raise StackError(
                f"--metrics {text}: no address", "write e.g. 127.0.0.1:9100 or http://gateway:9100/metrics"
            )
        path = parts.path if parts.path.strip("/") else _PATH
        found.append(Process(parts.netloc.rpartition("@")[2], parts._replace(path=path).geturl()))
    return found


class Reader:
    """Reads all processes at once, again and again.

    Args:
        processes: whose metrics; may be changed between two readings.
        wanted: beginnings of the names that count.
        window: seconds; what is told is of that time, as soon as so much has passed.
        clock: seconds, only going forward.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        wanted: Iterable[str],
        window: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.processes = processes
        self._wanted = tuple(dict.fromkeys(wanted))
        self._window = window
        self._clock = clock
        self._kept: dict[str, deque[Scrape]] = {}

    async def read(self) -> list[Span | None]:
        """What happened in each process, in their order; None: it does not answer."""
        limits = httpx.Limits(max_connections=_AT_ONCE)
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, limits=limits) as http:
            scrapes = await asyncio.gather(*(self._scrape(http, process.url) for process in self.processes))
        names = {process.name for process in self.processes}
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}
        return [self._span(process.name, scrape) for process, scrape in zip(self.processes, scrapes, strict=True)]

    def _span(self, name: str, scrape: Scrape | None) -> Span | None:
        if scrape is None:
            self._kept.pop(name, None)  # who comes back is another process
            return None
        kept = self._kept.setdefault(name, deque())
        while len(kept) > 1 and scrape.at - kept[1].at >= self._window:
            kept.popleft()
        span = Span(kept[0] if kept else None, scrape)
        kept.append(scrape)
        return span

    async def _scrape(self, http: httpx.AsyncClient, url: str) -> Scrape | None:
        try:
            response = await http.get(url, headers={"accept": "text/plain"})
            if response.status_code != httpx.codes.OK:
                return None
            return Scrape.of(response.text, self._clock(), self._wanted)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
