"""What an owner does to the ingestion of a novel: stops it, or has it made anew."""

from uuid import UUID

from mesh.telemetry.logs import get_logger
from services.library.domain.novels import Novels
from services.library.domain.progress import ProgressHub, begin_log, end_log
from services.library.domain.reads import Reads
from services.library.models import Failure, Novel
from services.library.ports import IngestionStore, Jobs

log = get_logger(__name__)

_CANCELLED = Failure("CANCELLED", "INGESTION_CANCELLED", "its owner stopped the ingestion", retryable=True)


class IngestionControl:
    """Stops and repeats ingestions.

    Args:
        novels: whose is which.
        store: how ingestions stand.
        hub: where progress is told.
        reads: told of what has changed.
        jobs: has novels ingested.
    """

    def __init__(self, novels: Novels, store: IngestionStore, hub: ProgressHub, reads: Reads, jobs: Jobs) -> None:
        self._novels = novels
        self._store = store
        self._hub = hub
        self._reads = reads
        self._jobs = jobs

    async def cancel(self, user_id: UUID, novel_id: UUID) -> Novel:
        """Stops an ingestion that waits or runs, wherever; what was ingested before stays.

        Whoever is at it loses its lease with this call, and hears of it through the log, at the latest when it next
        renews the lease.

        Raises:
            NotFound: the user sees no such novel.
            PermissionDenied: it is another's.
        """
        await self._novels.own(user_id, novel_id)
        epoch = await self._store.cancel(novel_id, _CANCELLED)
        if epoch is not None:
            log.info("ingestion is cancelled", extra={"novel_id": str(novel_id), "epoch": epoch})
            await self._reads.novel_changed(novel_id)
            await end_log(self._hub, novel_id, epoch)
        return await self._novels.get(user_id, novel_id)

    async def repeat(self, user_id: UUID, novel_id: UUID) -> Novel:
        """Has a novel ingested anew, unless it waits for that already; what was ingested before is searched meanwhile.

        Raises:
            NotFound: the user sees no such novel.
            PermissionDenied: it is another's.
        """
        await self._novels.own(user_id, novel_id)
        epoch = await self._store.again(novel_id)
        if epoch is not None:
            await self._reads.novel_changed(novel_id)
            await begin_log(self._hub, novel_id, epoch)
        self._jobs.ingest_novel(novel_id)
        return await self._novels.get(user_id, novel_id)
