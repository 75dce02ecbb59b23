"""Calls reach replicas that are added behind a name, without anything being restarted: a real name server says who."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import dns.message
import dns.rrset
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.config import MeshSettings
from tests.mesh.conftest import CACHE
from tests.mesh.test_client_balance import Replica

NAME = "rooms.gaji.test"


class NameServer(asyncio.DatagramProtocol):
    """Answers questions for addresses of any name with the ones that it is told."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        asked = question.question[0]
        if asked.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(asked.name, 0, "IN", "A", *self.addresses))
        self._transport.sendto(answer.to_wire(), addr)

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(*addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()


@pytest.mark.timeout(60)
async def test_a_replica_that_is_added_behind_a_name_gets_calls(settings: MeshSettings) -> None:
    aging = settings.model_copy(update={"connection_age_seconds": 0.5})
    first = Replica("first", aging)
    async with AsyncExitStack() as stack:
        await first.start()
        stack.push_async_callback(first.stop)
        port = first.address.rpartition(":")[2]
        second = Replica("second", aging)
        second.address = f"127.0.0.2:{port}"
        await second.start()
        stack.push_async_callback(second.stop)
        names = await stack.enter_async_context(name_server("127.0.0.1"))
        target = f"dns://127.0.0.1:{names.port}/{NAME}:{port}"
        channel = await stack.enter_async_context(open_channel(target, settings, [CACHE]))
        cache: Any = rpc.CacheServiceStub(channel)
        for _ in range(5):
            await cache.GetStats(pb.GetStatsRequest())
        assert (first.served, second.served) == (5, 0)
        names.addresses.append("127.0.0.2")
        async with asyncio.timeout(30):
            while not second.served:
                await cache.GetStats(pb.GetStatsRequest())  # and none of them fails meanwhile
                await asyncio.sleep(0.02)
