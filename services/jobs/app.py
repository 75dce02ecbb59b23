"""The Celery app and all of its configuration."""

import time
from typing import Any

from celery import Celery
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.signals import before_task_publish, setup_logging
from kombu.transport.redis import Channel, QoS

from mesh.redis_address import watched
from services.jobs.config import JobsSettings
from services.jobs.domain import HIGH, LOW, QUEUES, SWEEP, longest_retry_delay

KEY_PREFIX = "gaji:jobs:"
QUEUED_AT = "queued_at"
"""The header of a job that says when it was put into its queue, in Unix time."""
_SOFT_SECONDS = 10.0
_HARD_SECONDS = 70.0
_VISIBLE_SECONDS = 60.0
_RESULT_SECONDS = 3600
_CONNECTIONS = 8
_OVERDUE_SECONDS = 4  # a worker whose queue is silent for longer than it ever is connects anew: its host may be gone


class _Places(QoS):
    """What a worker has taken; a job whose acknowledgement fails gives its place back all the same.

    Kombu would go on counting it. When all places of a worker are lost so, it asks for no more jobs, and as it then
    says nothing to the server any more, it never notices that it must connect anew. The job comes again, from what the
    server holds as not acknowledged.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledges, or fails and gives the place back."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]  # Kombu has no type information
        except Exception:
            super(QoS, self).ack(delivery_tag)  # type: ignore[no-untyped-call]  # what is kept of it here
            raise


Channel.QoS = _Places


class _Unwaited:
    """Results for people who look. Nobody waits for one, so nothing is subscribed to when a job is sent."""

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Does without the subscription of one channel a job, which the sender would keep for ever."""


class Results(_Unwaited, RedisBackend):  # type: ignore[misc]  # Celery has no type information
    """Results in Redis."""


class WatchedResults(_Unwaited, SentinelBackend):  # type: ignore[misc]  # likewise
    """Results in the master that sentinels name."""


def create_app(settings: JobsSettings) -> Celery:
    """The app, still without tasks.

    The limits stand on each other: a room's deadline, then the soft limit, then the hard one, then, after the longest
    pause of a retry, the time at which Redis takes a job that was never acknowledged for lost.
    """
    app = Celery("gaji", set_as_current=False)
    servers = watched(settings.redis_url)
    url = _url(settings.redis_url) if servers is None else servers.celery_url()
    results = Results if servers is None else WatchedResults
    hard = settings.jobs_call_seconds + _HARD_SECONDS
    transport: dict[str, Any] = {
        "global_keyprefix": KEY_PREFIX,
        "socket_connect_timeout": settings.jobs_redis_timeout,
        **({} if servers is None else servers.celery_options(settings.jobs_redis_timeout)),
    }
    app.conf.update(
        broker_url=url,
        broker_transport_options={
            **transport,
            "socket_timeout": settings.jobs_redis_timeout,
            "health_check_interval": _OVERDUE_SECONDS,
            "visibility_timeout": hard
            + longest_retry_delay(settings.jobs_retries, settings.jobs_retry_seconds)
            + _VISIBLE_SECONDS,
        },
        broker_pool_limit=_CONNECTIONS,
        broker_connection_timeout=settings.jobs_redis_timeout,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its queue as long as it takes
        result_backend=f"{__name__}:{results.__name__}+{url}",
        result_backend_transport_options=transport,
        result_expires=_RESULT_SECONDS,
        redis_max_connections=_CONNECTIONS,
        redis_socket_timeout=settings.jobs_redis_timeout,
        redis_socket_connect_timeout=settings.jobs_redis_timeout,
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        enable_utc=True,
        timezone="UTC",
        # Over the default exchange, which goes to a queue by its name: with an exchange of its own, the way to a queue
        # would be in Redis, written when a process connects, and a Redis that loses its data would lose all jobs then.
        task_queues={name: {"exchange": "", "routing_key": name} for name in (HIGH, LOW)},
        task_default_queue=HIGH,
        task_routes={task: {"queue": queue} for task, queue in QUEUES.items()},
        task_create_missing_queues=False,
        # Done, then acknowledged: a worker that dies gives its job back.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_soft_time_limit=settings.jobs_call_seconds + _SOFT_SECONDS,
        task_time_limit=hard,
        task_publish_retry=True,
        # Once more at once: Redis may have closed an idle connection. Longer patience is the caller's.
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=settings.jobs_tasks_per_child,
        worker_pool="prefork",  # the only one that keeps the time limits
        # A job whose acknowledgement can't arrive any more is given back with the connection.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        beat_schedule={
            SWEEP: {
                "task": SWEEP,
                "schedule": settings.jobs_sweep_seconds,
                "options": {"expires": settings.jobs_sweep_seconds},
            }
        },
    )
    setup_logging.connect(_leave_logging, weak=False, dispatch_uid="gaji")
    before_task_publish.connect(_stamp, weak=False, dispatch_uid="gaji")
    return app


def _stamp(headers: dict[str, Any], **_: Any) -> None:
    """Notes the time: Redis keeps none of what it is given."""
    headers[QUEUED_AT] = time.time()


def _leave_logging(**_: Any) -> None:
    """Somebody listens, so Celery leaves logging as `mesh.telemetry.logs` has set it up."""


def _url(url: str) -> str:
    """The URL as Celery wants it: over TLS it asks to be told that certificates are checked."""
    if not url.startswith("rediss://") or "ssl_cert_reqs" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
