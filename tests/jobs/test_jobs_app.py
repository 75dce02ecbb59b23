"""The configuration of Celery, setting by setting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.jobs.app import KEY_PREFIX, create_app
from services.jobs.clients import GrpcRooms
from services.jobs.config import JobsSettings
from services.jobs.domain import FINISH_REPLY, HIGH, INGEST_NOVEL, LOW, QUEUES, SWEEP, longest_retry_delay, retry_delay
from services.jobs.tasks import add_tasks

SETTINGS = JobsSettings(redis_url="redis://:secret@127.0.0.1:1/3")


def test_celery_is_set_as_intended() -> None:
    conf = create_app(SETTINGS).conf
    expected = {
        "broker_url": "redis://:secret@127.0.0.1:1/3",
        "broker_pool_limit": 8,
        "broker_connection_timeout": 1.0,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "result_backend": "services.jobs.app:Results+redis://:secret@127.0.0.1:1/3",
        "result_backend_transport_options": {"global_keyprefix": "gaji:jobs:", "socket_connect_timeout": 1.0},
        "result_expires": 3600,
        "redis_max_connections": 8,
        "redis_socket_timeout": 1.0,
        "redis_socket_connect_timeout": 1.0,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "enable_utc": True,
        "timezone": "UTC",
        "task_queues": {name: {"exchange": "", "routing_key": name} for name in (HIGH, LOW)},
        "task_default_queue": HIGH,
        "task_routes": {
            FINISH_REPLY: {"queue": "high_priority"},
            SWEEP: {"queue": "high_priority"},
            INGEST_NOVEL: {"queue": "low_priority"},
        },
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_soft_time_limit": 240,
        "task_time_limit": 300,
        "task_publish_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": 100,
        "worker_pool": "prefork",
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "beat_schedule": {SWEEP: {"task": SWEEP, "schedule": 10.0, "options": {"expires": 10.0}}},
    }
    assert {name: conf[name] for name in expected} == expected
    assert conf.broker_transport_options == {
        "global_keyprefix": KEY_PREFIX,
        "socket_connect_timeout": 1.0,
        "socket_timeout": 1.0,
        "health_check_interval": 4,
        "visibility_timeout": 300 + 300 + 60,
    }


def test_a_job_that_waits_for_its_retry_is_not_taken_for_lost() -> None:
    conf = create_app(SETTINGS).conf
    longest = longest_retry_delay(SETTINGS.jobs_retries, SETTINGS.jobs_retry_seconds)
    assert SETTINGS.jobs_call_seconds < conf.task_soft_time_limit < conf.task_time_limit
    assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit + longest


def test_each_task_has_its_queue() -> None:
    app = create_app(SETTINGS)
    add_tasks(app, SETTINGS, GrpcRooms(SETTINGS, 1))
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert set(ours) == set(QUEUES)
    for name, task in ours.items():
        assert app.amqp.router.route({}, name)["queue"].name == QUEUES[name]
        assert (task.acks_late, task.reject_on_worker_lost) == (True, True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss://h/0", "rediss://h/0?ssl_cert_reqs=required"),
        ("rediss://h/0?a=b", "rediss://h/0?a=b&ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
    ],
)
def test_over_tls_certificates_are_checked(url: str, expected: str) -> None:
    app = create_app(JobsSettings(redis_url=url))
    assert app.conf.broker_url == expected
    assert app.backend.connparams["ssl_cert_reqs"].name in {"CERT_REQUIRED", "CERT_NONE"}


def test_only_redis_is_a_queue() -> None:
    with pytest.raises(ValidationError):
        JobsSettings(redis_url="amqp://127.0.0.1")


@given(st.integers(0, 6), st.floats(0.01, 600))
def test_pauses_double_with_a_quarter_of_chance(retries: int, seconds: float) -> None:
    delay = retry_delay(retries, seconds)
    assert seconds * 2**retries <= delay <= seconds * 2**retries * 1.25
    assert delay <= longest_retry_delay(retries + 1, seconds)
