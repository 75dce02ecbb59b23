"""A conversation for tests, and what generation does with it."""

from dataclasses import dataclass

from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.library.v1 import conversation_service_pb2 as pb

from tests.library.conftest import FakeSearch, LibraryClient, Reader

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


@dataclass
class Talk:
    """A conversation, and what generation does with it."""

    library: LibraryClient
    reader: Reader
    scenario_id: str
    character_id: str
    conversation_id: str = ""
    opening_id: str = ""

    async def say(self, content: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.ReplyTarget(conversation_id=self.conversation_id, content=content)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, reply=target))

    async def open(self, request_id: str = "", character_id: str = "") -> pb.BeginReplyResponse:
        target = pb.OpeningTarget(scenario_id=self.scenario_id, character_id=character_id or self.character_id)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, opening=target))

    async def again(self, message_id: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.RegenerateTarget(conversation_id=self.conversation_id, message_id=message_id)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, regenerate=target))

    async def edit(self, message_id: str, content: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.EditTarget(conversation_id=self.conversation_id, message_id=message_id, content=content)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, edit=target))

    async def begin(self, request: pb.BeginReplyRequest) -> pb.BeginReplyResponse:
        return await self.reader.call(self.library.conversations.BeginReply, request)

    async def complete(self, begun: pb.BeginReplyResponse, content: str) -> pb.Message:
        request = pb.CompleteReplyRequest(
            message_id=begun.reply.message_id, lease_id=begun.lease_id, content=content, record=RECORD
        )
        # Generation may have outlived the reader's token: no identity is needed.
        return (await self.library.nobody.call(self.library.conversations.CompleteReply, request)).reply

    async def fail(self, begun: pb.BeginReplyResponse, content: str) -> pb.Message:
        record = pb.ReplyRecord()
        record.CopyFrom(RECORD)
        record.failure.CopyFrom(events_pb.Failure(code="UNAVAILABLE", reason="MODEL_DOWN", message="x", retryable=True))
        request = pb.FailReplyRequest(
            message_id=begun.reply.message_id, lease_id=begun.lease_id, content=content, record=record
        )
        return (await self.library.nobody.call(self.library.conversations.FailReply, request)).reply

    async def stop(self, begun: pb.BeginReplyResponse, content: str) -> pb.Message:
        request = pb.KeepStoppedReplyRequest(
            message_id=begun.reply.message_id, lease_id=begun.lease_id, content=content, record=RECORD
        )
        return (await self.library.nobody.call(self.library.conversations.KeepStoppedReply, request)).reply

    async def take(
        self, message_id: str, epoch: int, dead_after: float = 0, *, mend: bool = True
    ) -> pb.TakeReplyResponse:
        request = pb.TakeReplyRequest(message_id=message_id, epoch=epoch, dead_after_seconds=dead_after, mend=mend)
        return await self.library.nobody.call(self.library.conversations.TakeReply, request)

    async def get(self, conversation_id: str = "", message_id: str = "") -> pb.GetReplyResponse:
        request = pb.GetReplyRequest(conversation_id=conversation_id, message_id=message_id)
        return await self.reader.call(self.library.conversations.GetReply, request)

    async def pending(self, min_age: float = 0, limit: int = 0) -> list[pb.PendingReply]:
        request = pb.ListPendingRepliesRequest(min_age_seconds=min_age, limit=limit)
        return list((await self.library.nobody.call(self.library.conversations.ListPendingReplies, request)).replies)

    async def messages(self) -> list[pb.Message]:
        request = pb.ListMessagesRequest(conversation_id=self.conversation_id)
        return list((await self.reader.call(self.library.conversations.ListMessages, request)).messages)

    async def conversation(self) -> pb.Conversation:
        request = pb.GetConversationRequest(conversation_id=self.conversation_id)
        return (await self.reader.call(self.library.conversations.GetConversation, request)).conversation


RECORD = pb.ReplyRecord(
    provider="scripted",
    model="words",
    prompt_tokens=11,
    completion_tokens=22,
    first_token_ms=33,
    total_ms=44,
    passage_ids=[UNKNOWN],
    last_sequence=55,
)


async def make_talk(library: LibraryClient, search: FakeSearch) -> Talk:
    reader = await library.guest()
    novel_id = await library.novel(reader)
    scenario = await library.scenario(reader, novel_id)
    talk = Talk(library, reader, scenario.scenario_id, search.add_character(novel_id))
    request = pb.CreateConversationRequest(
        scenario_id=talk.scenario_id, character_id=talk.character_id, request_id="made"
    )
    created = await reader.call(library.conversations.CreateConversation, request)
    talk.conversation_id, talk.opening_id = created.conversation_id, created.message_id
    return talk
