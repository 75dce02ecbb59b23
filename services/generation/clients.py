"""Library and search as generation's ports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.library.v1 import conversation_service_pb2 as library_pb
from gaji.library.v1 import conversation_service_pb2_grpc as library_rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from mesh import deadlines, errors, identity
from mesh.errors import MeshError
from services.generation.ports import (
    BegunReply,
    Message,
    OpeningOf,
    Passage,
    Record,
    ReplyContext,
    ReplyTo,
    Role,
    Work,
)

LIBRARY = library_pb.DESCRIPTOR.services_by_name["ConversationService"]
SEARCH = search_pb.DESCRIPTOR.services_by_name["SearchService"]
_ENDING_SECONDS = 10.0
_ROLES: dict[library_pb.MessageRole, Role] = {
    library_pb.MESSAGE_ROLE_READER: "user",
    library_pb.MESSAGE_ROLE_CHARACTER: "assistant",
}


class LibraryClient:
    """The library of conversations, over gRPC."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = library_rpc.ConversationServiceStub(channel)

    async def begin_reply(self, work: Work, request_id: str) -> BegunReply:
        """See `services.generation.ports.Library`."""
        request = library_pb.BeginReplyRequest(request_id=request_id)
        match work:
            case ReplyTo(conversation_id, content):
                request.reply.CopyFrom(library_pb.ReplyTarget(conversation_id=conversation_id, content=content))
            case OpeningOf(scenario_id, character_id):
                request.opening.CopyFrom(library_pb.OpeningTarget(scenario_id=scenario_id, character_id=character_id))
        with errors.translated("library"):
            response = await self._stub.BeginReply(request)
        reply = response.reply
        return BegunReply(
            conversation_id=reply.conversation_id,
            message_id=reply.message_id,
            lease_id=response.lease_id,
            content=reply.content,
            record=_record(reply.record),
            context=_context(response.context) if response.HasField("context") else None,
        )

    async def complete_reply(self, begun: BegunReply, content: str, record: Record) -> None:
        """See `services.generation.ports.Library`."""
        request = library_pb.CompleteReplyRequest(
            message_id=begun.message_id, lease_id=begun.lease_id, content=content, record=_record_pb(record)
        )
        with _ending():
            await self._stub.CompleteReply(request, wait_for_ready=True)

    async def fail_reply(self, begun: BegunReply, content: str, record: Record, failure: MeshError) -> None:
        """See `services.generation.ports.Library`."""
        kept = _record_pb(record)
        kept.failure.CopyFrom(failure_pb(failure))
        request = library_pb.FailReplyRequest(
            message_id=begun.message_id, lease_id=begun.lease_id, content=content, record=kept
        )
        with _ending():
            await self._stub.FailReply(request, wait_for_ready=True)


class SearchClient:
    """The search of passages, over gRPC."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = search_rpc.SearchServiceStub(channel)

    async def search_passages(
        self, novel_id: str, query: str, *, top_k: int, until_chapter: int | None
    ) -> list[Passage]:
        """See `services.generation.ports.Search`."""
        request = search_pb.SearchPassagesRequest(
            novel_id=novel_id, query=query, top_k=top_k, until_chapter=until_chapter
        )
        with errors.translated("search"):
            response = await self._stub.SearchPassages(request)
        return [_passage(passage) for passage in response.passages]

    async def get_passages(self, novel_id: str, ids: Sequence[str], *, until_chapter: int | None) -> list[Passage]:
        """See `services.generation.ports.Search`."""
        request = search_pb.GetPassagesRequest(novel_id=novel_id, passage_ids=ids, until_chapter=until_chapter)
        with errors.translated("search"):
            response = await self._stub.GetPassages(request)
        return [_passage(passage) for passage in response.passages]


def failure_pb(error: MeshError) -> events_pb.Failure:
    """An error as the contract's `Failure`."""
    return events_pb.Failure(
        code=error.code.name, reason=error.reason, message=error.message, retryable=error.retryable
    )


@contextmanager
def _ending() -> Iterator[None]:
    """A reply's end is stored by the right of its lease: its reader's token and deadline may have ended before it.

    The calls wait for a library that is just restarting: nobody else knows the text.
    """
    caller = identity.current()
    identity.enter(None)
    try:
        with deadlines.scope(_ENDING_SECONDS), errors.translated("library"):
            yield
    finally:
        identity.enter(caller)


def _passage(passage: search_pb.Passage) -> Passage:
    return Passage(passage_id=passage.id, content=passage.content, chapter=passage.chapter)


def _record(record: library_pb.ReplyRecord) -> Record:
    return Record(
        provider=record.provider,
        model=record.model,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        first_token_ms=record.first_token_ms,
        total_ms=record.total_ms,
        passage_ids=tuple(record.passage_ids),
    )


def _record_pb(record: Record) -> library_pb.ReplyRecord:
    return library_pb.ReplyRecord(
        provider=record.provider,
        model=record.model,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        first_token_ms=record.first_token_ms,
        total_ms=record.total_ms,
        passage_ids=record.passage_ids,
    )


def _context(context: library_pb.ReplyContext) -> ReplyContext:
    scenario = context.scenario
    return ReplyContext(
        novel_id=context.novel.novel_id,
        novel_title=context.novel.title,
        novel_author=context.novel.author,
        scenario_title=scenario.title,
        scenario_description=scenario.description,
        character_name=context.character_name,
        character_description=context.character_description,
        until_chapter=scenario.until_chapter if scenario.HasField("until_chapter") else None,
        scenario_passage_ids=tuple(scenario.passage_ids),
        history=tuple(
            Message(message.message_id, _ROLES[message.role], message.content)
            for message in context.history
            if message.role in _ROLES
        ),
    )
