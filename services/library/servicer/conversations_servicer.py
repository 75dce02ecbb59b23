"""Conversations, their messages, and the replies that generation writes."""

from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import conversation_service_pb2_grpc as rpc

from mesh.errors import InvalidArgument
from mesh.interceptors.pipeline import Context
from services.library.domain.conversations import Conversations
from services.library.domain.replies import Begun, Replies
from services.library.servicer import wire


class ConversationServicer(rpc.ConversationServiceServicer):
    """`gaji.library.v1.ConversationService`."""

    def __init__(self, conversations: Conversations, replies: Replies) -> None:
        self._conversations = conversations
        self._replies = replies

    async def CreateConversation(
        self, request: pb.CreateConversationRequest, context: Context
    ) -> pb.CreateConversationResponse:
        user_id = wire.caller()
        scenario_id, character_id = wire.uuids(scenario_id=request.scenario_id, character_id=request.character_id)
        created = await self._conversations.create(user_id, scenario_id, character_id, request.request_id)
        return pb.CreateConversationResponse(
            conversation_id=str(created.conversation_id), status=wire.conversation_status(created.status)
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
        page = await self._conversations.messages(user_id, conversation_id, request.page_size, request.page_token)
        return pb.ListMessagesResponse(messages=map(wire.message, page.items), next_page_token=page.next_token)

    async def BeginReply(self, request: pb.BeginReplyRequest, context: Context) -> pb.BeginReplyResponse:
        user_id = wire.caller()
        target = request.WhichOneof("target")
        if target == "reply":
            (conversation_id,) = wire.uuids(conversation_id=request.reply.conversation_id)
            begun = await self._replies.begin_answer(
                user_id, conversation_id, request.reply.content, request.request_id
            )
        elif target == "opening":
            opening = request.opening
            scenario_id, character_id = wire.uuids(scenario_id=opening.scenario_id, character_id=opening.character_id)
            begun = await self._replies.begin_opening(user_id, scenario_id, character_id, request.request_id)
        else:
            text = "is missing; give reply or opening"
            raise InvalidArgument(f"target {text}", reason="INVALID_FIELD", fields={"target": text})
        return _begun(begun)

    async def CompleteReply(self, request: pb.CompleteReplyRequest, context: Context) -> pb.CompleteReplyResponse:
        message_id, lease_id = wire.uuids(message_id=request.message_id, lease_id=request.lease_id)
        record = wire.read_record(request.record)
        reply = await self._replies.complete(message_id, lease_id, request.content, record)
        return pb.CompleteReplyResponse(reply=wire.message(reply))

    async def FailReply(self, request: pb.FailReplyRequest, context: Context) -> pb.FailReplyResponse:
        message_id, lease_id = wire.uuids(message_id=request.message_id, lease_id=request.lease_id)
        record = wire.read_record(request.record)
        reply = await self._replies.fail(message_id, lease_id, request.content, record)
        return pb.FailReplyResponse(reply=wire.message(reply))


def _begun(begun: Begun) -> pb.BeginReplyResponse:
    response = pb.BeginReplyResponse(
        reply=wire.message(begun.reply), lease_id=str(begun.lease_id) if begun.lease_id else ""
    )
    if begun.context is not None:
        conversation = begun.context.conversation
        response.context.CopyFrom(
            pb.ReplyContext(
                novel=wire.novel(begun.context.novel),
                scenario=wire.scenario(begun.context.scenario),
                character_id=str(conversation.character_id),
                character_name=conversation.character_name,
                character_description=conversation.character_description,
                history=map(wire.message, begun.context.history),
            )
        )
    return response
