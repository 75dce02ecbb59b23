"""Events as messages of the contract, and back: what logs hold and what readers get is the same message."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.library.v1 import citation_pb2

from mesh.errors import BY_CODE, MeshError, Unknown
from mesh.streamlog import Entry, Reading, Stream
from mesh.streams import Feed, Shared
from services.generation.domain.events import Complete, Event, Failed, Gap, Progress, Seam, Stopped, Text
from services.generation.domain.hearing import Heard
from services.generation.ports import Citation, Record


class EventCodec:
    """Events as the bytes of stream responses, which all have the same fields."""

    def dumps(self, event: Event) -> bytes:
        """The bytes of an event."""
        message = pb.WatchReplyResponse()
        _tell(message, event)
        return message.SerializeToString()

    def loads(self, data: bytes) -> Event:
        """The event in bytes.

        Raises:
            ValueError: it is of a kind that this release does not know.
        """
        message = pb.WatchReplyResponse.FromString(data)
        match message.WhichOneof("event"):
            case "progress":
                return Progress(message.progress.progress, message.progress.stage, message.progress.message)
            case "token":
                return Text(message.token.content)
            case "seam":
                return Seam(message.seam.keep)
            case "complete":
                return Complete(*_summarized(message.complete))
            case "stopped":
                return Stopped(*_summarized(message.stopped))
            case "failed":
                return Failed(failure(message.failed))
            case kind:
                raise ValueError(f"a log holds an event of an unknown kind: {kind}")


def response(kind: Any, heard: Heard | Reading[Event]) -> Any:
    """An event as a response message; a log as a `Feed` of messages, each made once for all of its readers.

    Args:
        kind: the class of the message.
        heard: the event, or the log.
    """
    if isinstance(heard, Heard):
        return _told(kind, heard.sequence, heard.cursor, heard.event)
    stream = heard.stream

    def make(entry: Entry[Event]) -> Shared:
        made: Shared | None = entry.views.get(kind)
        if made is None:
            message = _told(kind, entry.sequence, stream.place(entry), entry.event)
            made = entry.views[kind] = Shared(message, urgent=_is_first_word(stream, entry))
        return made

    return Feed(heard, make)


def failure_pb(error: MeshError) -> events_pb.Failure:
    """An error as the contract's `Failure`."""
    return events_pb.Failure(
        code=error.code.name, reason=error.reason, message=error.message, retryable=error.retryable
    )


def failure(message: events_pb.Failure) -> MeshError:
    """The error that a `Failure` tells of."""
    code = getattr(grpc.StatusCode, message.code, grpc.StatusCode.UNKNOWN)
    error = BY_CODE.get(code, Unknown)
    retry_after = 1.0 if message.retryable and not error.always_retryable else None
    return error(message.message, reason=message.reason, retry_after=retry_after)


def citations_pb(citations: Iterable[Citation]) -> list[citation_pb2.Citation]:
    """Citations as the contract's."""
    return [
        citation_pb2.Citation(
            passage_id=one.passage_id,
            chapter=one.chapter,
            chapter_title=one.chapter_title,
            position=one.position,
            excerpt=one.excerpt,
            score=one.score,
        )
        for one in citations
    ]


def citations(messages: Iterable[citation_pb2.Citation]) -> tuple[Citation, ...]:
    """The citations that the contract's tell of."""
    return tuple(
        Citation(
            passage_id=one.passage_id,
            chapter=one.chapter,
            chapter_title=one.chapter_title,
            position=one.position if one.HasField("position") else None,
            excerpt=one.excerpt,
            score=one.score,
        )
        for one in messages
    )


def _is_first_word(stream: Stream[Event], entry: Entry[Event]) -> bool:
    """Whether a reader has waited for it, rather than for the next one of many."""
    if type(entry.event) is not Text:
        return False
    return entry.sequence < 2 or type(stream.entries[entry.sequence - 2].event) is not Text


def _told(kind: Any, sequence: int, cursor: str, event: Event) -> Any:
    message = kind()
    message.sequence = sequence
    message.cursor = cursor
    _tell(message, event)
    return message


def _tell(message: Any, event: Event) -> None:
    if type(event) is Text:  # as nearly all are: written into its place, at half of what a copy takes
        message.token.content = event.content
    else:
        name, of = _ARMS[type(event)]
        getattr(message, name).CopyFrom(of(event))


def _summary(event: Complete | Stopped) -> pb.ReplySummary:
    record = event.record
    return pb.ReplySummary(
        conversation_id=event.conversation_id,
        message_id=event.message_id,
        content=event.content,
        usage=pb.Usage(
            prompt_tokens=record.prompt_tokens,
            completion_tokens=record.completion_tokens,
            first_token_ms=record.first_token_ms,
            total_ms=record.total_ms,
        ),
        provider=record.provider,
        model=record.model,
        passage_ids=record.passage_ids,
        degraded=record.degraded,
        citations=citations_pb(record.citations),
    )


def _summarized(summary: pb.ReplySummary) -> tuple[str, str, str, Record]:
    usage = summary.usage
    record = Record(
        provider=summary.provider,
        model=summary.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        first_token_ms=usage.first_token_ms,
        total_ms=usage.total_ms,
        passage_ids=tuple(summary.passage_ids),
        degraded=tuple(summary.degraded),
        citations=citations(summary.citations),
    )
    return summary.conversation_id, summary.message_id, summary.content, record


_ARMS: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    Progress: ("progress", lambda e: events_pb.Progress(progress=e.percent, stage=e.stage, message=e.message)),
    Seam: ("seam", lambda e: events_pb.Seam(keep=e.keep)),
    Gap: ("gap", lambda e: events_pb.Gap(first_sequence=e.first, last_sequence=e.last)),
    Complete: ("complete", _summary),
    Stopped: ("stopped", _summary),
    Failed: ("failed", lambda e: failure_pb(e.error)),
}
