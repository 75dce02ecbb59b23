"""A library on a real PostgreSQL, a real Valkey and real sockets, with peers whose answers a test decides.

The real search and jobs are met in the end-to-end tests; here they must be able to fail on command.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import pytest
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.jobs.v1 import job_service_pb2 as jobs_pb
from gaji.jobs.v1 import job_service_pb2_grpc as jobs_rpc
from gaji.library.v1 import auth_service_pb2 as auth_pb
from gaji.library.v1 import auth_service_pb2_grpc as auth_rpc
from gaji.library.v1 import conversation_service_pb2_grpc as conversations_rpc
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import novel_service_pb2_grpc as novels_rpc
from gaji.library.v1 import reading_service_pb2_grpc as readings_rpc
from gaji.library.v1 import scenario_service_pb2 as scenarios_pb
from gaji.library.v1 import scenario_service_pb2_grpc as scenarios_rpc
from gaji.library.v1 import user_service_pb2_grpc as users_rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from mesh.config import MeshSettings
from mesh.errors import MeshError, NotFound, translated
from mesh.server import MeshServer, Service, open_server
from services.library.__main__ import open_library
from services.library.config import LibrarySettings
from tests.fixtures.servers import JwtKeys

Q = TypeVar("Q")
R = TypeVar("R")

NOWHERE = "127.0.0.1:1"


@dataclass
class FakeSearch(search_rpc.SearchServiceServicer):
    """Answers what a test tells it to.

    Attributes:
        trouble: an error that every call but IngestNovel is answered with.
        ingest_trouble: errors for the next ingestions, one each.
        gate: while it is unset, an ingestion waits after its first progress.
        remark: what it says of its progress, instead of the stage's name.
        remaining: what it says is left, with each progress.
        language: what it finds a novel to be in.
        defaults: the passages that it says stand for a novel.
        cast: the names of those whom it finds in each novel.
        lines: what each of them says, with the chapter.
        tells_cast: whether it says so at the end of an ingestion, as earlier releases do not.
        stuck: while it is set, it does not say whom it knows.
        asked: how often it was asked for a character.
        known_as: the name by which it knows everybody up to a chapter; later than any: as they are.
        edits: the last that it was told of each novel.
        stored: novels whose passages it holds.
        address: where it serves.
    """

    address: str = ""
    trouble: MeshError | None = None
    ingest_trouble: list[MeshError] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    remark: str = ""
    remaining: list[int | None] = field(default_factory=lambda: [None, None, None])
    language: str = "en"
    defaults: list[search_pb.Passage] = field(default_factory=list)
    cast: list[str] = field(default_factory=list)
    lines: list[tuple[str, int]] = field(default_factory=list)
    tells_cast: bool = True
    stuck: bool = False
    asked: int = 0
    known_as: dict[int, str] = field(default_factory=dict)
    edits: dict[str, search_pb.SetCharacterEditsRequest] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    ingested: list[str] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    characters: dict[str, search_pb.Character] = field(default_factory=dict)
    passages: dict[str, list[str]] = field(default_factory=dict)
    searches: list[search_pb.SearchPassagesRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def add_character(self, novel_id: str, name: str = "Ada") -> str:
        character_id = str(uuid4())
        self.characters[character_id] = search_pb.Character(
            character_id=character_id,
            novel_id=novel_id,
            name=name,
            description=f"{name} of the tower.",
            speech_samples=[
                search_pb.SpeechSample(content=content, chapter=chapter, passage_id=str(uuid4()))
                for content, chapter in self.lines
            ],
        )
        return character_id

    async def IngestNovel(  # noqa: N802
        self, request: search_pb.IngestNovelRequest, context: Any
    ) -> AsyncGenerator[search_pb.IngestNovelResponse, None]:
        self.ingested.append(request.novel_id)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            self.stored.add(request.novel_id)
            self.texts[request.novel_id] = request.text
            for sequence, (percent, stage) in enumerate([(5, "reading"), (50, "embedding"), (90, "characters")], 1):
                yield search_pb.IngestNovelResponse(
                    sequence=sequence,
                    progress=events_pb.Progress(
                        progress=percent,
                        stage=stage,
                        message=self.remark or stage.title(),
                        remaining_seconds=self.remaining[sequence - 1],
                    ),
                )
                await self.gate.wait()
                if self.ingest_trouble and percent == 50:
                    raise self.ingest_trouble.pop(0)
            self.stored.add(request.novel_id)
            ids = [self.add_character(request.novel_id, name) for name in self.cast]
            yield search_pb.IngestNovelResponse(
                sequence=4,
                complete=search_pb.IngestionSummary(
                    novel_id=request.novel_id,
                    language=self.language,
                    words=7,
                    chapters=3,
                    passages=2,
                    characters=len(self.cast) or 1,
                    default_passages=self.defaults,
                    found_characters=[self.characters[each] for each in ids] if self.tells_cast else [],
                ),
            )
        finally:
            self.running -= 1

    async def SearchPassages(  # noqa: N802
        self, request: search_pb.SearchPassagesRequest, context: Any
    ) -> search_pb.SearchPassagesResponse:
        self._check()
        self.searches.append(request)
        return search_pb.SearchPassagesResponse(passages=self._passages(request.novel_id)[: request.top_k])

    async def GetPassages(  # noqa: N802
        self, request: search_pb.GetPassagesRequest, context: Any
    ) -> search_pb.GetPassagesResponse:
        self._check()
        known = {passage.id: passage for passage in self._passages(request.novel_id)}
        return search_pb.GetPassagesResponse(passages=[known[i] for i in request.passage_ids if i in known])

    async def GetCharacter(  # noqa: N802
        self, request: search_pb.GetCharacterRequest, context: Any
    ) -> search_pb.GetCharacterResponse:
        self.asked += 1
        while self.stuck:
            await asyncio.sleep(0.05)
        self._check()
        if request.character_id not in self.characters:
            raise NotFound("no such character")
        character = search_pb.Character()
        character.CopyFrom(self.characters[request.character_id])
        if request.HasField("until_chapter"):
            if request.until_chapter < character.first_chapter:
                raise NotFound("later", reason="CHARACTER_BEYOND_LIMIT")
            character.name = self.known_as.get(request.until_chapter, character.name)
        return search_pb.GetCharacterResponse(character=character)

    async def ListCharacters(  # noqa: N802
        self, request: search_pb.ListCharactersRequest, context: Any
    ) -> search_pb.ListCharactersResponse:
        self._check()
        found = [character for character in self.characters.values() if character.novel_id == request.novel_id]
        return search_pb.ListCharactersResponse(characters=found)

    async def ReadAround(  # noqa: N802
        self, request: search_pb.ReadAroundRequest, context: Any
    ) -> search_pb.ReadAroundResponse:
        raise NotFound("no such passage")  # library never asks

    async def ListChapters(  # noqa: N802
        self, request: search_pb.ListChaptersRequest, context: Any
    ) -> search_pb.ListChaptersResponse:
        raise NotFound("no such novel")  # library never asks

    async def SetCharacterEdits(  # noqa: N802
        self, request: search_pb.SetCharacterEditsRequest, context: Any
    ) -> search_pb.SetCharacterEditsResponse:
        self._check()
        self.edits[request.novel_id] = request
        return search_pb.SetCharacterEditsResponse()

    async def DeleteNovel(  # noqa: N802
        self, request: search_pb.DeleteNovelRequest, context: Any
    ) -> search_pb.DeleteNovelResponse:
        self._check()
        self.stored.discard(request.novel_id)
        return search_pb.DeleteNovelResponse()

    def _check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def _passages(self, novel_id: str) -> list[search_pb.Passage]:
        return [
            search_pb.Passage(id=passage, novel_id=novel_id, content=f"Text {place}.", chapter=place, position=place)
            for place, passage in enumerate(self.passages.get(novel_id, []))
        ]


@dataclass
class FakeJobs(jobs_rpc.JobServiceServicer):
    """Notes what it is to do, and has novels ingested like the real one: it asks until that has ended.

    Attributes:
        trouble: an error that it answers with.
        gate: while it is unset, it does not answer.
        drives: whether it does what is asked.
        closing: whether the test is over.
        libraries: whom it asks, the first of them.
        replies: the replies that are to be finished.
        novels: those that are to be ingested.
        address: where it serves.
    """

    address: str = ""
    trouble: MeshError | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    drives: bool = True
    closing: bool = False
    libraries: list["LibraryClient"] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    novels: list[str] = field(default_factory=list)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def Enqueue(self, request: jobs_pb.EnqueueRequest, context: Any) -> jobs_pb.EnqueueResponse:  # noqa: N802
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        if request.WhichOneof("job") == "finish_reply":
            self.replies.append(request.finish_reply.message_id)
        else:
            self.novels.append(request.ingest_novel.novel_id)
            if self.drives:
                self.tasks.append(asyncio.create_task(self._drive(request.ingest_novel.novel_id)))
        return jobs_pb.EnqueueResponse(job_id=str(uuid4()))

    async def _drive(self, novel_id: str) -> None:
        while True:
            try:
                if self.libraries:
                    await self.libraries[0].ingest(novel_id)
                    return
                await asyncio.sleep(0.05)
            except NotFound:
                return
            except MeshError:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                if self.closing:
                    raise
                await asyncio.sleep(0.05)  # gRPC's word for a channel that was closed


@dataclass
class Reader:
    """Somebody who calls the library; every failure comes as a `MeshError`."""

    token: str = ""
    user_id: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, R], request: Q) -> R:
        with translated("library"):
            return await method(request, metadata=self.metadata, timeout=30)

    async def stream(self, method: grpc.aio.UnaryStreamMultiCallable[Q, R], request: Q) -> AsyncGenerator[R, None]:
        call = method(request, metadata=self.metadata, timeout=60)
        try:
            with translated("library"):
                async for message in call:
                    yield message
        finally:
            call.cancel()


class LibraryClient:
    """Stubs of a running library, and the steps that most tests begin with."""

    def __init__(self, server: MeshServer, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.auth = auth_rpc.AuthServiceStub(channel)
        self.users = users_rpc.UserServiceStub(channel)
        self.novels = novels_rpc.NovelServiceStub(channel)
        self.scenarios = scenarios_rpc.ScenarioServiceStub(channel)
        self.readings = readings_rpc.ReadingServiceStub(channel)
        self.conversations = conversations_rpc.ConversationServiceStub(channel)
        self.nobody = Reader()

    async def guest(self) -> Reader:
        session = (await self.nobody.call(self.auth.CreateGuest, auth_pb.CreateGuestRequest())).session
        return Reader(session.access_token, session.user_id)

    async def novel(self, owner: Reader, **fields: Any) -> str:
        request = novels_pb.CreateNovelRequest(**{"title": "The Tower", "text": "Chapter 1. Ada climbs.", **fields})
        return (await owner.call(self.novels.CreateNovel, request)).novel_id

    async def scenario(self, owner: Reader, novel_id: str, **fields: Any) -> scenarios_pb.Scenario:
        request = scenarios_pb.CreateScenarioRequest(
            **{"novel_id": novel_id, "title": "What if?", "description": "Ada stays below.", **fields}
        )
        return (await owner.call(self.scenarios.CreateScenario, request)).scenario

    async def ingest(self, novel_id: str) -> novels_pb.IngestionStatus:
        request = novels_pb.RunIngestionRequest(novel_id=novel_id)
        return (await self.nobody.call(self.novels.RunIngestion, request)).status

    async def watch(self, reader: Reader, novel_id: str, after: str = "") -> list[novels_pb.WatchIngestionResponse]:
        request = novels_pb.WatchIngestionRequest(novel_id=novel_id, after=after)
        return [event async for event in reader.stream(self.novels.WatchIngestion, request)]


OpenLibrary = Callable[..., AbstractAsyncContextManager[LibraryClient]]


@pytest.fixture
async def search(jwt_keys: JwtKeys) -> AsyncIterator[FakeSearch]:
    fake = FakeSearch()
    async with serve_search(fake, jwt_keys) as address:
        fake.address = address
        yield fake


@pytest.fixture
async def jobs(jwt_keys: JwtKeys) -> AsyncIterator[FakeJobs]:
    fake = FakeJobs()
    settings = MeshSettings(listen="127.0.0.1:0", jwt_public_key_file=jwt_keys.public, drain_seconds=0.1)
    descriptor = jobs_pb.DESCRIPTOR.services_by_name["JobService"]
    service = Service(descriptor, fake, jobs_rpc.add_JobServiceServicer_to_server)
    async with open_server(settings, [service], name="jobs") as server:
        fake.address = server.address
        yield fake
        fake.gate.set()
        fake.closing = True
        for task in fake.tasks:
            task.cancel()
        await asyncio.gather(*fake.tasks, return_exceptions=True)


@asynccontextmanager
async def serve_search(fake: FakeSearch, keys: JwtKeys, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    settings = MeshSettings(listen=listen, jwt_public_key_file=keys.public, drain_seconds=0.1)
    descriptor = search_pb.DESCRIPTOR.services_by_name["SearchService"]
    service = Service(descriptor, fake, search_rpc.add_SearchServiceServicer_to_server)
    async with open_server(settings, [service], name="search") as server:
        yield server.address


@pytest.fixture
def settings(postgres_url: str, redis_url: str, jwt_keys: JwtKeys) -> Callable[..., LibrarySettings]:
    def make(**changes: Any) -> LibrarySettings:
        values = {
            "listen": "127.0.0.1:0",
            "admin_listen": "127.0.0.1:0",
            "database_url": postgres_url,
            "redis_url": redis_url,
            "pool_min": 1,
            "pool_max": 5,
            "jwt_private_key_file": jwt_keys.private,
            "jwt_public_key_file": jwt_keys.public,
            "cache_target": NOWHERE,
            "search_target": NOWHERE,
            "jobs_target": NOWHERE,
            "drain_seconds": 0.5,
            "ingestion_poll_seconds": 0.3,
            "ingestion_lease_seconds": 1.5,
            "ingestion_backoff": 0.05,
        }
        return LibrarySettings(**{**values, **changes})

    return make


@pytest.fixture
def open_client(settings: Callable[..., LibrarySettings], search: FakeSearch, jobs: FakeJobs) -> OpenLibrary:
    """Starts a library: ``async with open_client(pool_max=2) as library``."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[LibraryClient]:
        async with (
            open_library(
                settings(**{"search_target": search.address, "jobs_target": jobs.address, **changes})
            ) as server,
            grpc.aio.insecure_channel(
                server.address, options=[("grpc.max_send_message_length", 24 * 1024 * 1024)]
            ) as channel,
        ):
            client = LibraryClient(server, channel)
            jobs.libraries.append(client)
            try:
                yield client
            finally:
                jobs.libraries.remove(client)

    return start


@pytest.fixture
async def library(open_client: OpenLibrary) -> AsyncIterator[LibraryClient]:
    async with open_client() as client:
        yield client


async def eventually(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Returns when the condition holds; the test's own time limit is the limit."""
    while True:
        held = condition()
        if await held if not isinstance(held, bool) else held:
            return
        await asyncio.sleep(0.02)
