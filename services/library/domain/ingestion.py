"""The driver that takes stored novels into search, and deleted ones out of it.

Each process runs one. A novel is leased, so that several drivers are safe, and a driver that dies is replaced when its
lease runs out; one that is stopped gives its novel back at once.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from mesh.errors import Cancelled, Internal, MeshError, ResourceExhausted, Unavailable, Unknown
from mesh.process import settle
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from services.library.domain.reads import Reads
from services.library.models import Failure, IngestionJob, IngestionSummary, Progress
from services.library.ports import IngestionStore, Notifications, Search

log = get_logger(__name__)

_LONGEST_BACKOFF = 30.0
# Each step is a write and a notification; a reader's eye needs no more than five a second.
_TELL_SECONDS = 0.2
_GIVE_BACK_SECONDS = 3.0
_ENDED = Counter("gaji_ingestions_total", "Attempts to ingest a novel, by outcome.", ["outcome"], registry=REGISTRY)
_SECONDS = Histogram(
    "gaji_ingestion_seconds",
    "From the claim of a novel to its being found.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 90, 120, 300, 600, 1800),
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How the driver goes about it.

    Attributes:
        lease_seconds: life of a lease; it is renewed three times as often.
        poll_seconds: how often to look for work that nobody told of.
        timeout: seconds that one attempt may take.
        attempts: how often a novel is tried while search is in trouble.
        backoff: seconds before the second attempt, doubled for each further one.
    """

    lease_seconds: float
    poll_seconds: float
    timeout: float
    attempts: int
    backoff: float

    def delay(self, attempt: int) -> float:
        """Seconds before the attempt after this one, with jitter."""
        longest = min(self.backoff * 2.0 ** min(attempt - 1, 16), _LONGEST_BACKOFF)
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter


class LeaseLostError(Exception):
    """The novel is another driver's, or gone."""


@asynccontextmanager
async def running(driver: "Driver") -> AsyncIterator[None]:
    """The driver works until the block is left; it then gives back what it holds."""
    task = asyncio.create_task(driver.run(), name="ingestion")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Driver:
    """Works the queues of ingestions and removals, one of each at a time."""

    def __init__(
        self, store: IngestionStore, notifications: Notifications, search: Search, reads: Reads, policy: Policy
    ) -> None:
        self._store = store
        self._notifications = notifications
        self._search = search
        self._reads = reads
        self._policy = policy
        self._due = 0.0

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work(self._ingest_next))
            tasks.create_task(self._work(self._remove_next))

    async def _work(self, step: Callable[[], Awaitable[bool]]) -> None:
        async with self._notifications.of_queue() as news:
            while True:
                try:
                    busy = await step()
                except MeshError as error:
                    log.warning("the ingestion driver waits", extra={"reason": error.reason, "error": error.message})
                    busy = False
                except Exception:  # one broken novel must not end the work on all others
                    log.exception("a step of the ingestion driver failed")
                    busy = False
                if not busy:
                    await news.wait(self._pause())

    def _pause(self) -> float:
        poll = self._policy.poll_seconds * random.uniform(0.5, 1)  # noqa: S311 - jitter
        left = self._due - time.monotonic()
        return min(poll, left) if left > 0 else poll

    async def _ingest_next(self) -> bool:
        job = await self._store.claim()
        if job is None:
            return False
        try:
            await self._reads.novel_changed(job.novel.novel_id)
            log.info("ingestion begins", extra=_facts(job))
            outcome = await self._attempt(job)
        except asyncio.CancelledError:
            with suppress(MeshError, TimeoutError):
                await settle(self._store.postpone(job, 0.0, counted=False), _GIVE_BACK_SECONDS)
            raise
        _ENDED.labels(outcome).inc()
        log.info("ingestion ends", extra={**_facts(job), "outcome": outcome})
        await self._reads.novel_changed(job.novel.novel_id)
        return True

    async def _attempt(self, job: IngestionJob) -> str:
        if job.attempt > self._policy.attempts:  # its drivers died over it, each before it could say so
            return await self._after(Unavailable("its ingestion was cut off too often", reason="INGESTION_CUT"), job)
        started = time.monotonic()
        try:
            summary = await self._while_leased(job)
            held = await self._store.complete(job, summary)
        except LeaseLostError:
            held = False
        except MeshError as error:
            return await self._after(error, job)
        except Exception:  # else it would be taken up again each time that its lease ends, for ever
            log.exception("an ingestion broke", extra=_facts(job))
            return await self._after(Internal("something went wrong on our side", reason="INGESTION_BROKE"), job)
        if not held:
            await self._withdraw(job)
            return "lease_lost"
        _SECONDS.observe(time.monotonic() - started)
        return "complete"

    async def _while_leased(self, job: IngestionJob) -> IngestionSummary:
        """Ingests; stops as soon as the lease cannot be renewed."""
        ingesting = asyncio.create_task(self._ingest(job))
        beating = asyncio.create_task(self._keep(job))
        try:
            await asyncio.wait({ingesting, beating}, return_when=asyncio.FIRST_COMPLETED)
            return ingesting.result() if ingesting.done() else await beating
        finally:
            ingesting.cancel()
            beating.cancel()
            await asyncio.gather(ingesting, beating, return_exceptions=True)

    async def _ingest(self, job: IngestionJob) -> IngestionSummary:
        told, told_at = Progress(-1, "", ""), 0.0
        async with aclosing(self._search.ingest(job.novel, job.text, self._policy.timeout)) as events:
            async for event in events:
                if isinstance(event, IngestionSummary):
                    return event
                now = time.monotonic()
                if event == told or (event.stage == told.stage and now - told_at < _TELL_SECONDS):
                    continue
                told, told_at = event, now
                await self._tell(job, event)
        raise Unavailable("search ended an ingestion without a word", reason="INGESTION_CUT")

    async def _tell(self, job: IngestionJob, progress: Progress) -> None:
        try:
            held = await self._store.progress(job, progress)
        except MeshError as error:  # the database's trouble is the heartbeat's to judge
            log.warning("progress is not stored", extra={**_facts(job), "reason": error.reason})
            return
        if not held:
            raise LeaseLostError

    async def _keep(self, job: IngestionJob) -> IngestionSummary:
        """Renews the lease; ends only by an error."""
        beat = self._policy.lease_seconds / 3
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(beat)
            try:
                async with asyncio.timeout(beat):
                    held = await self._store.heartbeat(job)
            except (MeshError, TimeoutError):
                # Another driver may take the novel when the lease ends: be gone before.
                if time.monotonic() - renewed > 2 * beat:
                    raise LeaseLostError from None
                continue
            if not held:
                raise LeaseLostError
            renewed = time.monotonic()

    async def _after(self, error: MeshError, job: IngestionJob) -> str:
        transient = error.retryable or isinstance(error, Cancelled | ResourceExhausted | Unknown)
        if transient and job.attempt < self._policy.attempts:
            delay = self._policy.delay(job.attempt)
            log.warning(
                "ingestion is tried again",
                extra={**_facts(job), "reason": error.reason, "error": error.message, "delay": round(delay, 2)},
            )
            self._due = time.monotonic() + delay
            if not await self._store.postpone(job, delay, counted=True):
                await self._withdraw(job)
            return "postponed"
        log.error("ingestion failed", extra={**_facts(job), "reason": error.reason, "error": error.message})
        failure = Failure(error.code.name, error.reason, error.message, transient)
        if not await self._store.fail(job, failure):
            await self._withdraw(job)
        return "failed"

    async def _withdraw(self, job: IngestionJob) -> None:
        """After a lost lease: what was written of a novel that is gone is taken out again."""
        novel_id = job.novel.novel_id
        if await self._store.state(novel_id) is None:
            await self._search.delete_novel(novel_id)
            await self._store.removed(novel_id)

    async def _remove_next(self) -> bool:
        novel_id = await self._store.claim_removal()
        if novel_id is None:
            return False
        await self._search.delete_novel(novel_id)
        await self._store.removed(novel_id)
        log.info("removed from search", extra={"novel_id": str(novel_id)})
        return True


def _facts(job: IngestionJob) -> dict[str, object]:
    return {"novel_id": str(job.novel.novel_id), "attempt": job.attempt}
