"""Sends requests at a rate, whatever comes back, over kept connections: raw HTTP/1.1, one request at a time on each."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

_TICK_SECONDS = 0.002
_MOST_CONNECTIONS = 1_000
_ANSWER_SECONDS = 15.0
_KEPT_SECONDS = 20.0


@dataclass(slots=True)
class Answers:
    """What came back.

    Attributes:
        times: seconds of each answer that says yes, from when its request was due, by class.
        shed_times: the same of those that were refused.
        shed: answers 503 and 429.
        curt: of them, those that do not say when to come back.
        others: any other, by status; 0: none came, -1: there was no connection left to ask on.
        cpu: the generator's own, as a part of one core.
    """

    offered: int = 0
    seconds: float = 0.0
    times: dict[str, list[float]] = field(default_factory=dict)
    shed_times: list[float] = field(default_factory=list)
    shed: Counter[int] = field(default_factory=Counter)
    curt: int = 0
    others: Counter[int] = field(default_factory=Counter)
    cpu: float = 0.0

    @property
    def good(self) -> list[float]:
        """The times of all that say yes."""
        return [seconds for times in self.times.values() for seconds in times]

    @property
    def goodput(self) -> float:
        """Of them, how many a second."""
        return sum(map(len, self.times.values())) / self.seconds if self.seconds else 0.0

    @property
    def shed_share(self) -> float:
        """The part of what was offered that was refused."""
        return sum(self.shed.values()) / self.offered if self.offered else 0.0

    def percentile(self, percent: float) -> float:
        """Of the times of all that say yes, in seconds; 0: there is none."""
        return percentile(self.good, percent)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, ready to be sent."""

    name: str
    request: bytes


class Connection(asyncio.Protocol):
    """A kept connection: one request, then its answer, then the next.

    Args:
        done: told of each answer: whose it is, the status (0: it broke), and whether it says when to come back.
    """

    def __init__(self, done: Callable[["Connection", int, bool], None]) -> None:
        self._done = done
        self._data = b""
        self._transport: Any = None
        self.asked: Question | None = None
        self.due, self.sent = 0.0, time.perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = transport

    def usable(self, now: float) -> bool:
        """Whether a request can be sent: a gateway may close a connection that has been silent for 30 s."""
        return self.asked is None and not self._transport.is_closing() and now - self.sent < _KEPT_SECONDS

    def ask(self, question: Question, due: float, now: float) -> None:
        """Sends a request that should have been sent at a time."""
        self.asked, self.due, self.sent = question, due, now
        self._transport.write(question.request)

    def data_received(self, data: bytes) -> None:
        """Some of the answer."""
        data = self._data = self._data + data if self._data else data
        at = data.find(b"\r\n\r\n")
        if at < 0:
            return
        begin = data.find(b"content-length: ", 0, at) + 16
        length = int(data[begin : data.find(b"\r", begin)]) if begin > 15 else 0
        if len(data) < at + 4 + length:
            return
        self._data = b""
        self._done(self, int(data[9:12]), b"retry-after: " in data[:at])

    def connection_lost(self, exc: Exception | None) -> None:
        """It ends; what was asked has no answer."""
        if self.asked is not None:
            self._done(self, 0, False)

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()


class Generator:
    """Puts load on one gateway.

    Args:
        port: the gateway's.
        questions: are asked in turn from a shuffled deck.
        seed: of what is left to chance.
    """

    def __init__(self, port: int, questions: Sequence[Question], seed: int = 1) -> None:
        self.port = port
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated
        self._questions = list(questions)
        self._chance.shuffle(self._questions)
        self._turn = 0
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._opening = 0
        self._answers = Answers()

    async def run(self, rate: float, seconds: float) -> Answers:
        """So many requests a second, at random moments, for so long; waits for the last answers.

        Times are taken from the moment in which a request is due, not sent: a generator that is held up itself makes
        nothing look better than it is.
        """
        answers = self._answers = Answers(seconds=seconds)
        clock, loop = time.perf_counter, asyncio.get_running_loop()
        cpu, began = time.process_time(), clock()
        due = began + self._chance.expovariate(rate)
        waiting: list[tuple[Question, float]] = []
        while due < began + seconds:
            await asyncio.sleep(_TICK_SECONDS)
            now = clock()
            while due <= now and due < began + seconds:
                self._turn = (self._turn + 1) % len(self._questions)
                waiting.append((self._questions[self._turn], due))
                answers.offered += 1
                due += self._chance.expovariate(rate)
            waiting = self._ask(waiting, now, loop)
        end = clock() + _ANSWER_SECONDS
        while clock() < end and (waiting or any(connection.asked for connection in self._all)):
            await asyncio.sleep(_TICK_SECONDS)
            waiting = self._ask(waiting, clock(), loop)
        answers.others[-1] += len(waiting)
        answers.cpu = (time.process_time() - cpu) / (clock() - began)
        answers.others = +answers.others
        return answers

    def close(self) -> None:
        """Closes all connections."""
        for connection in self._all:
            connection.close()

    def _ask(
        self, waiting: list[tuple[Question, float]], now: float, loop: asyncio.AbstractEventLoop
    ) -> list[tuple[Question, float]]:
        """Sends what can be sent; returns the rest."""
        for at, (question, due) in enumerate(waiting):
            while self._idle and not self._idle[-1].usable(now):
                self._forget(self._idle.pop())
            if not self._idle:
                missing = min(len(waiting) - at - self._opening, _MOST_CONNECTIONS - len(self._all) - self._opening)
                for _ in range(missing):
                    self._opening += 1
                    loop.create_task(self._open()).add_done_callback(_looked_at)
                return waiting[at:]
            self._idle.pop().ask(question, due, now)
        return []

    async def _open(self) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self._done), "127.0.0.1", self.port
            )
            self._all.append(connection)
            self._idle.append(connection)
        finally:
            self._opening -= 1

    def _forget(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.remove(connection)
        connection.close()

    def _done(self, connection: Connection, status: int, says_when: bool) -> None:
        now, question, answers = time.perf_counter(), connection.asked, self._answers
        connection.asked = None
        if question is None:
            return
        if status == 200:
            answers.times.setdefault(question.name, []).append(now - connection.due)
        elif status in {503, 429}:
            answers.shed[status] += 1
            answers.curt += not says_when
            answers.shed_times.append(now - connection.due)
        else:
            answers.others[status] += 1
        if status:
            self._idle.append(connection)
        else:
            self._forget(connection)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed; 0: there are none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


def _looked_at(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()  # a connection that does not come about is tried again


def summed(runs: Sequence[Answers]) -> Answers:
    """Several runs as one."""
    total = Answers()
    for run in runs:
        total.offered += run.offered
        total.seconds += run.seconds
        for name, times in run.times.items():
            total.times.setdefault(name, []).extend(times)
        total.shed_times += run.shed_times
        total.shed += run.shed
        total.curt += run.curt
        total.others += run.others
        total.cpu += run.cpu * run.seconds
    total.cpu /= total.seconds or 1.0
    return total
