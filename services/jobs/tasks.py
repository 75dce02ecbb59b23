"""What the jobs do: each calls an RPC that may be repeated, waits for it, and returns how it ended in a word."""

from contextlib import AbstractContextManager
from typing import Any

from celery import Celery, Task
from celery.exceptions import TimeLimitExceeded

from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans import Span
from mesh.telemetry.spans.messaging import TRACEPARENT, processing, sending
from services.jobs.app import KEY_PREFIX
from services.jobs.config import JobsSettings
from services.jobs.domain import (
    FINISH_REPLY,
    GONE,
    INGEST_NOVEL,
    PARTLY,
    QUEUES,
    RUNNING,
    SWEEP,
    SWEPT,
    retry_delay,
)
from services.jobs.ports import RoomError, Rooms

log = get_logger(__name__)


class Job(Task):  # type: ignore[misc]  # Celery has no type information
    """A task that is counted in the worker's parent process, and can be given up."""

    Request = "services.jobs.tally:Counted"
    settings: JobsSettings
    rooms: Rooms

    def traced(self) -> AbstractContextManager[Span | None]:
        """The block is the work of this job, in the trace of who has sent it."""
        sent = self.request.get(TRACEPARENT)
        return processing("celery", QUEUES[self.name], self.name, str(self.request.id), sent)

    def again(self, error: RoomError) -> Exception:
        """What to raise after an error: the next try where there is one, else the error."""
        if not error.transient or self.request.retries >= self.settings.jobs_retries:
            return error
        delay = retry_delay(self.request.retries, self.settings.jobs_retry_seconds)
        retry: Exception = self.retry(exc=error, countdown=delay, max_retries=self.settings.jobs_retries, throw=False)
        return retry

    def abandon(self, key: str, error: RoomError) -> None:
        """Tells the room that owns the work that nobody could do it."""

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """The failure callback, in the child that failed, when there is no further try.

        There is no callback for success: who did the work has already stored that it is done.
        """
        if isinstance(exc, TimeLimitExceeded) or not args:
            return  # told in the parent, where no call may be made since it forks; a sweep finds the work again
        error = exc if isinstance(exc, RoomError) else RoomError("INTERNAL", "JOB_FAILED", "the job failed")
        if error is not exc:
            log.error("a job failed", extra={"task": self.name, "key": args[0]}, exc_info=exc)
        try:
            self.abandon(str(args[0]), error)
        except RoomError as refusal:  # nothing is lost: a sweep finds the work again
            log.warning("could not abandon", extra={"task": self.name, "key": args[0], "error": str(refusal)})


class FinishReply(Job):
    """Has a reply written."""

    name = FINISH_REPLY

    def run(self, message_id: str) -> str:
        """Returns how it ended, or that the reply is gone."""
        try:
            with self.traced():
                return self.rooms.finish_reply(message_id)
        except RoomError as error:
            if error.code == "NOT_FOUND":  # deleted: nothing is left to do
                return GONE
            raise self.again(error) from None

    def abandon(self, key: str, error: RoomError) -> None:
        """Tells the library."""
        self.rooms.abandon_reply(key, error)


class IngestNovel(Job):
    """Has a novel ingested."""

    name = INGEST_NOVEL

    def run(self, novel_id: str) -> str:
        """Returns how it ended, that it goes on without being waited for, or that the novel is gone."""
        try:
            with self.traced():
                return self.rooms.ingest_novel(novel_id)
        except RoomError as error:
            if error.code == "NOT_FOUND":
                return GONE
            if error.code == "DEADLINE_EXCEEDED":
                return RUNNING
            raise self.again(error) from None

    def abandon(self, key: str, error: RoomError) -> None:
        """Tells the library."""
        self.rooms.abandon_ingestion(key, error)


class Sweep(Job):
    """Enqueues what the queues have lost. Doing a job twice does it once, so several sweeps do no harm."""

    name = SWEEP

    def run(self) -> str:
        """Returns whether both rooms were swept."""
        with self.traced():
            return self._swept()

    def _swept(self) -> str:
        swept: dict[str, int] = {}
        for task, lost in ((FINISH_REPLY, self.rooms.orphans), (INGEST_NOVEL, self.rooms.waiting_novels)):
            try:
                keys = lost(self.settings.jobs_sweep_limit)
            except RoomError as error:  # the trouble of one room is none of the other's; the next sweep asks again
                log.warning("could not sweep", extra={"task": task, "error": str(error)})
                continue
            new = [key for key in keys if self._is_new(key)]
            for key in new:
                with sending("celery", QUEUES[task], task) as headers:
                    self.app.tasks[task].apply_async((key,), expires=self.settings.jobs_swept_seconds, headers=headers)
            swept[task] = len(new)
        if any(swept.values()):
            log.info("swept", extra={"swept": swept})
        return SWEPT if len(swept) == 2 else PARTLY

    def _is_new(self, key: str) -> bool:
        """Whether no sweep has enqueued it just now: jobs for one reply that is stuck must not take all places."""
        seconds = round(2 * self.settings.jobs_swept_seconds)
        return bool(self.app.backend.client.set(f"{KEY_PREFIX}swept:{key}", b"", nx=True, ex=max(1, seconds)))


def add_tasks(app: Celery, settings: JobsSettings, rooms: Rooms) -> None:
    """Gives the app its tasks.

    Args:
        app: without any.
        settings: when to try again, what a sweep takes.
        rooms: do the work.
    """
    for kind in (FinishReply, IngestNovel, Sweep):
        # Celery binds a task's class, not the task, to its app.
        app.register_task(type(kind.__name__, (kind,), {"settings": settings, "rooms": rooms})())
