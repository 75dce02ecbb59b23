"""Several replicas on real sockets: who gets calls, and who does not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.server import MeshServer, Service, open_server
from tests.mesh.conftest import CACHE, Servicer


class Replica:
    """A server that says its name, and can go and come back at its port."""

    def __init__(self, name: str, settings: MeshSettings) -> None:
        self.name = name
        self.address = ""
        self.served = 0
        self._settings = settings
        self._stack = AsyncExitStack()
        self._server: MeshServer | None = None

    async def start(self) -> None:
        async def name(request: Any) -> Any:
            self.served += 1
            return pb.GetStatsResponse(kinds=[pb.KindStats(kind=self.name)])

        servicer = Servicer(None, None, name)  # type: ignore[abstract]  # the rest stays unimplemented
        settings = self._settings.model_copy(update={"listen": self.address or "127.0.0.1:0", "drain_seconds": 0.1})
        service = Service(CACHE, servicer, rpc.add_CacheServiceServicer_to_server)
        self._server = await self._stack.enter_async_context(open_server(settings, [service], name=self.name))
        self.address = self._server.address

    async def serving(self, serving: bool) -> None:
        assert self._server is not None
        await self._server.set_serving(serving)

    async def stop(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def three(settings: MeshSettings) -> AsyncIterator[list[Replica]]:
    replicas = [Replica(name, settings) for name in "abc"]
    try:
        for replica in replicas:
            await replica.start()
        yield replicas
    finally:
        for replica in replicas:
            await replica.stop()


Ask = Callable[..., Any]


@asynccontextmanager
async def asking(target: str, settings: MeshSettings) -> AsyncIterator[Ask]:
    """Asks who answers; gives up after a few seconds."""
    async with open_channel(target, settings, [CACHE]) as channel:
        stub: Any = rpc.CacheServiceStub(channel)

        async def ask() -> str:
            answer = await stub.GetStats(pb.GetStatsRequest(), timeout=5)
            return str(answer.kinds[0].kind)

        yield ask


async def names(ask: Ask, calls: int) -> Counter[str]:
    return Counter([await ask() for _ in range(calls)])


async def until(ask: Ask, expected: str) -> None:
    """Until just these answer."""
    async with asyncio.timeout(20):
        while set(await names(ask, 12)) != set(expected):
            await asyncio.sleep(0.02)


def listed(replicas: list[Replica]) -> str:
    return ",".join(replica.address for replica in replicas)


async def test_calls_are_spread_evenly(three: list[Replica], settings: MeshSettings) -> None:
    async with asking(listed(three), settings) as ask:
        await until(ask, "abc")
        assert await names(ask, 30) == {"a": 10, "b": 10, "c": 10}


async def test_a_replica_that_is_not_serving_gets_no_calls(three: list[Replica], settings: MeshSettings) -> None:
    async with asking(listed(three), settings) as ask:
        await until(ask, "abc")
        await three[1].serving(False)
        await until(ask, "ac")
        served = three[1].served
        assert await names(ask, 30) == {"a": 15, "c": 15}
        assert three[1].served == served
        await three[1].serving(True)
        await until(ask, "abc")


async def test_a_replica_that_has_gone_is_done_without_and_used_again(
    three: list[Replica], settings: MeshSettings
) -> None:
    async with asking(listed(three), settings) as ask:
        await until(ask, "abc")
        await three[2].stop()
        answers = await names(ask, 60)  # whatever was on its way to it is made again
        assert sum(answers.values()) == 60
        assert set(answers) <= {"a", "b"}
        await three[2].start()
        await until(ask, "abc")


async def test_calls_that_a_replica_dies_with_are_answered_by_another(
    three: list[Replica], settings: MeshSettings
) -> None:
    """All the time, while one after the other goes and comes back."""
    async with asking(listed(three), settings) as ask:
        await until(ask, "abc")
        over = asyncio.Event()

        async def client() -> int:
            asked = 0
            while not over.is_set():
                await ask()
                asked += 1
            return asked

        clients = [asyncio.create_task(client()) for _ in range(4)]
        for replica in three:
            await replica.stop()
            await asyncio.sleep(0.1)
            await replica.start()
            await until(ask, "abc")
        over.set()
        assert min(await asyncio.gather(*clients)) > 0


async def test_names_are_looked_up(three: list[Replica], settings: MeshSettings) -> None:
    port = three[0].address.rpartition(":")[2]
    async with asking(f"dns:///localhost:{port}", settings) as ask:
        await until(ask, "a")
        await three[0].serving(False)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(20):
                while True:
                    await ask()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await three[0].serving(True)
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await ask() == "a"
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("target", ["xds:///search", "dns:///no-such-name.invalid:50052"])
async def test_what_cannot_be_resolved_is_unavailable_within_its_deadline(
    target: str, settings: MeshSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRPC_XDS_BOOTSTRAP", "GRPC_XDS_BOOTSTRAP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    async with open_channel(target, settings, [CACHE]) as channel:
        stub: Any = rpc.CacheServiceStub(channel)
        async with asyncio.timeout(20):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetStats(pb.GetStatsRequest(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    said = caught.value.details() or ""
    assert ("GRPC_XDS_BOOTSTRAP" if target.startswith("xds") else "no-such-name.invalid") in said
