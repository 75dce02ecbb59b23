"""Prometheus metrics of the jobs."""

import math

from prometheus_client import Counter, Gauge

from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import LATENCY_BUCKETS, REGISTRY

JOBS = Counter(
    "gaji_jobs",
    "Jobs by task and outcome: what the task returned, or retried, failed, lost, timeout, expired.",
    ("task", "outcome"),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "gaji_job_seconds", "How long a job that ended took.", ("task",), buckets=LATENCY_BUCKETS, registry=REGISTRY
)
ENQUEUED = Counter("gaji_jobs_enqueued", "Jobs put into a queue by Enqueue.", ("task", "result"), registry=REGISTRY)
QUEUE_LENGTH = Gauge("gaji_jobs_queue_length", "Jobs that wait in a queue.", ("queue",), registry=REGISTRY)
QUEUE_AGE = Gauge(
    "gaji_jobs_queue_age_seconds", "Since the first of those that wait was put there.", ("queue",), registry=REGISTRY
)
TAKEN = Gauge("gaji_jobs_taken", "Jobs that workers have taken and not done yet.", registry=REGISTRY)
TAKEN.set(math.nan)  # until somebody looks, which a worker does not
