"""A reader of one reply: comes back like an EventSource, to whichever gateway is next, until the reply has ended."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

from benchmarks.faults.events import Blocks, Body, Event, Text

LONGEST_CUT = 20_000
"""Bytes after which a reader that cuts its connection has done so at the latest; a reply of 200 tokens has as many."""
_RETRY_MS = 2000
_CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 40.0  # the gateway sends a comment every 15 s
_ENDS = {"complete", "failed", "stopped"}
_turns = count()


@dataclass(slots=True)
class Resumption:
    """A reply taken over by another writer, as its reader saw it; times by the monotonic clock.

    Attributes:
        last: when the last token of the lost writer came.
        next: when the first of the new one came.
        connected: whether the reader's connection held from one to the other.
    """

    last: float
    next: float
    connected: bool


@dataclass(slots=True)
class Seen:
    """What a reader has seen of one reply.

    Attributes:
        text: as assembled.
        end: the event that ended it; None: it has none yet.
        first: when the first token came, by the monotonic clock.
        cuts: connections that the reader itself cut.
        breaks: connections that broke or ended without an end.
        resumes: connections that went on after a Last-Event-ID.
        refused: answers other than 200 and 204, by status.
        hiccups: events ``failed`` of the gateway's own, after which the stream went on.
        resumptions: where another writer took over.
    """

    text: Text = field(default_factory=Text)
    end: Event | None = None
    first: float | None = None
    cuts: int = 0
    breaks: int = 0
    resumes: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    hiccups: int = 0
    resumptions: list[Resumption] = field(default_factory=list)


class Reader:
    """Reads a reply to its end.

    Args:
        gateways: their URLs, taken in turn.
        path: of the stream, with its query.
        token: the access token.
        chance: decides on cuts and pauses.
        cutting: the probability that a connection is cut by its reader, at a random byte.
        silence: seconds without a byte after which its connection counts as lost.
    """

    def __init__(
        self,
        gateways: Sequence[str],
        path: str,
        token: str,
        chance: random.Random,
        cutting: float = 0.0,
        *,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self.seen = Seen()
        self._gateways = gateways
        self._path = path
        self._token = token
        self._chance = chance
        self._cutting = cutting
        self._silence = silence
        self._retry_ms = _RETRY_MS
        self._last_id = ""
        self._connection = 0
        self._token_at = (0, 0, 0.0)  # epoch, connection and time of the last token
        self._tokens = 0

    async def run(self, tokens: int = 0) -> Seen:
        """Reads to the end, or, where a number is given, leaves after so many tokens.

        Raises:
            RuntimeError: a gateway refuses the request for good.
        """
        self._tokens = tokens
        while not await self._connect():  # noqa: ASYNC110 - what it waits for is another connection
            # A reader honours `retry:` and never comes sooner; that not all come at once is the jitter's work.
            await asyncio.sleep(self._retry_ms / 1000 * self._chance.uniform(1.0, 1.5))
        return self.seen

    async def _connect(self) -> bool:
        """One connection; whether the reader is done."""
        for _ in self._gateways:
            url = urlsplit(self._gateways[next(_turns) % len(self._gateways)])
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(url.hostname, url.port)
                break
            except (OSError, TimeoutError):
                continue
        else:
            return False
        self._connection += 1
        budget = self._chance.randint(1, LONGEST_CUT) if self._chance.random() < self._cutting else None
        try:
            writer.write(self._request(url.netloc))
            return await self._read(reader, budget)
        except (OSError, EOFError, TimeoutError, ValueError):
            self.seen.breaks += 1
            return False
        finally:
            writer.transport.abort()

    def _request(self, host: str) -> bytes:
        lines = [
            f"GET {self._path} HTTP/1.1",
            f"Host: {host}",
            "Accept: text/event-stream",
            f"Authorization: Bearer {self._token}",
        ]
        if self._last_id:
            lines.append(f"Last-Event-ID: {self._last_id}")
            self.seen.resumes += 1
        else:
            self.seen.text.forget()
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _read(self, reader: asyncio.StreamReader, budget: int | None) -> bool:
        async with asyncio.timeout(self._silence):
            head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status == 204:  # a native EventSource stops here: it has had the end
            if self.seen.end is None:
                raise RuntimeError(f"{self._path}: 204 before an end, after {self._last_id!r}")
            return True
        if status != 200:
            await self._refused(reader, status)
            return False
        body, blocks = Body(), Blocks()
        had = len(head)
        while not body.ended:
            async with asyncio.timeout(self._silence):
                data = await reader.read(65536)
            if not data:
                raise EOFError
            if budget is not None and had + len(data) >= budget:
                data = data[: max(0, budget - had)]
                self.seen.cuts += 1
                return self._take(blocks.feed(body.feed(data)))
            had += len(data)
            if self._take(blocks.feed(body.feed(data))):
                return True
        self.seen.breaks += 1
        return False

    async def _refused(self, reader: asyncio.StreamReader, status: int) -> None:
        self.seen.refused[status] = self.seen.refused.get(status, 0) + 1
        if status not in {429, 502, 503, 504}:
            raise RuntimeError(f"{self._path}: {status} {(await reader.read(2000)).decode(errors='replace')}")

    def _take(self, events: list[Event]) -> bool:
        seen = self.seen
        for event in events:
            if event.retry_ms is not None:
                self._retry_ms = event.retry_ms
            self._last_id = event.id or self._last_id
            if event.name == "token":
                self._heard(event)
                self._tokens -= 1
            if event.data is not None:
                seen.text.take(event)
            if event.name == "failed" and not event.id and event.data.get("retryable"):
                seen.hiccups += 1  # the gateway's word on the connection, not the reply's end
            elif event.name in _ENDS:
                seen.end = event
                return True
            if self._tokens == 0 and event.name == "token":
                return True
        return False

    def _heard(self, event: Event) -> None:
        now = time.monotonic()
        self.seen.first = self.seen.first or now
        epoch = int(event.id.split(".")[1]) if event.id else 0
        before, connection, at = self._token_at
        if before and epoch > before:
            self.seen.resumptions.append(Resumption(at, now, connection == self._connection))
        self._token_at = (epoch, self._connection, now)
