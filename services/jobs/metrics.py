"""Prometheus metrics of the jobs."""

from prometheus_client import Counter, Histogram

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
