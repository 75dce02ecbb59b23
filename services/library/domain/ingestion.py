"""Takes stored novels into search.

Whoever asks for an ingestion only waits for it: the work is a task of this process under a lease in the database, so
that several replicas may be asked at once, and one that dies is replaced when its lease runs out. One that stops gives
its novel back at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from prometheus_client import Counter

from mesh import deadlines, priority
from mesh.errors import MeshError, Unavailable
from mesh.process import settle
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from mesh.validation import Violations
from services.library.domain import storable
from services.library.domain.attempts import Attempts, facts_of
from services.library.domain.errors import not_found
from services.library.domain.progress import ProgressHub, Report, end_log, open_report
from services.library.domain.reads import Reads
from services.library.domain.writing import limit_of
from services.library.models import Failure, IngestionStatus
from services.library.ports import IngestionStore

log = get_logger(__name__)

_LOOK_SECONDS = 1.0
_GIVE_BACK_SECONDS = 3.0
_ENDED = Counter("gaji_ingestions_total", "Attempts to ingest a novel, by outcome.", ["outcome"], registry=REGISTRY)


class Ingestions:
    """The ingestions of this process, one at a time.

    Args:
        store: who has which novel.
        hub: where progress is told.
        reads: reads through the cache.
        attempts: how they are made.
    """

    def __init__(self, store: IngestionStore, hub: ProgressHub, reads: Reads, attempts: Attempts) -> None:
        self._store = store
        self._hub = hub
        self._reads = reads
        self._attempts = attempts
        self._turn = asyncio.Lock()
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._stopping = False

    async def run(self, novel_id: UUID) -> IngestionStatus:
        """Has a novel ingested, here or elsewhere, and returns how that has ended.

        Raises:
            NotFound: there is no such novel.
            MeshError: transient trouble; the novel waits for the next attempt.
        """
        while True:
            state = await self._store.state(novel_id)
            if state is None:
                raise not_found("novel_id", novel_id, "novel")
            if state.status.ended:
                return state.status
            if self._stopping:
                raise _stopping()
            task = self._tasks.get(novel_id) or self._start(novel_id)
            await asyncio.wait({task})
            if task.cancelled():
                raise _stopping()
            if error := task.exception():
                raise error
            state = await self._store.state(novel_id)
            if state is not None and not state.status.ended:  # another replica has it
                await asyncio.sleep(_LOOK_SECONDS)

    async def waiting(self, limit: int) -> Sequence[UUID]:
        """Novels that nobody has though they wait, oldest first.

        Args:
            limit: how many at most; 0: 100.

        Raises:
            InvalidArgument: the limit is out of range.
        """
        check = Violations()
        limit = limit_of(check, limit)
        check.raise_if_any()
        return await self._store.waiting(limit)

    async def abandon(self, novel_id: UUID, failure: Failure) -> None:
        """Ends the ingestion of a novel that nobody could ingest; does nothing when somebody is at it."""
        epoch = await self._store.abandon(novel_id, storable.failure(failure))
        if epoch is not None:
            await self._reads.novel_changed(novel_id)
            await end_log(self._hub, novel_id, epoch)

    async def stop(self) -> None:
        """Gives back what this process has, and takes nothing more."""
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, novel_id: UUID) -> "asyncio.Task[None]":
        with deadlines.scope(None):  # it outlives the call that asked for it
            task = asyncio.create_task(self._ingest(novel_id), name=f"ingestion of {novel_id}")
        self._tasks[novel_id] = task

        def ended(done: "asyncio.Task[None]") -> None:
            del self._tasks[novel_id]
            if not done.cancelled():
                done.exception()  # whoever asked may be gone

        task.add_done_callback(ended)
        return task

    async def _ingest(self, novel_id: UUID) -> None:
        priority.enter(priority.BATCH)  # rooms answer readers first
        async with self._turn:
            job = await self._store.claim(novel_id)
            if job is None:
                return
            report: Report | None = None
            try:
                await self._reads.novel_changed(novel_id)
                report = await open_report(self._hub, job)
                if report is None:  # a later epoch has the log: another replica's claim is just ahead of this one
                    await self._attempts.give_back(job, None)
                    return
                log.info("ingestion begins", extra=facts_of(job))
                outcome, trouble = await self._attempts.make(job, report)
            except asyncio.CancelledError:
                with suppress(MeshError, TimeoutError):
                    await settle(self._attempts.give_back(job, report), _GIVE_BACK_SECONDS)
                raise
            finally:
                if report is not None:
                    report.close()
            _ENDED.labels(outcome).inc()
            log.info("ingestion ends", extra={**facts_of(job), "outcome": outcome})
            await self._reads.novel_changed(novel_id)
            if trouble is not None:
                raise trouble


def _stopping() -> Unavailable:
    return Unavailable("this replica stops; ask another", reason="REPLICA_STOPS", retry_after=0.0)
