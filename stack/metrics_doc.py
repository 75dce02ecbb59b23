"""Writes docs/metrics.md: every metric that a process of Gaji registers, as the code has it.

Usage: python -m stack.metrics_doc. Modules that register metrics are found by their text and imported, so a new metric
is listed by being there; a label that is not explained here stops it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from prometheus_client import Metric

from mesh.telemetry.metrics import REGISTRY

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "metrics.md"
_SIGNS = ("registry=REGISTRY", "REGISTRY.register(")

ROOMS: Mapping[str, tuple[str, str]] = {
    "mesh": (
        "Every process",
        "Those of a part that a process does not have (a breaker, a cache) have no samples there.",
    ),
    "gateway": ("The gateway", ""),
    "services.library": ("Library", ""),
    "services.search": ("Search and its embedding workers", ""),
    "services.generation": ("Generation", ""),
    "services.cache": ("Cache", ""),
    "services.jobs": ("Jobs and their workers", ""),
}
"""Where a metric is measured, by the package of its module: a title, and what is to be said."""

LABELS: Mapping[str, str] = {
    "db_client_connection_pool_name": "`library`",
    "db_client_connection_state": "`idle`, `used`",
    "db_operation_name": "what for, in a word or two of the code's own: `novels.create`, `query`",
    "db_system_name": "`postgresql`, `chroma`",
    "embedder": "an embedding model: `minilm`, `e5`, `use`, `gemini`, and of workers with its version",
    "error_type": "empty: all is well; else what went wrong, as the metric's meaning says",
    "from": "a state of a circuit breaker, as `state`",
    "gen_ai_operation_name": "`chat`",
    "gen_ai_provider_name": "`openai`, `gcp.gemini`, `local`, `scripted`",
    "gen_ai_request_model": "the model's name in the settings",
    "gen_ai_token_type": "`input`, `output`",
    "generation": "of Python's garbage collector: `0`, `1`, `2`",
    "group": "methods of a peer that share a circuit breaker: `SearchService/unary`",
    "grpc_method": "the contract's methods, `gaji.search.v1.SearchService/SearchPassages`; `other`: none of them",
    "grpc_status": "the 17 of gRPC: `OK`, `NOT_FOUND`",
    "grpc_target": "a target of the settings with its scheme: `dns:///127.0.0.1:50052`; no replica behind it",
    "http_request_method": "`GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`, `CONNECT`, `TRACE`, `QUERY`; "
    "`_OTHER`: none of them",
    "http_response_status_code": "those that the gateway gives; 499: the client left before",
    "http_route": "the contract's templates, `/api/novels/{novel_id}`, the gateway's own pages; empty: none matched",
    "implementation": "of Python: `CPython`",
    "kind": "what is cached, embedded or counted: one of few words of the code's own",
    "level": "`DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`",
    "major": "of Python's version",
    "minor": "of Python's version",
    "operation": "of a cache: `lookup`, `store` and the like",
    "outcome": "how something ended: one of few words of the code's own",
    "partition": "`interactive`, `batch`",
    "patchlevel": "of Python's version",
    "peer": "a room, or the name in a certificate of our authority",
    "policy": "a policy of rate limits that the contract or the gateway knows",
    "process": "a process's name in the log: `gateway`, `worker-high`",
    "provider": "a model's provider by the name in the settings: `local`, `gemini`",
    "queue": "`high_priority`, `low_priority`",
    "reason": "why: one of the reasons that readers or operators are told",
    "result": "what came of it: one of few words of the code's own",
    "room": "whose service it is: `generation`",
    "state": "`closed`, `open`, `half_open`, `disabled`, `forced_open`, `metrics_only`",
    "task": "a job's or a question's name in the code",
    "to": "as `from`",
    "token": "`before`, `after` the first one",
    "version": "a release",
    "why": "one of few words of the code's own",
}
"""What values a label may have: few, whatever clients send."""

_HEAD = """# Metrics

Each process serves these at `/metrics` of its admin port. Made by `python -m stack.metrics_doc`; not edited by hand.

Names are OpenTelemetry's, translated to Prometheus, where it has one: `grpc_*` (gRFC A66 and A96), `http_server_*`,
`db_client_*`, `gen_ai_client_*`; all others begin with `gaji_`. See [decision 28](decisions/0028-metrics.md). A
histogram has `_bucket`, `_sum` and `_count`; how often something happened is the `_count` of how long it took. Labels
have few values, whatever clients send. Asked for OpenMetrics (`Accept: application/openmetrics-text`, as Prometheus
does when it stores exemplars), histograms bear the `trace_id` of a sampled trace, at most one a second for each bucket.

Streams are not latencies: a stream that has begun is in no `http_server_*` histogram, but in
`gaji_sse_stream_duration_seconds` and `gaji_sse_first_event_seconds`. Over gRPC a stream is in
`grpc_server_call_duration_seconds` like every call, so leave streaming methods out where you ask for latencies.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A metric.

    Attributes:
        name: as it is scraped; a histogram's without suffix.
        kind: counter, gauge, histogram, info.
        labels: their names, in the order of the code.
        meaning: its help.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def rows() -> dict[str, list[Row]]:
    """All metrics by package, each sorted by name."""
    texts = {package: _texts_of(package) for package in ROOMS}
    for modules in texts.values():
        for module in modules:
            import_module(module)
    found: dict[str, list[Row]] = {package: [] for package in ROOMS}
    for collector in list(REGISTRY._collector_to_names):
        for row in _rows(collector):
            found[_home(row.name, texts)].append(row)
    return {package: sorted(listed, key=lambda row: row.name) for package, listed in found.items()}


def _texts_of(package: str) -> dict[str, str]:
    """The modules of a package that register metrics, with their texts."""
    folder = ROOT / package.replace(".", "/")
    texts = {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in folder.rglob("*.py")}
    return {name: text for name, text in sorted(texts.items()) if any(sign in text for sign in _SIGNS)}


def _home(name: str, texts: Mapping[str, Mapping[str, str]]) -> str:
    """The package whose code has the name; of those that a library brings, the mesh."""
    quoted = (f'"{name}"', f'"{name.removesuffix("_total")}"')
    for package, modules in texts.items():
        if any(sign in text for text in modules.values() for sign in quoted):
            return package
    return "mesh"


def _rows(collector: Any) -> Iterator[Row]:
    families: Iterable[Metric] = collector.describe() if hasattr(collector, "describe") else collector.collect()
    for family in families:
        labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", None)
        if labels is None:
            labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield Row(name, family.type, tuple(labels), family.documentation)


def text() -> str:
    """The whole file.

    Raises:
        KeyError: a label is not explained.
    """
    parts, used = [_HEAD], set[str]()
    for package, listed in rows().items():
        title, said = ROOMS[package]
        parts.append(
            f"\n## {title}\n\n"
            + (f"{said}\n\n" if said else "")
            + "| name | type | labels | meaning |\n|---|---|---|---|\n"
        )
        for row in listed:
            used.update(row.labels)
            labels = ", ".join(f"`{label}`" for label in row.labels)
            parts.append(f"| `{row.name}` | {row.kind} | {labels} | {row.meaning} |\n")
    parts.append("\n## Labels\n\n| label | values |\n|---|---|\n")
    parts += [f"| `{label}` | {LABELS[label]} |\n" for label in sorted(used)]
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(text())
    print(f"wrote {FILE}")
