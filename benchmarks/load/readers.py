"""Many readers of streams, each of which must get all of its events."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.faults.world import World

_WATCH_SECONDS = 330.0  # a reply may be written for 290
_TAIL = 64
_WORD = re.compile(rb"word\d")
_PLACE = re.compile(rb"\nid: ([0-9a-f]{32})\.")


@dataclass(slots=True)
class Streams:
    """What readers saw.

    Attributes:
        open: how many are open now.
        most: how many were at once.
        ended: how many streams came to their end.
        events: in all.
        wrong: sentences on those that did not get everything.
        refused: answers other than 200, by status.
    """

    open: int = 0
    most: int = 0
    ended: int = 0
    events: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


class Watcher(asyncio.Protocol):
    """One stream; counts words and events as they come."""

    def __init__(self, request: bytes, streams: Streams, opened: Callable[[], None]) -> None:
        self._opened = opened
        self._request = request
        self._streams = streams
        self._tail = b""
        self._transport: Any = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = 0
        self.words = 0
        self.complete = False
        self.failed = b""
        self.message = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        self._transport = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Counts; a word that is cut in two by the connection counts once."""
        if not self.status:
            self.status = int(data[9:12])
            if self.status == 200:
                self._streams.open += 1
                self._streams.most = max(self._streams.most, self._streams.open)
                self._opened()
        tail = self._tail
        joined = tail + data
        self.words += len(_WORD.findall(joined)) - len(_WORD.findall(tail))
        self._streams.events += joined.count(b"\ndata: ") - tail.count(b"\ndata: ")
        self.complete = self.complete or b"event: complete" in joined
        if (at := joined.find(b"event: failed\ndata: ")) >= 0:
            self.failed = joined[at + 20 :].partition(b"\n")[0]
        if not self.message and (place := _PLACE.search(joined)):
            self.message = str(uuid.UUID(place[1].decode()))
        self._tail = joined[-_TAIL:]
        if joined.endswith(b"0\r\n\r\n") or self.status != 200:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if self.status == 200:
            self._streams.open -= 1
        if not self.ended.done():
            self.ended.set_result(None)


class Crowd:
    """A number of open streams: groups of readers, each group of one reply that is written for it.

    Args:
        world: its client's conversations are watched.
        port: the gateway's.
        readers: how many in all.
        groups: how many replies at once.
        words: a reader sees of a reply, its end included.

    Attributes:
        streams: what readers saw.
        open: set when all were open at once.
    """

    def __init__(self, world: World, port: int, readers: int, groups: int, words: int) -> None:
        self.streams = Streams()
        self.open = asyncio.Event()
        self._readers = readers
        self._world = world
        self._port = port
        self._per_group = max(1, readers // groups)
        self._groups = groups
        self._words = words

    async def run(self) -> None:
        """Begins all the replies, and waits until the last has been read to its end."""
        await asyncio.gather(*(self._group(number) for number in range(self._groups)))

    def _opened(self) -> None:
        if self.streams.open >= self._readers:
            self.open.set()

    async def _group(self, number: int) -> None:
        await asyncio.sleep(number * 0.1)  # not all in one moment
        await self._reply()

    async def _reply(self) -> None:
        world = self._world
        conversation_id = await world.conversation()
        path = f"/api/conversations/{conversation_id}/messages-stream?content=Hello&request_id={uuid.uuid4().hex}"
        first = await self._begun(path)
        watch = f"/api/conversations/{conversation_id}/messages/{first.message}/events"
        try:
            async with asyncio.timeout(_WATCH_SECONDS):
                others = await asyncio.gather(*(self._watched(watch) for _ in range(self._per_group - 1)))
                await first.ended
        except TimeoutError:
            self.streams.wrong.append("a reply was not read to its end in time")
            return
        for watcher in (first, *others):
            self.streams.ended += 1
            if watcher.status == 200 and (not watcher.complete or watcher.words != self._words):
                said = watcher.failed.decode(errors="replace") or ("complete" if watcher.complete else "nothing")
                self.streams.wrong.append(f"a reader got {watcher.words} of {self._words} words; the end: {said}")
            elif watcher.status != 200:
                self.streams.refused[watcher.status] += 1

    async def _begun(self, path: str) -> Watcher:
        """A reply's first reader, as soon as the reply has a place in the log; refused ones come back."""
        while True:
            first = await self._connect(path)
            while not first.message and not first.ended.done():  # noqa: ASYNC110 - it may come, or end, in any read
                await asyncio.sleep(0.05)
            if first.message:
                return first
            self.streams.refused[first.status] += 1
            await asyncio.sleep(1.0)

    async def _watched(self, path: str) -> Watcher:
        """A watcher that has come back as long as it was refused, as browsers do."""
        while True:
            watcher = await self._connect(path)
            await watcher.ended
            if watcher.status == 200 and b'"retryable":true' not in watcher.failed:
                return watcher
            self.streams.refused[watcher.status] += 1
            await asyncio.sleep(1.0)

    async def _connect(self, path: str) -> Watcher:
        token = self._world.client.token
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        loop = asyncio.get_running_loop()
        made = partial(Watcher, request, self.streams, self._opened)
        _, watcher = await loop.create_connection(made, "127.0.0.1", self._port)
        return watcher
