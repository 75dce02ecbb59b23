"""Spans of models (https://opentelemetry.io/docs/specs/semconv/gen-ai/). No prompt, no answer, no query is recorded."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from time import time_ns

from mesh.telemetry import trace
from mesh.telemetry.spans.encode import encoded
from mesh.telemetry.spans.record import Kind, Span

FIRST_TOKEN = "first token"  # noqa: S105 - of a text; it opens nothing


@contextmanager
def chat(provider: str, model: str, *, max_tokens: int, temperature: float) -> Iterator[Span | None]:
    """The block has a model answer; nothing is within this span.

    Args:
        provider: its name here, e.g. ``gemini``.
        model: its name there.
        max_tokens: of the answer.
        temperature: 0 to 2.
    """
    span = trace.child(f"chat {model}", Kind.CLIENT, _fixed("chat", provider, model))
    if span is None:
        yield None
        return
    span.attributes["gen_ai.request.max_tokens"] = max_tokens
    span.attributes["gen_ai.request.temperature"] = temperature
    try:
        yield span
    except BaseException as error:
        trace.fail(span, error)
        raise
    finally:
        span.end()


def answered(span: Span, text: str, counts: tuple[int, int] | None) -> None:
    """Notes a piece of an answer: its first with text, and the counts of tokens (prompt, answer) that came with it."""
    if text and span.events is None:
        now = time_ns()
        span.event(FIRST_TOKEN, at=now)
        span.attributes["gen_ai.response.time_to_first_chunk"] = (now - span.started) / 1e9
    if counts is not None:
        span.attributes["gen_ai.usage.input_tokens"], span.attributes["gen_ai.usage.output_tokens"] = counts


def embeddings(model: str, kind: str) -> AbstractContextManager[Span | None]:
    """The block has a model of this process read texts: passages, or a query."""
    return trace.within(f"embeddings {model}", Kind.INTERNAL, _embedding(model, kind))


@lru_cache(maxsize=256)
def _fixed(operation: str, provider: str, model: str) -> bytes:
    known = "gcp.gemini" if provider.startswith("gemini") else provider
    return encoded(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": known,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": True,
        }
    )


@lru_cache(maxsize=256)
def _embedding(model: str, kind: str) -> bytes:
    return encoded({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": model, "gaji.embedding.kind": kind})
