"""What generation counts."""

from prometheus_client import Counter, Gauge

from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import REGISTRY

FIRST_TOKEN_SECONDS = Histogram(
    "gaji_first_token_seconds",
    "From the request to the first token of its reply.",
    ("provider",),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 60),
    registry=REGISTRY,
)
TOKENS = Counter("gaji_generation_tokens_total", "Tokens read and written.", ("provider", "kind"), registry=REGISTRY)
ACTIVE = Gauge("gaji_generations_active", "Replies being written.", ("provider",), registry=REGISTRY)
ENDED = Counter(
    "gaji_generations_total",
    "Replies ended, by outcome: complete or the failure's reason.",
    ("provider", "outcome"),
    registry=REGISTRY,
)
DEGRADED = Counter(
    "gaji_generations_degraded_total",
    "Replies that are less than they could be, by the reason that their readers are told.",
    ("reason",),
    registry=REGISTRY,
)
TROUBLE = Counter(
    "gaji_provider_failures_total",
    "Tries of a model that failed, before its first token (another model is then asked) or after it.",
    ("provider", "reason", "token"),
    registry=REGISTRY,
)
SLOTS = Gauge("gaji_model_slots", "Replies that the model can write at once.", ("provider",), registry=REGISTRY)
SLOTS_IN_USE = Gauge("gaji_model_slots_in_use", "Replies that the model is writing.", ("provider",), registry=REGISTRY)
QUEUED = Gauge("gaji_model_queue_length", "Replies that wait for the model.", ("provider",), registry=REGISTRY)
TAKEN_OVER = Counter(
    "gaji_generations_taken_over_total", "Replies that were taken over from a writer that had died.", registry=REGISTRY
)
SEAMS = Counter(
    "gaji_generation_seams_total",
    "Seams written into the logs of replies: their text went on in another way.",
    registry=REGISTRY,
)
GAPS = Counter(
    "gaji_generation_gaps_total", "Gaps told to readers: events that they missed are no longer kept.", registry=REGISTRY
)
