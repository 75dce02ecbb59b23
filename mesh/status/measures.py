"""What the metrics of a process say, for its status.

One declared list: a sample's name, and where in the status its value belongs. Nothing is counted for the status alone,
so it never says anything else than Prometheus does; a process without a metric has nothing to say of it.
"""

import math
from collections.abc import Callable, Collection, Mapping

from gaji.mesh.v1 import status_service_pb2 as pb
from prometheus_client import CollectorRegistry

Labels = Mapping[str, str]
Tell = Callable[[pb.Status, Labels, float], None]

_ANSWERED = frozenset({"near", "hit", "stale", "absent"})
"""Results of a cache that are answers; all others had to be computed."""


def _queue(status: pb.Status, name: str) -> pb.Queue:
    return next((one for one in status.queues if one.name == name), None) or status.queues.add(name=name)


def _pool(status: pb.Status, name: str) -> pb.Pool:
    return next((one for one in status.pools if one.name == name), None) or status.pools.add(name=name)


def _cache(status: pb.Status, kind: str) -> pb.CacheCount:
    return next((one for one in status.caches if one.kind == kind), None) or status.caches.add(kind=kind)


def _streams(status: pb.Status, _labels: Labels, value: float) -> None:
    status.active_streams += int(value)


def _looked_up(status: pb.Status, labels: Labels, value: float) -> None:
    count, result = _cache(status, labels["kind"]), labels["result"]
    if result in _ANSWERED:
        count.hits += int(value)
    else:
        count.misses += int(value)
    if result == "near":
        count.near += int(value)


def _length(label: str, prefix: str = "") -> Tell:
    def tell(status: pb.Status, labels: Labels, value: float) -> None:
        _queue(status, prefix + labels[label]).length = int(value)

    return tell


def _oldest(label: str) -> Tell:
    def tell(status: pb.Status, labels: Labels, value: float) -> None:
        _queue(status, labels[label]).oldest_seconds = value

    return tell


def _used(name: str, label: str = "", **only: str) -> Tell:
    def tell(status: pb.Status, labels: Labels, value: float) -> None:
        if all(labels[key] == wanted for key, wanted in only.items()):
            _pool(status, name + labels.get(label, "")).used += int(value)

    return tell


def _limit(name: str, label: str = "") -> Tell:
    def tell(status: pb.Status, labels: Labels, value: float) -> None:
        if value:  # 0: nobody has set it
            _pool(status, name + labels.get(label, "")).limit = int(value)

    return tell


TOLD: Mapping[str, Tell] = {
    "gaji_sse_connections": _streams,
    "gaji_cache_lookups_total": _looked_up,
    "gaji_read_through_total": _looked_up,
    "gaji_jobs_queue_length": _length("queue"),
    "gaji_jobs_queue_age_seconds": _oldest("queue"),
    "gaji_model_queue_length": _length("provider", "model "),
    "gaji_limit_in_flight": _used("calls"),
    "gaji_limit": _limit("calls"),
    "db_client_connection_count": _used("database", db_client_connection_state="used"),
    "db_client_connection_max": _limit("database"),
    "gaji_jobs_taken": _used("jobs"),
    "gaji_model_slots_in_use": _used("model ", "provider"),
    "gaji_model_slots": _limit("model ", "provider"),
}
"""What is told, by the name of the sample. The names are also those of dashboards and alerts: they stay."""
IN_FLIGHT = "gaji_rpc_in_flight"
"""Of which streams are told; the others are those of the pool ``calls``."""


def read_into(status: pb.Status, streams: Collection[str], registry: CollectorRegistry) -> None:
    """Adds to a status what the metrics say; for a thread, since some of them ask others.

    Args:
        status: to be filled.
        streams: the methods that answer with streams, as metrics name them.
        registry: of the metrics.
    """
    for metric in registry.restricted_registry([*TOLD, IN_FLIGHT]).collect():
        for sample in metric.samples:
            labels, value = sample.labels, sample.value
            if not math.isfinite(value):  # not known just now
                continue
            if sample.name != IN_FLIGHT:
                TOLD[sample.name](status, labels, value)
            elif labels["grpc_method"] in streams:
                _streams(status, labels, value)
