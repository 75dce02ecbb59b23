"""The store as a server of its own, shared by replicas."""

import asyncio
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb

from services.search.config import SearchSettings
from services.search.stores.chroma import open_chroma
from tests.search.conftest import Stub, ingested, opened

Settings = Callable[..., SearchSettings]


@pytest.fixture
async def chroma(tmp_path: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The URL of a Chroma server, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = str(Path(sys.executable).with_name("chroma"))
    arguments = ("run", "--path", str(tmp_path / "server"), "--host", "127.0.0.1", "--port", str(port))
    quiet = asyncio.subprocess.DEVNULL
    server = await asyncio.create_subprocess_exec(command, *arguments, stdout=quiet, stderr=quiet, cwd=tmp_path)
    try:
        for _ in range(600):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                break
        yield f"http://127.0.0.1:{port}", server
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


async def texts(stub: Stub, novel_id: str) -> list[str]:
    request = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp", top_k=50, until_chapter=2)
    return [passage.content for passage in (await stub.SearchPassages(request)).passages]


async def test_replicas_share_a_server(
    search_settings: Settings, chroma: tuple[str, asyncio.subprocess.Process]
) -> None:
    url, server = chroma
    settings = search_settings(chroma_url=url)
    novel_id = str(uuid.uuid4())
    async with open_chroma(settings) as store:
        pools: list[Any] = [session._transport._pool for session in store._sessions]  # type: ignore[attr-defined]  # as the store does, for want of a way
        streams = [connection._connection._network_stream for pool in pools for connection in pool.connections]
        kept = [one.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for one in streams]
        assert kept
        assert all(kept)
    async with opened(settings) as one, opened(settings) as other:
        await ingested(one, novel_id)
        found = await texts(one, novel_id)
        assert found
        assert await texts(other, novel_id) == found
        await other.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await texts(one, novel_id)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        server.kill()
        await server.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await texts(one, novel_id)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_server_that_is_not_there_ends_the_start(search_settings: Settings) -> None:
    with pytest.raises(OSError, match="cannot open the vector store"):
        async with open_chroma(search_settings(chroma_url="http://127.0.0.1:1")):
            pass
