"""Carries what all producers of a process append to Redis: one pipeline after the other, never one per event."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Counter, Gauge

from mesh.errors import Unavailable
from mesh.streamlog.producer import Producer
from mesh.streamlog.redis_log import Append, RedisLog
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY

log = get_logger(__name__)

PAUSE_SECONDS = 0.003
MOST_PAUSE_SECONDS = 0.01
"""Between two pipelines, while another process follows one of the logs in them, and while none does."""
_BACKOFF_SECONDS = (0.05, 1.0)
_KEEP_SECONDS = 600.0
_MOST_ENTRIES = 5_000  # of one pipeline, which Redis must take within its time

APPENDED = Counter("gaji_log_entries", "Entries of logs that Redis has taken.", registry=REGISTRY)
FENCED = Counter("gaji_log_fenced", "Producers that have lost their log to a later epoch.", registry=REGISTRY)
PRODUCERS = Gauge("gaji_log_producers", "Logs that this process writes.", registry=REGISTRY)
DOWN = Gauge("gaji_log_down", "1 while Redis does not take entries.", registry=REGISTRY)


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
        self._work = asyncio.Event()
        self._beat_now = False
        self._followed = False

    def add(self, producer: Producer[Any], now: float) -> None:
        """Takes care of a producer until it is done."""
        producer.renewed = now
        self._producers[producer] = now
        PRODUCERS.set(len(self._producers))
        self.wake()

    def wake(self) -> None:
        """There is something new."""
        self._work.set()

    def renew_all(self) -> None:
        """Renews every lease now: somebody may have taken a log."""
        self._beat_now = True
        self.wake()

    async def run(self) -> None:
        """Runs until cancelled."""
        delay, most = _BACKOFF_SECONDS
        while True:
            self._work.clear()
            try:
                sent = await self._send()
                DOWN.set(0)
                delay = _BACKOFF_SECONDS[0]
            except Unavailable as error:
                DOWN.set(1)
                log.warning("the log takes no entries", extra={"error": repr(error.__cause__), "again_in": delay})
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
                delay = min(2 * delay, most)
                self._work.set()
                continue
            except Exception:  # the logs of all other replies must go on
                log.exception("the replication of logs failed")
                await asyncio.sleep(most)
                self._work.set()
                continue
            finally:
                self._drop()
            if sent:
                await asyncio.sleep(PAUSE_SECONDS if self._followed else MOST_PAUSE_SECONDS)
            try:
                # Without producers there is no lease to renew: `add` wakes.
                async with asyncio.timeout(self._beat / 4 if self._producers else None):
                    await self._work.wait()
            except TimeoutError:
                pass

    async def _send(self) -> bool:
        now = asyncio.get_running_loop().time()
        beating, self._beat_now = self._beat_now, False
        due = [
            producer
            for producer in self._producers
            if producer.dirty or (not producer.closed and (beating or now - producer.renewed >= self._beat))
        ]
        for batch in _batches([(producer, producer.next_append()) for producer in due]):
            answers = await self._log.append([append for _, append in batch])
            for (producer, sent), answer in zip(batch, answers, strict=True):
                producer.answered(sent, answer, now)
                if producer.fenced.is_set():
                    FENCED.inc()
                elif answer is not None and answer.word == b"ok":
                    APPENDED.inc(len(sent.entries))
                if producer.dirty:
                    self._work.set()
        self._followed = any(producer.followed for producer in due)
        return bool(due)

    def _drop(self) -> None:
        now = asyncio.get_running_loop().time()
        for producer, since in list(self._producers.items()):
            over = producer.closed or producer.ended
            kept_long = over and now - max(since, producer.renewed) > _KEEP_SECONDS
            if producer.fenced.is_set() or (over and not producer.dirty) or kept_long:
                del self._producers[producer]
                self._gone(producer)
        PRODUCERS.set(len(self._producers))


def _batches(work: list[tuple[Producer[Any], Append[Any]]]) -> Iterator[list[tuple[Producer[Any], Append[Any]]]]:
    """The work in pipelines of a bounded number of entries."""
    batch: list[tuple[Producer[Any], Append[Any]]] = []
    entries = 0
    for producer, append in work:
        if batch and entries + len(append.entries) > _MOST_ENTRIES:
            yield batch
            batch, entries = [], 0
        batch.append((producer, append))
        entries += len(append.entries) + 1
    if batch:
        yield batch
