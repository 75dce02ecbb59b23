"""What is counted of calls to language models, named as OpenTelemetry's conventions for their clients say.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ (in development; the names are those of its version
1.40). The buckets are theirs, with 3 s and 10 s put between: the figures that people set for a model.
"""

import asyncio
import operator
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mesh.errors import MeshError
from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import REGISTRY, series

_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 3, 5.12, 10, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**exponent for exponent in range(14))
_CHAT = "chat"
_PROVIDERS = {"gemini": "gcp.gemini", "gemini-grpc": "gcp.gemini"}
"""What the conventions call those whom we call otherwise."""
_OTHER = "_OTHER"
CANCELLED = "cancelled"
"""Whoever wanted the answer has left, or has asked another model."""

DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Calls of a language model, whatever came of them; error_type is the reason when it failed, or cancelled.",
    (*_LABELS, "error_type"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
FIRST_CHUNK = Histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "From the call of a language model to the first piece of its answer.",
    _LABELS,
    buckets=_SECONDS,
    registry=REGISTRY,
)
PER_CHUNK = Histogram(
    "gen_ai_client_operation_time_per_output_chunk_seconds",
    "From a piece of a language model's answer to the next.",
    _LABELS,
    buckets=_SECONDS,
    registry=REGISTRY,
)
TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens of a call of a language model as it counts them: input, output. Of models that do not count: nothing.",
    (*_LABELS, "gen_ai_token_type"),
    buckets=_TOKENS,
    registry=REGISTRY,
)


class Operation:
    """One call of a model that is under way.

    Args:
        provider: whose model, by our name for it.
        model: as it is asked for.
        clock: seconds that only grow.
    """

    def __init__(self, provider: str, model: str, clock: Callable[[], float]) -> None:
        self._labels = _CHAT, _PROVIDERS.get(provider, provider), model
        self._clock = clock
        self._began = clock()
        self._heard: list[float] = []  # when; as many as an answer has pieces, of which it has a most

    def chunk(self) -> None:
        """A piece of the answer has come."""
        self._heard.append(self._clock())
        if len(self._heard) == 1:
            series(FIRST_CHUNK, *self._labels).observe(self._heard[0] - self._began)

    def counted(self, prompt: int, completion: int) -> None:
        """The model has said how many tokens it took."""
        series(TOKENS, *self._labels, "input").observe(prompt)
        series(TOKENS, *self._labels, "output").observe(completion)

    def end(self, error_type: str = "") -> None:
        """It is over; empty: well."""
        if len(self._heard) > 1:  # all at once, which costs a fraction of one by one
            pauses = map(operator.sub, self._heard[1:], self._heard)
            series(PER_CHUNK, *self._labels).observe_all(pauses)
        series(DURATION, *self._labels, error_type).observe(self._clock() - self._began)


@contextmanager
def operation(provider: str, model: str, clock: Callable[[], float] = time.perf_counter) -> Iterator[Operation]:
    """A call of a model, which the block makes.

    Args:
        provider: whose model, by our name for it, e.g. ``gemini``.
        model: as it is asked for.
        clock: seconds that only grow.
    """
    running = Operation(provider, model, clock)
    error_type = ""
    try:
        yield running
    except BaseException as error:
        error_type = _type_of(error)
        raise
    finally:
        running.end(error_type)


def _type_of(error: BaseException) -> str:
    if isinstance(error, MeshError):
        return error.reason
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return CANCELLED
    return "timeout" if isinstance(error, TimeoutError) else _OTHER
