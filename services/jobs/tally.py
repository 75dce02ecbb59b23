"""Counts and logs the jobs where that can be scraped: in a worker's parent process, one line and one count a job."""

import logging
from typing import Any

from celery.exceptions import Retry, WorkerLostError
from celery.signals import task_revoked
from celery.worker.request import Request

from mesh.telemetry.logs import get_logger
from services.jobs.metrics import JOBS, SECONDS

log = get_logger(__name__)
_BAD = frozenset({"failed", "lost", "timeout"})


class Counted(Request):  # type: ignore[misc]  # Celery has no type information
    """A job as the worker's parent process sees it."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery makes a subclass for each task, whose own `on_success` asks no other."""
        super().__init_subclass__(**options)
        done = cls.on_success

        def on_success(self: Request, failed__retval__runtime: Any, **kwargs: Any) -> Any:
            failed, result, seconds = failed__retval__runtime
            if not failed:
                _tell(self, str(result).strip("'"), seconds)  # a child hands over the result's repr
            return done(self, failed__retval__runtime, **kwargs)

        cls.on_success = on_success

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """It failed, is to be tried again, or its child died."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(exc_info.exception, Retry):
            _tell(self, "retried", error=error)
        elif isinstance(error, WorkerLostError | SystemExit):
            _tell(self, "lost", error=error)
        elif isinstance(error, Exception):
            _tell(self, "failed", error=error)
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """It took longer than it may."""
        if not soft:
            _tell(self, "timeout", timeout)
        return super().on_timeout(soft, timeout)


@task_revoked.connect  # type: ignore[untyped-decorator]  # Celery has no type information
def _revoked(request: Any = None, expired: bool = False, **_: Any) -> None:
    if expired:
        JOBS.labels(request.task, "expired").inc()
        log.info("job", extra={"task": request.task, "job_id": request.id, "outcome": "expired"})


def _tell(job: Request, outcome: str, seconds: float | None = None, error: BaseException | None = None) -> None:
    JOBS.labels(job.name, outcome).inc()
    facts = {"task": job.name, "job_id": job.id, "outcome": outcome}
    if seconds is not None:
        SECONDS.labels(job.name).observe(seconds)
        facts["seconds"] = round(seconds, 3)
    if error is not None:
        facts["error"] = str(error)
    log.log(logging.WARNING if outcome in _BAD else logging.INFO, "job", extra=facts)
