"""One attempt at an ingestion, under a lease in the database and an epoch in the log."""

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import dataclass, replace

from prometheus_client import Gauge

from mesh.errors import Cancelled, Internal, MeshError, ResourceExhausted, Unavailable, Unknown
from mesh.telemetry.histogram import Histogram
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from services.library.domain import kept, storable
from services.library.domain.progress import Report
from services.library.domain.reads import Reads
from services.library.models import Failure, IngestionJob, IngestionStatus, IngestionSummary
from services.library.ports import IngestionStore, Search

log = get_logger(__name__)

_LONGEST_BACKOFF = 30.0
_SECONDS = Histogram(
    "gaji_ingestion_seconds",
    "From the claim of a novel to its being found.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 90, 120, 300, 600, 1800),
    registry=REGISTRY,
)
_under_way: dict[object, float] = {}
"""When each attempt of this process began, by `time.monotonic`."""
_ACTIVE = Gauge("gaji_ingestions_active", "Ingestions under way here.", registry=REGISTRY)
_ACTIVE.set_function(lambda: len(_under_way))
_OLDEST = Gauge(
    "gaji_ingestion_oldest_seconds",
    "How long the oldest ingestion under way here has taken so far; 0: none.",
    registry=REGISTRY,
)
_OLDEST.set_function(lambda: time.monotonic() - min(list(_under_way.values()), default=time.monotonic()))


@dataclass(frozen=True, slots=True)
class Policy:
    """How ingestions are gone about.

    Attributes:
        lease_seconds: life of a lease; it is renewed three times as often.
        timeout: seconds that one attempt may take.
        attempts: how often a novel is tried while search is in trouble.
        backoff: seconds before a novel that was given back is listed again, doubled for each further time.
    """

    lease_seconds: float
    timeout: float
    attempts: int
    backoff: float

    def delay(self, attempt: int) -> float:
        """Seconds before the attempt after this one, with jitter."""
        longest = min(self.backoff * 2.0 ** min(attempt - 1, 16), _LONGEST_BACKOFF)
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter


class LeaseLostError(Exception):
    """The novel is another's, or gone."""


class Attempts:
    """How a novel that was claimed is ingested.

    Args:
        store: who has which novel.
        search: the search room.
        reads: told of what has changed.
        policy: how to go about it.
    """

    def __init__(self, store: IngestionStore, search: Search, reads: Reads, policy: Policy) -> None:
        self._store = store
        self._search = search
        self._reads = reads
        self._policy = policy

    async def give_back(self, job: IngestionJob, report: Report | None) -> None:
        """Lets the novel wait again, as if there had been no attempt."""
        if await self._store.postpone(job, 0.0, counted=False) and report is not None:
            await report.give_back()

    async def make(self, job: IngestionJob, report: Report) -> tuple[str, MeshError | None]:
        """Ingests a novel.

        Returns:
            The outcome in a word, and the transient trouble for which the novel waits for another attempt.
        """
        if job.attempt > self._policy.attempts:  # its drivers died over it, each before it could say so
            cut = Unavailable("its ingestion was cut off too often", reason="INGESTION_CUT")
            return await self._after(cut, job, report)
        attempt, started = object(), time.monotonic()
        _under_way[attempt] = started
        try:
            summary = await self._while_leased(job, report)
            defaults, people = kept.bounded(summary.defaults, kept.OF_NOVEL), kept.people(summary.people)
            summary = replace(summary, defaults=defaults, people=people)
            held = await self._store.complete(job, summary, report.completed_at)
        except LeaseLostError:
            held = False
        except MeshError as error:
            return await self._after(error, job, report)
        except Exception:  # else it would be taken up again each time that its lease ends, for ever
            log.exception("an ingestion broke", extra=facts_of(job))
            broke = Internal("something went wrong on our side", reason="INGESTION_BROKE")
            return await self._after(broke, job, report)
        finally:
            del _under_way[attempt]
        if not held:
            await self._withdraw(job)
            return "lease_lost", None
        await self._reads.novel_changed(job.novel.novel_id)  # before anybody who hears of it can ask
        report.complete()
        _SECONDS.observe(time.monotonic() - started)
        return "complete", None

    async def _while_leased(self, job: IngestionJob, report: Report) -> IngestionSummary:
        """Ingests; stops as soon as the lease cannot be renewed, or another has the log."""
        ingesting = asyncio.create_task(self._read(job, report))
        watching = {asyncio.create_task(self._keep(job, report)), asyncio.create_task(report.fenced())}
        try:
            done, _ = await asyncio.wait({ingesting, *watching}, return_when=asyncio.FIRST_COMPLETED)
            if ingesting.done():
                return ingesting.result()
            for task in watching & done:
                task.result()
            raise LeaseLostError
        finally:
            ingesting.cancel()
            for task in watching:
                task.cancel()
            await asyncio.gather(ingesting, *watching, return_exceptions=True)

    async def _read(self, job: IngestionJob, report: Report) -> IngestionSummary:
        async with aclosing(self._search.ingest(job.novel, job.text, self._policy.timeout)) as events:
            async for event in events:
                if isinstance(event, IngestionSummary):
                    return event
                report.tell(event)
        raise Unavailable("search ended an ingestion without a word", reason="INGESTION_CUT")

    async def _keep(self, job: IngestionJob, report: Report) -> None:
        """Renews the lease, and keeps progress where it can be seen without the log; ends only by an error."""
        beat = self._policy.lease_seconds / 3
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(beat)
            try:
                async with asyncio.timeout(beat):
                    held = await self._store.heartbeat(job, report.now)
            except (MeshError, TimeoutError):
                # Another driver may take the novel when the lease ends: be gone before.
                if time.monotonic() - renewed > 2 * beat:
                    raise LeaseLostError from None
                continue
            if not held:
                raise LeaseLostError
            renewed = time.monotonic()

    async def _after(self, error: MeshError, job: IngestionJob, report: Report) -> tuple[str, MeshError | None]:
        transient = error.retryable or isinstance(error, Cancelled | ResourceExhausted | Unknown)
        facts = {**facts_of(job), "reason": error.reason, "error": error.message}
        if transient and job.attempt < self._policy.attempts:
            delay = self._policy.delay(job.attempt)
            log.warning("ingestion is to be tried again", extra={**facts, "delay": round(delay, 2)})
            if await self._store.postpone(job, delay, counted=True):
                await report.give_back()
            else:
                await self._withdraw(job)
            return "postponed", error
        log.error("ingestion failed", extra=facts)
        failure = Failure(error.code.name, error.reason, error.message, transient)
        if await self._store.fail(job, storable.failure(failure), report.failed_at):
            report.fail()
        else:
            await self._withdraw(job)
        return "failed", None

    async def _withdraw(self, job: IngestionJob) -> None:
        """After a lost lease: what was written of a novel that is gone, or was never to be, is taken out again."""
        novel_id = job.novel.novel_id
        state = await self._store.state(novel_id)
        if state is None:
            await self._search.delete_novel(novel_id)
            await self._store.removed(novel_id)
        elif state.status is IngestionStatus.FAILED and not job.novel.searchable:  # cancelled as it was about to end
            await self._search.delete_novel(novel_id)


def facts_of(job: IngestionJob) -> dict[str, object]:
    """What logs say of it."""
    return {"novel_id": str(job.novel.novel_id), "attempt": job.attempt, "epoch": job.epoch}
