"""The event log of an ingestion: progress that never falls, and an end whose facts are in the novel's row."""

import time
from typing import TypeAlias
from uuid import UUID

from pydantic import TypeAdapter

from mesh.errors import Unavailable
from mesh.streamlog import COMPLETE, FAILED, FencedError, Hub, Producer
from mesh.telemetry.logs import get_logger
from services.library.domain import storable
from services.library.models import IngestionJob, Progress

log = get_logger(__name__)

# A reader's eye needs no more than five a second.
_TELL_SECONDS = 0.2
_FLUSH_SECONDS = 1.0
_PROGRESS = TypeAdapter(Progress)

ProgressHub: TypeAlias = "Hub[Progress]"


class ProgressCodec:
    """Progress as JSON; the codec of ingestions' logs."""

    def dumps(self, event: Progress) -> bytes:
        """The bytes of an event."""
        return _PROGRESS.dump_json(event)

    def loads(self, data: bytes) -> Progress:
        """The event in bytes."""
        return _PROGRESS.validate_json(data)


class Report:
    """What one attempt at an ingestion tells.

    Attributes:
        now: how far it is; never less than any attempt before it has told.
    """

    def __init__(self, hub: ProgressHub, producer: "Producer[Progress]", percent: int) -> None:
        self._hub = hub
        self._producer = producer
        told = max((entry.event.percent for entry in producer.stream.entries), default=0)
        self.now = Progress(max(percent, told), "queued", "Waiting for its turn")
        self._told: Progress | None = None
        self._told_at = 0.0

    @property
    def completed_at(self) -> int:
        """The sequence that the end will have if it is `complete`."""
        return len(self._producer.stream.entries) + 2

    @property
    def failed_at(self) -> int:
        """The sequence that the end will have if it is `fail`."""
        return len(self._producer.stream.entries) + 1

    async def fenced(self) -> None:
        """Returns when another attempt has the log."""
        await self._producer.fenced.wait()

    def tell(self, progress: Progress) -> None:
        """It is so far."""
        self.now = storable.progress(progress).no_less_than(self.now.percent)
        moment = time.monotonic()
        hasty = self._told and self.now.stage == self._told.stage and moment - self._told_at < _TELL_SECONDS
        if self.now != self._told and not hasty:
            self._append(self.now, moment)

    def complete(self) -> None:
        """The novel can be searched."""
        done = Progress(100, "complete", "Ready")
        self._producer.append(done)
        self._producer.end(done, COMPLETE)

    def fail(self) -> None:
        """The ingestion has ended without an index."""
        self._producer.end(self.now, FAILED)

    async def give_back(self) -> None:
        """The novel waits again."""
        self._append(Progress(self.now.percent, "queued", "Waiting for its turn"), time.monotonic())
        await self._hub.release(self._producer)

    def close(self) -> None:
        """Nothing more is told."""
        self._producer.close()

    def _append(self, progress: Progress, moment: float) -> None:
        self._told, self._told_at = progress, moment
        self._producer.append(progress)


async def open_report(hub: ProgressHub, job: IngestionJob) -> Report | None:
    """Takes an ingestion's log over under the job's epoch; None: a later epoch has it."""
    producer = await _produce(hub, job.novel.novel_id, job.epoch)
    return Report(hub, producer, job.percent) if producer else None


async def begin_log(hub: ProgressHub, novel_id: UUID, epoch: int) -> None:
    """Begins the log of an ingestion that waits: what an earlier one told, and its end, are gone."""
    try:
        producer = await hub.produce(novel_id, epoch, "fresh")
    except FencedError:  # somebody has taken it up already
        return
    producer.append(Progress(0, "queued", "Waiting for its turn"))
    await hub.release(producer)


async def end_log(hub: ProgressHub, novel_id: UUID, epoch: int) -> None:
    """Ends the log of an ingestion that nobody had as failed."""
    producer = await _produce(hub, novel_id, epoch)
    if producer is not None:
        entries = producer.stream.entries
        producer.end(entries[-1].event if entries else Progress(0, "queued", "Waiting for its turn"), FAILED)
        await producer.flushed(_FLUSH_SECONDS)


async def _produce(hub: ProgressHub, novel_id: UUID, epoch: int) -> "Producer[Progress] | None":
    try:
        return await hub.produce(novel_id, epoch, "fresh" if epoch == 1 else "restart")
    except FencedError:
        return None
    except Unavailable as error:  # a log is a comfort: the novel is ingested without one, and begins another later
        log.warning("an ingestion's log begins anew", extra={"novel_id": str(novel_id), "error": error.message})
    try:
        return await hub.produce(novel_id, epoch, "fresh")
    except FencedError:
        return None
