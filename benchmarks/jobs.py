"""What `make bench` runs, one after the other. A new one is a module with `benchmarks.results.options`, and a row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A benchmark.

    Attributes:
        name: of its file of figures.
        module: is run as ``python -m MODULE --json FILE``, with ``--quick`` where that is asked for.
        seconds: what it may take; it is ended when they are over.
        measures: what, in a few words.
    """

    name: str
    module: str
    seconds: float
    measures: str


JOBS = (
    Job("relay", "benchmarks.relay", 600, "CPU of the gateway for an event, and the first token, against its peers"),
    Job("relay-many", "benchmarks.relay.many", 900, "100 to 10,000 streams: CPU, memory, first token, longest gap"),
    Job("stalled", "benchmarks.relay.stalled", 180, "a reader that stands still beside others"),
    Job("fanout", "benchmarks.fanout", 300, "many readers of one reply"),
    Job("calls", "benchmarks.calls", 300, "one call through each hop"),
    Job("cache", "benchmarks.cache", 300, "a value, near and from the cache, against its peers"),
    Job("breaker", "benchmarks.breaker", 180, "a circuit breaker's share of a call, against its peers"),
    Job("search", "benchmarks.search", 600, "a search, against Chroma asked directly"),
    Job("ingest", "benchmarks.ingest", 600, "an ingestion, stage by stage, against the bare model"),
    Job("talks", "benchmarks.talks", 900, "whole conversations, against the stack that this one replaces"),
    Job("start", "benchmarks.start", 180, "from `gaji up` to ready, warm"),
    Job("idle", "benchmarks.idle", 240, "the whole stack when nothing happens"),
)
