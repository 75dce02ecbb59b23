"""Readers who talk: each asks, reads the reply to its end, thinks a moment and asks again, on a connection of its own.

On a bare asyncio protocol, so that they cost little beside what they measure. A closed loop, as people are: who waits
for a reply asks nothing else meanwhile.
"""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import orjson

LATE_SECONDS = 15.0
"""A reply that has not ended so long after the last question was to be asked is given up."""
_STAMPS = re.compile(rb'"at ([\d.]+) ([\d.]+)')
_WORD = b" word"
_COMPLETE = b"event: complete"
_LONGEST_GAP_MS = 10_000
_END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a reader needs to say something."""

    path: str
    token: str


@dataclass(slots=True)
class Seen:
    """What readers saw while it was measured; times in seconds.

    Attributes:
        first: from a question to the first word of its reply.
        asked: from a question to the model's being asked.
        came: from the model's first word to the reader.
        gaps: milliseconds between what brought words of a reply, counted by the whole millisecond.
        words: in all.
        replies: that came to their end.
        errors: what came in the place of a reply, or of the rest of one.
    """

    first: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    gaps: list[int] = field(default_factory=lambda: [0] * (_LONGEST_GAP_MS + 1))
    words: int = 0
    replies: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def gap(self, seconds: float) -> None:
        """Notes one."""
        self.gaps[min(_LONGEST_GAP_MS, int(seconds * 1000))] += 1

    def gap_ms(self, percent: float) -> float:
        """The milliseconds that so many percent of the gaps do not exceed; 0: there is none."""
        left = sum(self.gaps) * percent / 100
        for milliseconds, count in enumerate(self.gaps):
            left -= count
            if left < 0:
                return float(milliseconds)
        return 0.0

    @property
    def error_share(self) -> float:
        """The part of the replies that were none."""
        wrong = sum(self.errors.values())
        return wrong / (wrong + self.replies) if wrong else 0.0


class Reader(asyncio.Protocol):
    """One reader.

    Args:
        crowd: whose it is.
        conversation: where it talks.
        number: of the reader; of the question that it asks first.
    """

    def __init__(self, crowd: "Crowd", conversation: Conversation, number: int) -> None:
        self._crowd = crowd
        self._conversation = conversation
        self._next = number
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.sent = self.last = 0.0
        self.waiting = self.busy = False
        self._status = 0
        self._tail = b""
        self._whole = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks, if that is why."""
        self._transport = transport  # type: ignore[assignment]  # TCP gives no other
        if self.busy:
            self._send()

    def ask(self) -> None:
        """Says the next thing, unless it is over."""
        if self._crowd.over:
            return
        self.busy, self._status, self._tail, self._whole = True, 0, b"", False
        if self._transport is None or self._transport.is_closing():
            self._crowd.connect(self)
        else:
            self._send()

    def _send(self) -> None:
        assert self._transport is not None
        content = self._crowd.questions[self._next % len(self._crowd.questions)]
        self._next += 1
        body = orjson.dumps({"content": content})
        self.sent, self.waiting = time.monotonic(), True
        self._transport.write(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nAccept: text/event-stream\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (self._conversation.path.encode(), self._conversation.token.encode(), len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        """Some of a reply."""
        now = time.monotonic()
        if not self._status:
            self._status = int(data[9:12])
        if not self._whole:
            self._words(data, now)
        self._tail = (self._tail + data)[-len(_COMPLETE) :]
        if self._status != 200:
            self._ended(f"status {self._status}", now)
        elif self._tail.endswith(_END):
            self._ended("" if self._whole else "not whole", now)

    def _words(self, data: bytes, now: float) -> None:
        seen = self._crowd.seen
        if (at := (self._tail + data).find(_COMPLETE)) >= 0:  # whose data has all the words again
            self._whole, data = True, data[: max(0, at - len(self._tail))]
        words = data.count(_WORD)
        if self.waiting and (stamps := _STAMPS.search(data)):
            self.waiting, words = False, words + 1
            if seen is not None:
                seen.first.append(now - self.sent)
                seen.asked.append(float(stamps[1]) - self.sent)
                seen.came.append(now - float(stamps[2]))
        elif words and seen is not None:
            seen.gap(now - self.last)
        if words:
            self.last = now
            if seen is not None:
                seen.words += words

    def _ended(self, error: str, now: float) -> None:
        self.busy = self.waiting = False
        crowd = self._crowd
        if crowd.seen is not None:
            crowd.seen.replies += not error
            if error:
                crowd.seen.errors[error] += 1
        if error and self._transport is not None:
            self._transport.abort()
        crowd.ended(self, pause=1.0 if error else None)

    def think(self, seconds: float) -> None:
        """Asks later."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.ask)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, maybe in the middle of a reply."""
        self._transport = None
        if self.busy and not self._crowd.closed:
            self._ended("connection lost", time.monotonic())

    def close(self) -> None:
        """Leaves."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()


class Crowd:
    """So many readers at once.

    Args:
        port: the gateway's.
        conversations: a reader for each.
        questions: that they ask in turn, each from another on.
        think: seconds between a reply's end and the next question, at least and at most; None: each asks once.

    Attributes:
        seen: what is seen is noted there; None: nothing is.
        over: whether nobody asks any more.
        closed: whether nobody reads any more.
    """

    def __init__(
        self,
        port: int,
        conversations: Sequence[Conversation],
        questions: Sequence[str],
        think: tuple[float, float] | None,
    ) -> None:
        self.questions = questions
        self.seen: Seen | None = None
        self.over = self.closed = False
        self._port = port
        self._think = think
        self._chance = random.Random(len(conversations))  # noqa: S311 - to be repeated
        self._readers = [Reader(self, each, number) for number, each in enumerate(conversations)]
        self._connecting: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()

    def begin(self, seconds: float) -> None:
        """Lets all of them come, evenly within so many seconds."""
        for number, reader in enumerate(self._readers):
            reader.think(seconds * number / len(self._readers))

    def mark(self) -> Seen:
        """Notes what is seen from now on."""
        self.seen = Seen()
        return self.seen

    def unmark(self) -> None:
        """Notes nothing any more; who waits now has waited at least so long, or what is slowest would not be seen."""
        seen, self.seen, now = self.seen, None, time.monotonic()
        if seen is None:
            return
        for reader in self._readers:
            if reader.busy and reader.waiting and now - reader.sent > 1.0:
                seen.first.append(now - reader.sent)
            elif reader.busy and not reader.waiting and now - reader.last > 1.0:
                seen.gap(now - reader.last)

    async def finish(self) -> None:
        """Asks nothing more, waits for the replies, and leaves."""
        self.over = True
        try:
            async with asyncio.timeout(LATE_SECONDS):
                while any(reader.busy for reader in self._readers):
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            pass
        self.closed = True
        for reader in self._readers:
            reader.close()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def connect(self, reader: Reader) -> None:
        """Opens a connection, which asks when it stands."""
        task = asyncio.get_running_loop().create_task(self._connect(reader))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, reader: Reader) -> None:
        reader.sent, reader.waiting = time.monotonic(), True
        try:
            async with asyncio.timeout(LATE_SECONDS):
                await asyncio.get_running_loop().create_connection(partial(_same, reader), "127.0.0.1", self._port)
        except OSError:  # a TimeoutError is one
            reader.connection_lost(None)

    def ended(self, reader: Reader, *, pause: float | None) -> None:
        """A reply has ended; its reader thinks, or waits for so long after an error."""
        self._quiet.set()
        if self.over or self._think is None:
            return
        reader.think(self._chance.uniform(*self._think) if pause is None else pause)


def _same(reader: Reader) -> Reader:
    return reader
