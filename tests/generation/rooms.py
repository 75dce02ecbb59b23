"""Library and search as generation meets them: real gRPC servers that keep their state in memory."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
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
from mesh.errors import Aborted, MeshError
from mesh.server import MeshServer, Service, open_server
from services.generation.clients import LIBRARY, SEARCH, LibraryClient, SearchClient
from services.generation.config import GenerationSettings
from services.generation.domain.engine import ReplyEngine
from services.generation.domain.passages import PassageFinder
from services.generation.ports import ModelProvider
from services.generation.servicer import GenerationServicer

NOVEL, SCENARIO, CHARACTER, CONVERSATION, READER = (str(uuid.UUID(int=number, version=4)) for number in range(1, 6))
GENERATION = pb.DESCRIPTOR.services_by_name["GenerationService"]


class LibraryFake(library_rpc.ConversationServiceServicer):
    """Keeps replies by request id. `begin_error` and `complete_error` are raised when set."""

    def __init__(self) -> None:
        self.history: list[library_pb.Message] = []
        self.until_chapter: int | None = None
        self.passage_ids: list[str] = []
        self.begin_error: MeshError | None = None
        self.complete_error: MeshError | None = None
        self.begin_gate: asyncio.Event | None = None
        self.begun: dict[str, library_pb.Message] = {}
        self.completed: list[library_pb.CompleteReplyRequest] = []
        self.failed: list[library_pb.FailReplyRequest] = []
        self.users: set[str] = set()
        self.ended = asyncio.Event()

    async def BeginReply(self, request: library_pb.BeginReplyRequest, context: Any) -> library_pb.BeginReplyResponse:  # noqa: N802 - the contract's name
        self.users.add(identity.require().user_id)
        if self.begin_gate is not None:
            await self.begin_gate.wait()
        if self.begin_error is not None:
            raise self.begin_error
        known = self.begun.get(request.request_id)
        if known is not None and known.status == library_pb.MESSAGE_STATUS_COMPLETE:
            return library_pb.BeginReplyResponse(reply=known)
        if known is not None and known.status == library_pb.MESSAGE_STATUS_PENDING:
            raise Aborted("the reply is being written", reason="REPLY_IN_PROGRESS")
        reply = library_pb.Message(
            message_id=str(uuid.uuid4()),
            conversation_id=CONVERSATION,
            role=library_pb.MESSAGE_ROLE_CHARACTER,
            status=library_pb.MESSAGE_STATUS_PENDING,
        )
        self.begun[request.request_id or reply.message_id] = reply
        history = list(self.history)
        if request.WhichOneof("target") == "reply":
            history.append(
                library_pb.Message(
                    message_id=str(uuid.uuid4()), role=library_pb.MESSAGE_ROLE_READER, content=request.reply.content
                )
            )
        return library_pb.BeginReplyResponse(
            reply=reply,
            lease_id=f"lease of {reply.message_id}",
            context=library_pb.ReplyContext(
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
            ),
        )

    async def CompleteReply(  # noqa: N802 - the contract's name
        self, request: library_pb.CompleteReplyRequest, context: Any
    ) -> library_pb.CompleteReplyResponse:
        if self.complete_error is not None:
            raise self.complete_error
        self.completed.append(request)
        reply = self._leased(request.message_id, request.lease_id)
        reply.status = library_pb.MESSAGE_STATUS_COMPLETE
        reply.content = request.content
        reply.record.CopyFrom(request.record)
        self.ended.set()
        return library_pb.CompleteReplyResponse(reply=reply)

    async def FailReply(self, request: library_pb.FailReplyRequest, context: Any) -> library_pb.FailReplyResponse:  # noqa: N802 - the contract's name
        self.failed.append(request)
        reply = self._leased(request.message_id, request.lease_id)
        reply.status = library_pb.MESSAGE_STATUS_FAILED
        self.ended.set()
        return library_pb.FailReplyResponse(reply=reply)

    def _leased(self, message_id: str, lease_id: str) -> library_pb.Message:
        assert lease_id == f"lease of {message_id}"
        return next(reply for reply in self.begun.values() if reply.message_id == message_id)


class SearchFake(search_rpc.SearchServiceServicer):
    """Finds the same passages for every query. `error` is raised when set; with `gate` it waits."""

    def __init__(self) -> None:
        self.error: MeshError | None = None
        self.gate: asyncio.Event | None = None
        self.searches: list[search_pb.SearchPassagesRequest] = []
        self.gets: list[search_pb.GetPassagesRequest] = []

    async def SearchPassages(  # noqa: N802 - the contract's name
        self, request: search_pb.SearchPassagesRequest, context: Any
    ) -> search_pb.SearchPassagesResponse:
        self.searches.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        found = [search_pb.Passage(id=f"p{n}", content=f"Found passage {n}.", chapter=n) for n in range(request.top_k)]
        return search_pb.SearchPassagesResponse(passages=found)

    async def GetPassages(  # noqa: N802 - the contract's name
        self, request: search_pb.GetPassagesRequest, context: Any
    ) -> search_pb.GetPassagesResponse:
        self.gets.append(request)
        passages = [search_pb.Passage(id=id_, content=f"The text of {id_}.", chapter=1) for id_ in request.passage_ids]
        return search_pb.GetPassagesResponse(passages=passages)


@dataclass
class Rooms:
    """Generation among its peers.

    Attributes:
        stub: generation, as a back end of the reader calls it.
    """

    stub: "rpc.GenerationServiceAsyncStub"
    library: LibraryFake
    search: SearchFake
    engine: ReplyEngine
    server: MeshServer


@asynccontextmanager
async def open_rooms(settings: GenerationSettings, provider: ModelProvider) -> AsyncIterator[Rooms]:
    """Library, search and generation, each on a port of its own. The provider is closed with them."""
    library_fake = LibraryFake()  # type: ignore[abstract] # only what generation calls is answered
    search_fake = SearchFake()  # type: ignore[abstract] # likewise
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(provider))
        library = Service(LIBRARY, library_fake, library_rpc.add_ConversationServiceServicer_to_server)
        search = Service(SEARCH, search_fake, search_rpc.add_SearchServiceServicer_to_server)
        library_server = await stack.enter_async_context(open_server(settings, [library], name="library"))
        search_server = await stack.enter_async_context(open_server(settings, [search], name="search"))
        to_library = await stack.enter_async_context(open_channel(library_server.address, settings, [LIBRARY]))
        to_search = await stack.enter_async_context(open_channel(search_server.address, settings, [SEARCH]))
        finder = PassageFinder(SearchClient(to_search), settings.passages, settings.passages_seconds)
        engine = ReplyEngine(provider, LibraryClient(to_library), finder, settings.limits)
        await stack.enter_async_context(aclosing(engine))
        service = Service(GENERATION, GenerationServicer(engine), rpc.add_GenerationServiceServicer_to_server)
        server = await stack.enter_async_context(open_server(settings, [service], name="generation"))
        channel = await stack.enter_async_context(open_channel(server.address, settings, [GENERATION]))
        stub: Any = rpc.GenerationServiceStub(channel)
        yield Rooms(stub, library_fake, search_fake, engine, server)
