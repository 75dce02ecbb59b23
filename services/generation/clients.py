"""Library and search as generation's ports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
from gaji.library.v1 import conversation_service_pb2 as library_pb
from gaji.library.v1 import conversation_service_pb2_grpc as library_rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from mesh import deadlines, errors, identity
from mesh.errors import MeshError
from services.generation.ports import (
    Edit,
    Message,
    OpeningOf,
    Outcome,
    Passage,
    PendingReply,
    Record,
    Regeneration,
    Reply,
    ReplyContext,
    ReplyTo,
    Role,
    Work,
)
from services.generation.wire import citations, citations_pb, failure, failure_pb

LIBRARY = library_pb.DESCRIPTOR.services_by_name["ConversationService"]
SEARCH = search_pb.DESCRIPTOR.services_by_name["SearchService"]
_ENDING_SECONDS = 10.0
_OUTCOMES: dict[library_pb.MessageStatus, Outcome] = {
    library_pb.MESSAGE_STATUS_PENDING: Outcome.PENDING,
    library_pb.MESSAGE_STATUS_COMPLETE: Outcome.COMPLETE,
    library_pb.MESSAGE_STATUS_FAILED: Outcome.FAILED,
    library_pb.MESSAGE_STATUS_STOPPED: Outcome.STOPPED,
}
_ROLES: dict[library_pb.MessageRole, Role] = {
    library_pb.MESSAGE_ROLE_READER: "user",
    library_pb.MESSAGE_ROLE_CHARACTER: "assistant",
}


class LibraryClient:
    """The library of conversations, over gRPC; see `services.generation.ports.Library`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = library_rpc.ConversationServiceStub(channel)

    async def begin_reply(self, work: Work, request_id: str) -> Reply:
        """Stores the reader's message and reserves the reply, once for each request id."""
        request = library_pb.BeginReplyRequest(request_id=request_id)
        match work:
            case ReplyTo(conversation_id, content):
                request.reply.CopyFrom(library_pb.ReplyTarget(conversation_id=conversation_id, content=content))
            case OpeningOf(scenario_id, character_id):
                request.opening.CopyFrom(library_pb.OpeningTarget(scenario_id=scenario_id, character_id=character_id))
            case Regeneration(conversation_id, message_id):
                request.regenerate.CopyFrom(
                    library_pb.RegenerateTarget(conversation_id=conversation_id, message_id=message_id)
                )
            case Edit(conversation_id, message_id, content):
                request.edit.CopyFrom(
                    library_pb.EditTarget(conversation_id=conversation_id, message_id=message_id, content=content)
                )
        with errors.translated("library"):
            response = await self._stub.BeginReply(request)
        return _reply(response.reply, response.epoch, response.lease_id, response.context)

    async def get_reply(self, conversation_id: str, message_id: str) -> Reply:
        """A reply of the caller's."""
        request = library_pb.GetReplyRequest(conversation_id=conversation_id, message_id=message_id)
        with errors.translated("library"):
            response = await self._stub.GetReply(request)
        return _reply(response.reply, response.epoch)

    async def take_reply(self, message_id: str, epoch: int, dead_after: float, *, mend: bool) -> Reply:
        """Takes a reply whose writer is dead, under the next epoch."""
        request = library_pb.TakeReplyRequest(
            message_id=message_id, epoch=epoch, dead_after_seconds=dead_after, mend=mend
        )
        with errors.translated("library"):
            taken = await self._stub.TakeReply(request)
        return _reply(taken.reply, taken.epoch, taken.lease_id, taken.context, taken.access_token)

    async def pending_replies(self, min_age: float, limit: int) -> list[PendingReply]:
        """Replies that have not ended, oldest first."""
        request = library_pb.ListPendingRepliesRequest(min_age_seconds=min_age, limit=limit)
        with errors.translated("library"):
            response = await self._stub.ListPendingReplies(request)
        return [PendingReply(each.message_id, each.epoch, each.lease_age_seconds) for each in response.replies]

    async def end_reply(
        self, reply: Reply, outcome: Outcome, content: str, record: Record, failure: MeshError | None
    ) -> None:
        """Stores how a reply has ended, by its lease."""
        kept = _record_pb(record)
        ids = {"message_id": reply.message_id, "lease_id": reply.lease_id}
        with _ending():
            if outcome is Outcome.COMPLETE:
                await self._stub.CompleteReply(library_pb.CompleteReplyRequest(**ids, content=content, record=kept))
            elif outcome is Outcome.STOPPED:
                request = library_pb.KeepStoppedReplyRequest(**ids, content=content, record=kept)
                await self._stub.KeepStoppedReply(request)
            else:
                if failure is not None:
                    kept.failure.CopyFrom(failure_pb(failure))
                await self._stub.FailReply(library_pb.FailReplyRequest(**ids, content=content, record=kept))


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

    async def describe_character(self, character_id: str, *, until_chapter: int) -> str:
        """See `services.generation.ports.Search`."""
        request = search_pb.GetCharacterRequest(character_id=character_id, until_chapter=until_chapter)
        with errors.translated("search"):
            response = await self._stub.GetCharacter(request)
        # A search of a release that knows no limit answers with the whole novel's: that is not for this reader.
        return response.character.description if response.HasField("until_chapter") else ""


@contextmanager
def _ending() -> Iterator[None]:
    """A reply's end is stored by the right of its lease: its reader's token and deadline may have ended before it."""
    caller = identity.current()
    identity.enter(None)
    try:
        with deadlines.scope(_ENDING_SECONDS), errors.translated("library"):
            yield
    finally:
        identity.enter(caller)


def _passage(passage: search_pb.Passage) -> Passage:
    return Passage(
        passage_id=passage.id,
        content=passage.content,
        chapter=passage.chapter,
        chapter_title=passage.chapter_title,
        position=passage.position,
        score=passage.score,
    )


def _kept(passage: library_pb.StoredPassage) -> Passage:
    return Passage(
        passage_id=passage.passage_id,
        content=passage.content,
        chapter=passage.chapter,
        chapter_title=passage.chapter_title,
        position=passage.position if passage.HasField("position") else None,
    )


def _record(record: library_pb.ReplyRecord) -> Record:
    return Record(
        provider=record.provider,
        model=record.model,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        first_token_ms=record.first_token_ms,
        total_ms=record.total_ms,
        passage_ids=tuple(record.passage_ids),
        last_sequence=record.last_sequence,
        degraded=tuple(record.degraded),
        citations=citations(record.citations),
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
        last_sequence=record.last_sequence,
        degraded=record.degraded,
        citations=citations_pb(record.citations),
    )


def _reply(
    message: library_pb.Message,
    epoch: int,
    lease_id: str = "",
    context: library_pb.ReplyContext | None = None,
    access_token: str = "",
) -> Reply:
    failed = message.record.HasField("failure")
    return Reply(
        conversation_id=message.conversation_id,
        message_id=message.message_id,
        outcome=_OUTCOMES[message.status],
        epoch=epoch,
        content=message.content,
        record=_record(message.record) if message.HasField("record") else Record(),
        failure=failure(message.record.failure) if failed else None,
        lease_id=lease_id,
        context=_context(context) if context is not None and lease_id else None,
        access_token=access_token,
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
        character_id=context.character_id,
        until_chapter=scenario.until_chapter if scenario.HasField("until_chapter") else None,
        scenario_passage_ids=tuple(scenario.passage_ids),
        scenario_passages=tuple(map(_kept, context.scenario_passages)),
        novel_passages=tuple(map(_kept, context.novel_passages)),
        speech_samples=tuple(map(_kept, context.speech_samples)),
        history=tuple(
            Message(message.message_id, _ROLES[message.role], message.content)
            for message in context.history
            if message.role in _ROLES
        ),
    )
