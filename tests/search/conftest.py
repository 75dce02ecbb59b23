"""The search room on a real socket, with real Chroma and the real model."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc

from mesh.client import open_channel
from services.search.__main__ import SEARCH, serving
from services.search.config import SearchSettings
from tests.search.stories import STORY

Stub = Any
OpenSearch = Callable[..., AbstractAsyncContextManager[Stub]]
NOWHERE = "127.0.0.1:1"  # nothing listens on this port


@asynccontextmanager
async def opened(settings: SearchSettings) -> AsyncIterator[Stub]:
    """Serves the room and gives a stub to call it."""
    async with (
        serving(settings) as server,
        open_channel(server.address, settings, [SEARCH]) as channel,
    ):
        yield rpc.SearchServiceStub(channel)


def _settings(folder: Path, public_key: Path, **changes: Any) -> SearchSettings:
    settings = SearchSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        cache_target=NOWHERE,
        chroma_path=folder,
        jwt_public_key_file=public_key,
        drain_seconds=0.5,
        default_timeout=60,
        sentences="foreign",  # what is read in the background would change answers between two searches
    )
    return settings.model_copy(update=changes)


@pytest.fixture(scope="session", autouse=True)
async def grpc_stays_up() -> AsyncIterator[None]:
    """Keeps gRPC's poller thread between tests: stopping it blocks, and the garbage collector decides when."""
    async with grpc.aio.insecure_channel(NOWHERE):
        yield


@pytest.fixture
def search_settings(tmp_path: Path, jwt_keys: Any) -> Callable[..., SearchSettings]:
    """Settings with free ports, a store of this test's own and no cache."""
    return lambda **changes: _settings(tmp_path / "chroma", jwt_keys.public, **changes)


@pytest.fixture(scope="session")
async def search(tmp_path_factory: pytest.TempPathFactory, jwt_keys: Any) -> AsyncIterator[Stub]:
    """A stub of one server without a cache; tests take novel ids of their own."""
    async with opened(_settings(tmp_path_factory.mktemp("search"), jwt_keys.public)) as stub:
        yield stub


@pytest.fixture(scope="session")
async def story_id(search: Stub) -> str:
    """The id of the ingested short story, public."""
    novel_id = str(uuid.uuid4())
    await ingested(search, novel_id)
    return novel_id


async def ingested(stub: Stub, novel_id: str, text: str = STORY, **fields: Any) -> list[pb.IngestNovelResponse]:
    """Ingests a text to the end; all events."""
    return [event async for event in stub.IngestNovel(request(novel_id, text, **fields))]


def request(novel_id: str, text: str = STORY, **fields: Any) -> pb.IngestNovelRequest:
    """A request to ingest a public novel."""
    given: dict[str, Any] = {"owner_id": str(uuid.uuid4()), "public": True, "title": "A title", "author": "An author"}
    return pb.IngestNovelRequest(novel_id=novel_id, text=text, **(given | fields))


def as_user(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call with an access token."""
    return (("authorization", f"Bearer {token}"),)
