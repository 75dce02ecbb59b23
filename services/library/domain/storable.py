"""Text from other rooms as PostgreSQL keeps it: without NUL, which must not cost a reader a reply or a novel."""

from collections.abc import Iterator
from dataclasses import replace

from services.library.models import Citation, Failure, Progress, ReplyRecord


def text(value: str) -> str:
    """A text."""
    return value.replace("\0", "")


def failure(value: Failure) -> Failure:
    """A failure."""
    return Failure(text(value.code), text(value.reason), text(value.message), value.retryable)


def progress(value: Progress) -> Progress:
    """How far a job has come."""
    return replace(value, stage=text(value.stage), message=text(value.message))


def record(value: ReplyRecord) -> ReplyRecord:
    """How a reply was made."""
    if value.failure is None and "\0" not in "".join(_texts(value)):  # as nearly always: nothing is made anew
        return value
    return replace(
        value,
        provider=text(value.provider),
        model=text(value.model),
        passage_ids=[text(passage_id) for passage_id in value.passage_ids],
        failure=failure(value.failure) if value.failure else None,
        degraded=[text(reason) for reason in value.degraded],
        citations=[_citation(one) for one in value.citations],
    )


def _texts(value: ReplyRecord) -> Iterator[str]:
    yield from (value.provider, value.model, *value.passage_ids, *value.degraded)
    for one in value.citations:
        yield from (one.passage_id, one.chapter_title, one.excerpt)


def _citation(value: Citation) -> Citation:
    return replace(
        value,
        passage_id=text(value.passage_id),
        chapter_title=text(value.chapter_title),
        excerpt=text(value.excerpt),
    )
