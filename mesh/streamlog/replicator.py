"""Carries what all producers of a process append to Redis: one pass after the other, never one per event."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Counter, Gauge

from mesh.errors import Unavailable
from mesh.streamlog.producer import MOST_ENTRIES, Producer
from mesh.streamlog.redis_log import Append, RedisLog
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY

log = get_logger(__name__)

URGENT_SECONDS = 0.003
"""Between two passes, which may be over those logs alone whose entries somebody waits for."""
LEAST_SECONDS, MOST_SECONDS = 0.01, 0.05
_LOG_SECONDS = 0.0005
"""Between two passes over all logs: so long for each that was written, since what a pass costs is much by then."""
_BACKOFF_SECONDS = (0.05, 1.0)
_REFUSED_SECONDS = 1.0
_KEEP_SECONDS = 600.0

APPENDED = Counter("gaji_log_entries", "Entries of logs that Redis has taken.", registry=REGISTRY)
FENCED = Counter("gaji_log_fenced", "Producers that have lost their log to a later epoch.", registry=REGISTRY)
PRODUCERS = Gauge("gaji_log_producers", "Logs that this process writes.", registry=REGISTRY)
DOWN = Gauge("gaji_log_down", "1 while Redis does not take entries.", registry=REGISTRY)


def pause_after(logs: int) -> float:
    """Seconds until the next pass over all logs, after one in which so many were written."""
    return min(MOST_SECONDS, max(LEAST_SECONDS, logs * _LOG_SECONDS))


class Replicator:
    """Sends what is new, renews leases, and tells producers that they are fenced or asked to stop.

    Args:
        log_: where it goes.
        lease_seconds: life of a lease; it is renewed three times as often.
        gone: called with each producer that is done: ended and stored, closed, or fenced.
    """

    def __init__(self, log_: RedisLog[Any], lease_seconds: float, gone: Callable[[Producer[Any]], None]) -> None:
        self._log = log_
        self._beat = lease_seconds / 3
        self._gone = gone
        self._producers: dict[Producer[Any], float] = {}
        self._calling: dict[Producer[Any], None] = {}
        self._refused: dict[Producer[Any], asyncio.TimerHandle] = {}
        self._called = asyncio.Event()
        self._all_at = self._look_at = 0.0

    def add(self, producer: Producer[Any], now: float) -> None:
        """Takes care of a producer until it is done."""
        producer.renewed = now
        self._producers[producer] = now
        PRODUCERS.set(len(self._producers))
        producer.call()

    def call(self, producer: Producer[Any]) -> None:
        """A producer has something new, or wants to know whether the log is still his."""
        if producer in self._producers and producer not in self._refused:
            self._calling[producer] = None
            if producer.urgent or len(self._calling) == 1:
                self._called.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        delay, most = _BACKOFF_SECONDS
        while True:
            try:
                if await self._pass() or not self._producers:
                    DOWN.set(0)
                    delay = _BACKOFF_SECONDS[0]
            except Unavailable as error:
                DOWN.set(1)
                self._all_at = 0.0
                log.warning("the log takes no entries", extra={"error": repr(error.__cause__), "again_in": delay})
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
                delay = min(2 * delay, most)
                continue
            except Exception:  # the logs of all other replies must go on
                log.exception("the replication of logs failed")
                await asyncio.sleep(most)
                continue
            await self._wait()

    async def _wait(self) -> None:
        """Until there is something to do, and never shorter than a little."""
        await asyncio.sleep(URGENT_SECONDS)
        seconds: float | None = None  # without producers there is no lease to renew: `add` calls
        if self._calling:
            seconds = self._all_at - asyncio.get_running_loop().time()
            if seconds <= 0 or any(producer.urgent for producer in self._calling):
                return
        elif self._producers:
            seconds = self._beat / 4
        self._called.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._called.wait()
        except TimeoutError:
            pass

    async def _pass(self) -> bool:
        """Sends what is due; whether there was something."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= self._look_at:
            self._look_at = now + self._beat / 4
            self._look(now)
        everything = now >= self._all_at
        due = [producer for producer in self._calling if everything or producer.urgent]
        for producer in due:
            self._drop_done(producer)
        sending = [(producer, producer.next_append()) for producer in due if producer in self._producers]
        if everything:
            self._all_at = now + pause_after(len(sending))
        for batch in _batches(sending):
            answers = await self._log.append([append for _, append in batch])
            for (producer, sent), answer in zip(batch, answers, strict=True):
                producer.answered(sent, answer, now)
                if producer.fenced.is_set():
                    FENCED.inc()
                elif answer is not None and answer.word == b"ok":
                    APPENDED.inc(len(sent.entries))
                if self._drop_done(producer):
                    continue
                if answer is None:  # Redis is well and does not take this log: not again at once
                    del self._calling[producer]
                    self._refused[producer] = loop.call_later(_REFUSED_SECONDS, self._again, producer)
                elif not producer.dirty and not producer.waiting:
                    del self._calling[producer]
        return bool(sending)

    def _again(self, producer: Producer[Any]) -> None:
        del self._refused[producer]
        self.call(producer)

    def _look(self, now: float) -> None:
        """Renews the leases whose time it is, and gives up on what Redis has not taken for long."""
        for producer, since in list(self._producers.items()):
            if (producer.closed or producer.ended) and now - max(since, producer.renewed) > _KEEP_SECONDS:
                self._drop(producer)
            elif not producer.closed and now - producer.renewed >= self._beat:
                producer.call()

    def _drop_done(self, producer: Producer[Any]) -> bool:
        done = producer.fenced.is_set() or ((producer.closed or producer.ended) and not producer.dirty)
        if done:
            self._drop(producer)
        return done

    def _drop(self, producer: Producer[Any]) -> None:
        del self._producers[producer]
        self._calling.pop(producer, None)
        if (timer := self._refused.pop(producer, None)) is not None:
            timer.cancel()
        PRODUCERS.set(len(self._producers))
        self._gone(producer)


def _batches(work: list[tuple[Producer[Any], Append[Any]]]) -> Iterator[list[tuple[Producer[Any], Append[Any]]]]:
    """The work in scripts of a bounded number of entries; a log counts as one more."""
    batch: list[tuple[Producer[Any], Append[Any]]] = []
    entries = 0
    for producer, append in work:
        if batch and entries + len(append.entries) >= MOST_ENTRIES:
            yield batch
            batch, entries = [], 0
        batch.append((producer, append))
        entries += len(append.entries) + 1
    if batch:
        yield batch
