"""Library and search as generation meets them: real gRPC servers that keep their state in memory."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc
from gaji.library.v1 import conversation_service_pb2 as library_pb
from gaji.library.v1 import conversation_service_pb2_grpc as library_rpc
from gaji.library.v1 import novel_service_pb2 as novel_pb
from gaji.library.v1 import scenario_service_pb2 as scenario_pb
from gaji.search.v1 import search_service_pb2 as search_pb
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from mesh import identity
from mesh.client import open_channel
from mesh.errors import Aborted, FailedPrecondition, MeshError, NotFound
from mesh.server import MeshServer, Service, open_server
from services.generation.__main__ import serving
from services.generation.clients import LIBRARY, SEARCH
from services.generation.config import GenerationSettings
from services.generation.ports import ModelProvider

NOVEL, SCENARIO, CHARACTER, CONVERSATION, READER = (str(uuid.UUID(int=number, version=4)) for number in range(1, 6))
GENERATION = pb.DESCRIPTOR.services_by_name["GenerationService"]


@dataclass
class Row:
    """A reply as the library has it."""

    message: library_pb.Message
    request: library_pb.BeginReplyRequest
    user_id: str
    epoch: int = 0
    leased_at: float = 0.0

    @property
    def lease_id(self) -> str:
        """The present writer's."""
        return f"lease {self.epoch} of {self.message.message_id}"

    @property
    def age(self) -> float:
        """Seconds since it was taken up."""
        return time.monotonic() - self.leased_at

    def take(self) -> None:
        """Gives it to the next writer."""
        self.epoch += 1
        self.leased_at = time.monotonic()


class LibraryFake(library_rpc.ConversationServiceServicer):
    """Keeps replies by request id, with epochs and leases as the library does.

    `begin_error` and `end_error` are raised when set; with `begin_gate` BeginReply waits.
    """

    def __init__(self) -> None:
        self.history: list[library_pb.Message] = []
        self.until_chapter: int | None = None
        self.passage_ids: list[str] = []
        self.scenario_passages: list[library_pb.StoredPassage] = []
        self.novel_passages: list[library_pb.StoredPassage] = []
        self.begin_error: MeshError | None = None
        self.end_error: MeshError | None = None
        self.begin_gate: asyncio.Event | None = None
        self.rows: dict[str, Row] = {}
        self.completed: list[library_pb.CompleteReplyRequest] = []
        self.failed: list[library_pb.FailReplyRequest] = []
        self.stopped: list[library_pb.KeepStoppedReplyRequest] = []
        self.users: set[str] = set()
        self.takes = 0
        self.tokens: list[str | None] = []
        self.ended = asyncio.Event()

    def row(self, message_id: str) -> Row:
        """A reply.

        Raises:
            NotFound: there is none.
        """
        for row in self.rows.values():
            if row.message.message_id == message_id:
                return row
        raise NotFound("there is no such reply", reason="MESSAGE_NOT_FOUND")

    def reserve(self, request: library_pb.BeginReplyRequest) -> Row:
        """A pending reply that nobody has taken up."""
        reply = library_pb.Message(
            message_id=str(uuid.uuid4()),
            conversation_id=CONVERSATION,
            role=library_pb.MESSAGE_ROLE_CHARACTER,
            status=library_pb.MESSAGE_STATUS_PENDING,
        )
        row = self.rows[request.request_id or reply.message_id] = Row(reply, request, READER, 0, time.monotonic())
        return row

    async def BeginReply(self, request: library_pb.BeginReplyRequest, context: Any) -> library_pb.BeginReplyResponse:  # noqa: N802 - the contract's name
        self.users.add(identity.require().user_id)
        if self.begin_gate is not None:
            await self.begin_gate.wait()
        if self.begin_error is not None:
            raise self.begin_error
        row = self.rows.get(request.request_id) or self.reserve(request)
        status = row.message.status
        if status == library_pb.MESSAGE_STATUS_FAILED:
            row.message.status = library_pb.MESSAGE_STATUS_PENDING
            row.message.content = ""
            row.message.ClearField("record")
        elif status != library_pb.MESSAGE_STATUS_PENDING or row.epoch:
            return library_pb.BeginReplyResponse(reply=row.message, epoch=row.epoch, lease_age_seconds=row.age)
        row.take()
        return library_pb.BeginReplyResponse(
            reply=row.message, lease_id=row.lease_id, epoch=row.epoch, context=self._context(row)
        )

    async def GetReply(self, request: library_pb.GetReplyRequest, context: Any) -> library_pb.GetReplyResponse:  # noqa: N802 - the contract's name
        user_id = identity.require().user_id
        row = self.row(request.message_id or next(iter(self.rows.values())).message.message_id)
        if user_id != row.user_id or request.conversation_id not in {"", CONVERSATION}:
            raise NotFound("there is no such reply", reason="MESSAGE_NOT_FOUND")
        return library_pb.GetReplyResponse(reply=row.message, epoch=row.epoch, lease_age_seconds=row.age)

    async def TakeReply(self, request: library_pb.TakeReplyRequest, context: Any) -> library_pb.TakeReplyResponse:  # noqa: N802 - the contract's name
        row = self.row(request.message_id)
        if row.message.status != library_pb.MESSAGE_STATUS_PENDING and not request.mend:
            return library_pb.TakeReplyResponse(reply=row.message, epoch=row.epoch)
        if row.epoch != request.epoch and row.age < request.dead_after_seconds:
            raise Aborted("another has taken it", reason="REPLY_TAKEN")
        self.takes += 1
        caller = identity.current()
        self.tokens.append(caller.token if caller else None)
        row.take()
        if row.message.status != library_pb.MESSAGE_STATUS_PENDING:
            return library_pb.TakeReplyResponse(reply=row.message, epoch=row.epoch)
        return library_pb.TakeReplyResponse(
            reply=row.message, lease_id=row.lease_id, epoch=row.epoch, context=self._context(row)
        )

    async def ListPendingReplies(  # noqa: N802 - the contract's name
        self, request: library_pb.ListPendingRepliesRequest, context: Any
    ) -> library_pb.ListPendingRepliesResponse:
        pending = [row for row in self.rows.values() if row.message.status == library_pb.MESSAGE_STATUS_PENDING]
        return library_pb.ListPendingRepliesResponse(
            replies=[
                library_pb.PendingReply(message_id=row.message.message_id, epoch=row.epoch, lease_age_seconds=row.age)
                for row in pending
                if row.age >= request.min_age_seconds
            ]
        )

    async def CompleteReply(  # noqa: N802 - the contract's name
        self, request: library_pb.CompleteReplyRequest, context: Any
    ) -> library_pb.CompleteReplyResponse:
        reply = self._end(request, library_pb.MESSAGE_STATUS_COMPLETE)
        self.completed.append(request)
        return library_pb.CompleteReplyResponse(reply=reply)

    async def FailReply(self, request: library_pb.FailReplyRequest, context: Any) -> library_pb.FailReplyResponse:  # noqa: N802 - the contract's name
        reply = self._end(request, library_pb.MESSAGE_STATUS_FAILED)
        self.failed.append(request)
        return library_pb.FailReplyResponse(reply=reply)

    async def KeepStoppedReply(  # noqa: N802 - the contract's name
        self, request: library_pb.KeepStoppedReplyRequest, context: Any
    ) -> library_pb.KeepStoppedReplyResponse:
        reply = self._end(request, library_pb.MESSAGE_STATUS_STOPPED)
        self.stopped.append(request)
        return library_pb.KeepStoppedReplyResponse(reply=reply)

    def _end(self, request: Any, status: library_pb.MessageStatus) -> library_pb.Message:
        if self.end_error is not None:
            raise self.end_error
        row = self.row(request.message_id)
        if request.lease_id != row.lease_id:
            raise FailedPrecondition("the lease is lost", reason="LEASE_LOST")
        row.message.status = status
        row.message.content = request.content
        row.message.record.CopyFrom(request.record)
        self.ended.set()
        return row.message

    def _context(self, row: Row) -> library_pb.ReplyContext:
        history = list(self.history)
        if row.request.WhichOneof("target") == "reply":
            content = row.request.reply.content
            history.append(
                library_pb.Message(message_id=str(uuid.uuid4()), role=library_pb.MESSAGE_ROLE_READER, content=content)
            )
        return library_pb.ReplyContext(
            novel=novel_pb.Novel(novel_id=NOVEL, title="Pride and Prejudice", author="Jane Austen"),
            scenario=scenario_pb.Scenario(
                scenario_id=SCENARIO,
                novel_id=NOVEL,
                title="A different answer",
                description="Elizabeth accepted Mr Collins.",
                until_chapter=self.until_chapter,
                passage_ids=self.passage_ids,
            ),
            character_id=CHARACTER,
            character_name="Elizabeth",
            character_description="Lively and playful.",
            history=history,
            scenario_passages=self.scenario_passages,
            novel_passages=self.novel_passages,
        )


class SearchFake(search_rpc.SearchServiceServicer):
    """Finds the same passages for every query, whatever the limit. `error` is raised when set; with `gate` it waits.

    `left` are the searches that were cancelled at the gate.

    Of a character it tells the description of the last chapter within the limit; without `knows_limits` it is of a
    release that knows none, and tells all.
    """

    def __init__(self) -> None:
        self.descriptions: dict[int, str] = {}
        self.asked: list[search_pb.GetCharacterRequest] = []
        self.knows_limits = True
        self.error: MeshError | None = None
        self.gate: asyncio.Event | None = None
        self.searches: list[search_pb.SearchPassagesRequest] = []
        self.gets: list[search_pb.GetPassagesRequest] = []
        self.left = 0

    async def SearchPassages(  # noqa: N802 - the contract's name
        self, request: search_pb.SearchPassagesRequest, context: Any
    ) -> search_pb.SearchPassagesResponse:
        self.searches.append(request)
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.left += 1
                raise
        if self.error is not None:
            raise self.error
        found = [
            search_pb.Passage(
                id=f"p{n}",
                content=f"Found passage {n}.",
                chapter=n,
                chapter_title=f"CHAPTER {n}",
                position=10 * n,
                score=0.9 - n / 10,
            )
            for n in range(request.top_k)
        ]
        return search_pb.SearchPassagesResponse(passages=found)

    async def GetPassages(  # noqa: N802 - the contract's name
        self, request: search_pb.GetPassagesRequest, context: Any
    ) -> search_pb.GetPassagesResponse:
        self.gets.append(request)
        passages = [search_pb.Passage(id=id_, content=f"The text of {id_}.", chapter=0) for id_ in request.passage_ids]
        return search_pb.GetPassagesResponse(passages=passages)

    async def GetCharacter(  # noqa: N802 - the contract's name
        self, request: search_pb.GetCharacterRequest, context: Any
    ) -> search_pb.GetCharacterResponse:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        if not self.knows_limits:
            character = search_pb.Character(character_id=request.character_id, description="Everything of her.")
            return search_pb.GetCharacterResponse(character=character)
        known = [text for chapter, text in sorted(self.descriptions.items()) if chapter <= request.until_chapter]
        if not known:
            raise NotFound("she does not appear yet", reason="CHARACTER_BEYOND_LIMIT")
        character = search_pb.Character(character_id=request.character_id, description=known[-1])
        return search_pb.GetCharacterResponse(character=character, until_chapter=request.until_chapter)


@dataclass
class Peers:
    """Library and search, and the settings that lead to them."""

    library: LibraryFake
    search: SearchFake
    settings: GenerationSettings


@dataclass
class Rooms:
    """Generation among its peers.

    Attributes:
        stub: generation, as a back end of the reader calls it.
    """

    stub: "rpc.GenerationServiceAsyncStub"
    library: LibraryFake
    search: SearchFake
    server: MeshServer
    settings: GenerationSettings


@asynccontextmanager
async def open_peers(settings: GenerationSettings) -> AsyncIterator[Peers]:
    """Library and search, each on a port of its own."""
    library_fake = LibraryFake()  # type: ignore[abstract] # only what generation calls is answered
    search_fake = SearchFake()  # type: ignore[abstract] # likewise
    async with AsyncExitStack() as stack:
        library = Service(LIBRARY, library_fake, library_rpc.add_ConversationServiceServicer_to_server)
        search = Service(SEARCH, search_fake, search_rpc.add_SearchServiceServicer_to_server)
        library_server = await stack.enter_async_context(open_server(settings, [library], name="library"))
        search_server = await stack.enter_async_context(open_server(settings, [search], name="search"))
        targets = {"library_target": library_server.address, "search_target": search_server.address}
        yield Peers(library_fake, search_fake, settings.model_copy(update=targets))


@asynccontextmanager
async def open_generation(peers: Peers, *providers: ModelProvider) -> AsyncIterator[Rooms]:
    """A replica of generation with its models, which are closed with it."""
    async with (
        serving(peers.settings, *providers) as server,
        open_channel(server.address, peers.settings, [GENERATION]) as channel,
    ):
        stub: Any = rpc.GenerationServiceStub(channel)
        yield Rooms(stub, peers.library, peers.search, server, peers.settings)


@asynccontextmanager
async def open_rooms(settings: GenerationSettings, *providers: ModelProvider) -> AsyncIterator[Rooms]:
    """Library, search and generation."""
    async with open_peers(settings) as peers, open_generation(peers, *providers) as rooms:
        yield rooms
