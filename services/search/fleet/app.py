"""The Celery app of search's own workers, and all of its configuration."""

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.signals import setup_logging

from mesh.redis_address import watched
from services.search.config import SearchSettings
from services.search.fleet.mailbox import PREFIX, REDIS_SECONDS

TASK = "embed"
_LOST_SECONDS = 120.0  # a worker that held a batch so long after its deadline has died over it
_CONNECTIONS = 4
_OVERDUE_SECONDS = 4  # see the app of the jobs


def create_app(settings: SearchSettings, queues: Sequence[str]) -> Celery:
    """The app, still without its task.

    Args:
        settings: where the queues are.
        queues: their names, one or more.
    """
    app = Celery("gaji-embedding", set_as_current=False)
    servers = watched(settings.redis_url)
    app.conf.update(
        broker_url=_url(settings.redis_url) if servers is None else servers.celery_url(),
        broker_transport_options={
            "global_keyprefix": PREFIX,
            "socket_connect_timeout": REDIS_SECONDS,
            "socket_timeout": REDIS_SECONDS,
            "health_check_interval": _OVERDUE_SECONDS,
            "visibility_timeout": settings.embedding_deadline + _LOST_SECONDS,
            **({} if servers is None else servers.celery_options(REDIS_SECONDS)),
        },
        broker_pool_limit=_CONNECTIONS,
        broker_connection_timeout=REDIS_SECONDS,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its queue as long as it takes
        accept_content=["json"],
        task_serializer="json",
        # Readings go through `mailbox`: as bytes, to one list that is waited for, with an end of their own.
        task_ignore_result=True,
        enable_utc=True,
        timezone="UTC",
        # Over the default exchange: see the app of the jobs.
        task_queues={name: {"exchange": "", "routing_key": name} for name in queues},
        task_default_queue=queues[0],
        task_create_missing_queues=False,
        # Done, then acknowledged: a worker that dies gives its batch back.
        task_acks_late=True,
        task_publish_retry=True,
        # Once more at once: Valkey may have closed an idle connection.
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
        worker_prefetch_multiplier=1,
        # In the worker's main thread: one batch at a time, each on as many threads as the model has use for. Children
        # would have a model each, and nobody could scrape what they count.
        worker_pool="solo",
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    setup_logging.connect(_leave_logging, weak=False, dispatch_uid="gaji")
    return app


def _leave_logging(**_: Any) -> None:
    """Somebody listens, so Celery leaves logging as `mesh.telemetry.logs` has set it up."""


def _url(url: str) -> str:
    """The URL as Celery wants it: over TLS it asks to be told that certificates are checked."""
    if not url.startswith("rediss://") or "ssl_cert_reqs" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
