"""Conversations, their messages, and the replies that generation writes."""

from typing import Protocol
from uuid import UUID

from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import conversation_service_pb2_grpc as rpc
from google.api.httpbody_pb2 import HttpBody

from mesh.errors import InvalidArgument
from mesh.interceptors.pipeline import Context
from services.library.domain.branches import Branches
from services.library.domain.conversations import Conversations
from services.library.domain.replies import Begun, Replies
from services.library.domain.writing import Writing
from services.library.servicer import wire


class ConversationServicer(rpc.ConversationServiceServicer):
    """`gaji.library.v1.ConversationService`."""

    def __init__(self, conversations: Conversations, branches: Branches, replies: Replies, writing: Writing) -> None:
        self._conversations = conversations
        self._branches = branches
        self._replies = replies
        self._writing = writing

    async def CreateConversation(
        self, request: pb.CreateConversationRequest, context: Context
    ) -> pb.CreateConversationResponse:
        user_id = wire.caller()
        scenario_id, character_id = wire.uuids(scenario_id=request.scenario_id, character_id=request.character_id)
        created, opening_id = await self._replies.reserve_opening(
            user_id, scenario_id, character_id, request.request_id
        )
        return pb.CreateConversationResponse(
            conversation_id=str(created.conversation_id),
            status=wire.conversation_status(created.status),
            message_id=str(opening_id or ""),
        )

    async def GetConversation(self, request: pb.GetConversationRequest, context: Context) -> pb.GetConversationResponse:
        user_id = wire.caller()
        (conversation_id,) = wire.uuids(conversation_id=request.conversation_id)
        found = await self._conversations.get(user_id, conversation_id)
        return pb.GetConversationResponse(conversation=wire.conversation(found))

    async def ListConversations(
        self, request: pb.ListConversationsRequest, context: Context
    ) -> pb.ListConversationsResponse:
        page = await self._conversations.page(wire.caller(), request.page_size, request.page_token)
        return pb.ListConversationsResponse(
            conversations=map(wire.conversation, page.items), next_page_token=page.next_token
        )

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: Context
    ) -> pb.DeleteConversationResponse:
        user_id = wire.caller()
        (conversation_id,) = wire.uuids(conversation_id=request.conversation_id)
        await self._conversations.delete(user_id, conversation_id)
        return pb.DeleteConversationResponse()

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        user_id = wire.caller()
        (conversation_id,) = wire.uuids(conversation_id=request.conversation_id)
        page = await self._branches.messages(user_id, conversation_id, request.page_size, request.page_token)
        return pb.ListMessagesResponse(messages=map(wire.message, page.items), next_page_token=page.next_token)

    async def GetConversationTree(
        self, request: pb.GetConversationTreeRequest, context: Context
    ) -> pb.GetConversationTreeResponse:
        user_id = wire.caller()
        (conversation_id,) = wire.uuids(conversation_id=request.conversation_id)
        tree = await self._branches.tree(user_id, conversation_id)
        return pb.GetConversationTreeResponse(
            nodes=map(wire.node, tree.nodes), head_message_id=str(tree.head_id or ""), truncated=tree.truncated
        )

    async def ListAlternatives(
        self, request: pb.ListAlternativesRequest, context: Context
    ) -> pb.ListAlternativesResponse:
        found = await self._branches.alternatives(wire.caller(), *_message(request))
        return pb.ListAlternativesResponse(messages=map(wire.message, found))

    async def ChooseMessage(self, request: pb.ChooseMessageRequest, context: Context) -> pb.ChooseMessageResponse:
        chosen = await self._branches.choose(wire.caller(), *_message(request))
        return pb.ChooseMessageResponse(conversation=wire.conversation(chosen))

    async def DeleteMessage(self, request: pb.DeleteMessageRequest, context: Context) -> pb.DeleteMessageResponse:
        await self._branches.delete(wire.caller(), *_message(request))
        return pb.DeleteMessageResponse()

    async def ForkConversation(
        self, request: pb.ForkConversationRequest, context: Context
    ) -> pb.ForkConversationResponse:
        made = await self._branches.fork(wire.caller(), *_message(request), request.request_id)
        return pb.ForkConversationResponse(conversation=wire.conversation(made))

    async def ExportConversation(
        self, request: pb.ExportConversationRequest, context: Context
    ) -> pb.ExportConversationResponse:
        user_id = wire.caller()
        (conversation_id,) = wire.uuids(conversation_id=request.conversation_id)
        file = await self._branches.export(user_id, conversation_id, request.format)
        return pb.ExportConversationResponse(file=HttpBody(content_type=file.content_type, data=file.data))

    async def BeginReply(self, request: pb.BeginReplyRequest, context: Context) -> pb.BeginReplyResponse:
        begun = await self._begin(wire.caller(), request)
        return pb.BeginReplyResponse(
            reply=wire.message(begun.reply.message),
            lease_id=str(begun.lease_id or ""),
            context=wire.context(begun.context) if begun.context else None,
            epoch=begun.reply.epoch,
            lease_age_seconds=begun.reply.lease_age,
        )

    async def _begin(self, user_id: UUID, request: pb.BeginReplyRequest) -> Begun:
        target, request_id = request.WhichOneof("target"), request.request_id
        if target == "reply":
            (conversation_id,) = wire.uuids(conversation_id=request.reply.conversation_id)
            return await self._replies.begin_answer(user_id, conversation_id, request.reply.content, request_id)
        if target == "opening":
            opening = request.opening
            scenario_id, character_id = wire.uuids(scenario_id=opening.scenario_id, character_id=opening.character_id)
            return await self._replies.begin_opening(user_id, scenario_id, character_id, request_id)
        if target == "regenerate":
            return await self._replies.begin_again(user_id, *_message(request.regenerate), request_id)
        if target == "edit":
            edit = request.edit
            return await self._replies.begin_edited(user_id, *_message(edit), edit.content, request_id)
        text = "is missing; give reply, opening, regenerate or edit"
        raise InvalidArgument(f"target {text}", reason="INVALID_FIELD", fields={"target": text})

    async def GetReply(self, request: pb.GetReplyRequest, context: Context) -> pb.GetReplyResponse:
        user_id = wire.caller()
        given = {"conversation_id": request.conversation_id, "message_id": request.message_id}
        names = [name for name, value in given.items() if value]
        ids = dict(zip(names, wire.uuids(**{name: given[name] for name in names}), strict=True))
        reply = await self._writing.get(user_id, ids.get("conversation_id"), ids.get("message_id"))
        return pb.GetReplyResponse(
            reply=wire.message(reply.message), epoch=reply.epoch, lease_age_seconds=reply.lease_age
        )

    async def TakeReply(self, request: pb.TakeReplyRequest, context: Context) -> pb.TakeReplyResponse:
        (message_id,) = wire.uuids(message_id=request.message_id)
        taken = await self._writing.take(message_id, request.epoch, request.dead_after_seconds, mend=request.mend)
        return pb.TakeReplyResponse(
            reply=wire.message(taken.reply.message),
            lease_id=str(taken.lease_id or ""),
            context=wire.context(taken.context) if taken.context else None,
            epoch=taken.reply.epoch,
            access_token=taken.access_token,
        )

    async def CompleteReply(self, request: pb.CompleteReplyRequest, context: Context) -> pb.CompleteReplyResponse:
        message_id, lease_id = wire.uuids(message_id=request.message_id, lease_id=request.lease_id)
        record = wire.read_record(request.record)
        reply = await self._writing.complete(message_id, lease_id, request.content, record)
        return pb.CompleteReplyResponse(reply=wire.message(reply))

    async def FailReply(self, request: pb.FailReplyRequest, context: Context) -> pb.FailReplyResponse:
        message_id, lease_id = wire.uuids(message_id=request.message_id, lease_id=request.lease_id)
        record = wire.read_record(request.record)
        reply = await self._writing.fail(message_id, lease_id, request.content, record)
        return pb.FailReplyResponse(reply=wire.message(reply))

    async def KeepStoppedReply(
        self, request: pb.KeepStoppedReplyRequest, context: Context
    ) -> pb.KeepStoppedReplyResponse:
        message_id, lease_id = wire.uuids(message_id=request.message_id, lease_id=request.lease_id)
        record = wire.read_record(request.record)
        reply = await self._writing.stop(message_id, lease_id, request.content, record)
        return pb.KeepStoppedReplyResponse(reply=wire.message(reply))

    async def ListPendingReplies(
        self, request: pb.ListPendingRepliesRequest, context: Context
    ) -> pb.ListPendingRepliesResponse:
        found = await self._writing.pending(request.min_age_seconds, request.limit)
        return pb.ListPendingRepliesResponse(
            replies=[
                pb.PendingReply(message_id=str(reply.message_id), epoch=reply.epoch, lease_age_seconds=reply.lease_age)
                for reply in found
            ]
        )

    async def AbandonReply(self, request: pb.AbandonReplyRequest, context: Context) -> pb.AbandonReplyResponse:
        (message_id,) = wire.uuids(message_id=request.message_id)
        await self._writing.abandon(message_id, wire.read_failure(request.failure))
        return pb.AbandonReplyResponse()


class _NamesMessage(Protocol):
    """A request that names a message of a conversation."""

    conversation_id: str
    message_id: str


def _message(request: _NamesMessage) -> tuple[UUID, UUID]:
    conversation_id, message_id = wire.uuids(conversation_id=request.conversation_id, message_id=request.message_id)
    return conversation_id, message_id
