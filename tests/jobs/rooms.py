"""Rooms that do as they are told, on a real gRPC server, and remember what they were asked."""

import asyncio
from collections import defaultdict
from typing import Any

import grpc
from gaji.generation.v1 import generation_service_pb2 as generation_pb
from gaji.generation.v1 import generation_service_pb2_grpc as generation_rpc
from gaji.library.v1 import conversation_service_pb2 as conversation_pb
from gaji.library.v1 import conversation_service_pb2_grpc as conversation_rpc
from gaji.library.v1 import novel_service_pb2 as novel_pb
from gaji.library.v1 import novel_service_pb2_grpc as novel_rpc

Context = Any


class Rooms:
    """What the rooms are told and asked.

    Attributes:
        asked: each call's RPC and id, in order.
        refusals: by id, the codes that its next calls are refused with.
        held: by id, what its calls wait for.
        failures: by id, why it was abandoned.
        orphans: what ListOrphans tells; None: it is refused.
        novels: what ListWaitingNovels tells; None: it is refused.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refusals: dict[str, list[grpc.StatusCode]] = defaultdict(list)
        self.held: dict[str, asyncio.Event] = {}
        self.failures: dict[str, Any] = {}
        self.orphans: list[str] | None = []
        self.novels: list[str] | None = []

    def times(self, rpc: str, key: str) -> int:
        """How often an RPC was called for an id."""
        return self.asked.count((rpc, key))

    async def answer(self, rpc: str, key: str, context: Context) -> None:
        """Notes a call, and refuses it or lets it wait where that is wanted."""
        self.asked.append((rpc, key))
        if self.refusals[key]:
            await context.abort(self.refusals[key].pop(0), "no")
        if key in self.held:
            await self.held[key].wait()


class Generation(generation_rpc.GenerationServiceServicer):
    """Generation."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def FinishReply(self, request: Any, context: Context) -> Any:  # noqa: N802 - the contract's name
        await self._rooms.answer("FinishReply", request.message_id, context)
        return generation_pb.FinishReplyResponse(outcome="complete")

    async def ListOrphans(self, request: Any, context: Context) -> Any:  # noqa: N802 - the contract's name
        self._rooms.asked.append(("ListOrphans", ""))
        if self._rooms.orphans is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no")
        return generation_pb.ListOrphansResponse(message_ids=self._rooms.orphans)


class Conversations(conversation_rpc.ConversationServiceServicer):
    """Library's replies."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def AbandonReply(self, request: Any, context: Context) -> Any:  # noqa: N802 - the contract's name
        await self._rooms.answer("AbandonReply", request.message_id, context)
        self._rooms.failures[request.message_id] = request.failure
        return conversation_pb.AbandonReplyResponse()


class Novels(novel_rpc.NovelServiceServicer):
    """Library's novels."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def RunIngestion(self, request: Any, context: Context) -> Any:  # noqa: N802 - the contract's name
        await self._rooms.answer("RunIngestion", request.novel_id, context)
        return novel_pb.RunIngestionResponse(status=novel_pb.INGESTION_STATUS_COMPLETE)

    async def ListWaitingNovels(self, request: Any, context: Context) -> Any:  # noqa: N802 - the contract's name
        self._rooms.asked.append(("ListWaitingNovels", ""))
        if self._rooms.novels is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no")
        return novel_pb.ListWaitingNovelsResponse(novel_ids=self._rooms.novels)

    async def AbandonIngestion(self, request: Any, context: Context) -> Any:  # noqa: N802 - the contract's name
        await self._rooms.answer("AbandonIngestion", request.novel_id, context)
        self._rooms.failures[request.novel_id] = request.failure
        return novel_pb.AbandonIngestionResponse()
