"""What the search room counts."""

from prometheus_client import Counter, Gauge

from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import LATENCY_BUCKETS, REGISTRY

SEARCH_SECONDS = Histogram(
    "gaji_search_seconds",
    "From a checked search request to its answer, from the cache or not.",
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
EMBEDDING_SECONDS = Histogram(
    "gaji_search_embedding_seconds",
    "One call of an embedding provider: a batch of passages, or a query.",
    ("embedder", "kind"),
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
PASSAGES_INGESTED = Counter(
    "gaji_search_passages_ingested", "Passages of novels that were ingested to the end.", registry=REGISTRY
)
INGESTIONS = Counter("gaji_search_ingestions", "Ingestions by how they ended.", ("result",), registry=REGISTRY)
FOREIGN_SEARCHES = Counter(
    "gaji_search_foreign_searches",
    "Searches in another language than the novel's: found by its index for them, or missing it.",
    ("result",),
    registry=REGISTRY,
)
FOREIGN_BUILD_SECONDS = Histogram(
    "gaji_search_foreign_build_seconds",
    "Reading a novel once more for queries in other languages.",
    buckets=(1, 2.5, 5, 10, 20, 40, 80, 160, 320),
    registry=REGISTRY,
)
FOREIGN_BYTES = Gauge("gaji_search_foreign_bytes", "Memory of the indexes for other languages.", registry=REGISTRY)
INDEX_LOAD_SECONDS = Histogram(
    "gaji_search_index_load_seconds",
    "Bringing a novel's index into memory.",
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
INDEXES = Gauge("gaji_search_indexes", "Novels whose index is in memory.", registry=REGISTRY)
INDEX_BYTES = Gauge("gaji_search_index_bytes", "Memory that indexes take, roughly.", registry=REGISTRY)
FLEET_BATCHES = Counter(
    "gaji_search_embedding_batches",
    "Batches of passages for workers by what became of them: read, refused, failed, lost (begun and never ended), "
    "unanswered (nobody is there), busy (too many before it); and those that were read here instead.",
    ("embedder", "result"),
    registry=REGISTRY,
)
WORKER_BATCHES = Counter(
    "gaji_search_worker_batches",
    "Batches that this worker took by what became of them: read, refused, failed, gone (nobody wants it any more).",
    ("embedder", "result"),
    registry=REGISTRY,
)
MODEL_CALLS = Counter(
    "gaji_search_model_calls",
    "Advice asked of the language model, by what for and how it went: answered, or done without and why.",
    ("task", "result"),
    registry=REGISTRY,
)
SENTENCE_SEARCHES = Counter(
    "gaji_search_sentence_searches",
    "Searches in the novel's own language that its second reading has a part in: found by it, or missing it.",
    ("result",),
    registry=REGISTRY,
)
