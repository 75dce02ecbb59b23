"""The contract in front of the replies."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from mesh import identity
from mesh.limiter import waits
from mesh.streamlog import Cursor
from mesh.validation import Violations
from services.generation.domain.replies import Replies
from services.generation.ports import Edit, OpeningOf, Regeneration, Reply, ReplyTo, Work
from services.generation.wire import response

_MOST_ORPHANS = 1000


class GenerationServicer(rpc.GenerationServiceServicer):
    """Answers GenerationService. Of a reply that is being written, streams are feeds: see `wire.response`."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies

    def StreamReply(self, request: pb.StreamReplyRequest, context: Any) -> AsyncGenerator[Any, None]:
        def check(check: Violations) -> Work:
            check.text("content", request.content, 1, 8_000)
            return ReplyTo(request.conversation_id, request.content)

        return self._begun(pb.StreamReplyResponse, request, check)

    def StreamOpening(self, request: pb.StreamOpeningRequest, context: Any) -> AsyncGenerator[Any, None]:
        def check(check: Violations) -> Work:
            check.uuid("scenario_id", request.scenario_id)
            check.uuid("character_id", request.character_id)
            return OpeningOf(request.scenario_id, request.character_id)

        return self._begun(pb.StreamOpeningResponse, request, check)

    def RegenerateReply(self, request: pb.RegenerateReplyRequest, context: Any) -> AsyncGenerator[Any, None]:
        def check(check: Violations) -> Work:
            check.uuid("message_id", request.message_id)
            return Regeneration(request.conversation_id, request.message_id)

        return self._begun(pb.RegenerateReplyResponse, request, check)

    def EditMessage(self, request: pb.EditMessageRequest, context: Any) -> AsyncGenerator[Any, None]:
        def check(check: Violations) -> Work:
            check.uuid("message_id", request.message_id)
            check.text("content", request.content, 1, 8_000)
            return Edit(request.conversation_id, request.message_id, request.content)

        return self._begun(pb.EditMessageResponse, request, check)

    async def WatchReply(self, request: pb.WatchReplyRequest, context: Any) -> AsyncGenerator[Any, None]:
        identity.require()
        check = Violations()
        check.uuid("conversation_id", request.conversation_id)
        if request.message_id:
            check.uuid("message_id", request.message_id)
        check.raise_if_any()
        after = Cursor.parse(request.after) if request.after else None
        reply = await self._replies.find(request.conversation_id, request.message_id)
        async with aclosing(self._events(pb.WatchReplyResponse, reply, after)) as messages:
            async for message in messages:
                yield message

    async def StopReply(self, request: pb.StopReplyRequest, context: Any) -> pb.StopReplyResponse:
        identity.require()
        check = Violations()
        check.uuid("conversation_id", request.conversation_id)
        check.uuid("message_id", request.message_id)
        check.raise_if_any()
        waits()  # for whoever writes it
        reply = await self._replies.stop(request.conversation_id, request.message_id)
        return pb.StopReplyResponse(message_id=reply.message_id, outcome=reply.outcome, content=reply.content)

    async def FinishReply(self, request: pb.FinishReplyRequest, context: Any) -> pb.FinishReplyResponse:
        check = Violations()
        check.uuid("message_id", request.message_id)
        check.raise_if_any()
        waits()  # for a whole reply
        return pb.FinishReplyResponse(outcome=await self._replies.finish(request.message_id))

    async def ListOrphans(self, request: pb.ListOrphansRequest, context: Any) -> pb.ListOrphansResponse:
        if not 0 <= request.limit <= _MOST_ORPHANS:
            check = Violations()
            check.add("limit", f"is {request.limit}; give a number from 1 to {_MOST_ORPHANS}, or none")
            check.raise_if_any()
        return pb.ListOrphansResponse(message_ids=await self._replies.orphans(request.limit or 100))

    async def _begun(
        self, kind: Any, request: Any, check_rest: Callable[[Violations], Work]
    ) -> AsyncGenerator[Any, None]:
        """The events of a reply that the request begins or, with a cursor, goes on to read."""
        identity.require()
        conversation_id = getattr(request, "conversation_id", "")  # an opening's is yet to be made
        check = Violations()
        if "conversation_id" in request.DESCRIPTOR.fields_by_name:
            check.uuid("conversation_id", conversation_id)
        if request.after:
            check.raise_if_any()
            after = Cursor.parse(request.after)
            reply = await self._replies.at(conversation_id, after)
        else:
            work = check_rest(check)
            check.request_id("request_id", request.request_id)
            check.raise_if_any()
            after, reply = None, await self._replies.begin(work, request.request_id)
        async with aclosing(self._events(kind, reply, after)) as messages:
            async for message in messages:
                yield message

    async def _events(self, kind: Any, reply: Reply, after: Cursor | None) -> AsyncGenerator[Any, None]:
        async with aclosing(self._replies.events(reply, after)) as events:
            async for heard in events:
                yield response(kind, heard)
