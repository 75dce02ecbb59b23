import asyncio
from typing import Any

import pytest
from gaji.library.v1 import conversation_service_pb2 as library_pb
from gaji.library.v1 import conversation_service_pb2_grpc as library_rpc

from mesh.client import open_channel
from mesh.errors import MeshError, Unavailable
from mesh.server import Service, open_server
from services.generation.clients import LIBRARY, LibraryClient
from services.generation.ports import BegunReply, Record
from tests.generation.conftest import make_settings
from tests.generation.rooms import LibraryFake


@pytest.mark.parametrize("failure", [None, Unavailable("gone")])
async def test_the_end_of_a_reply_waits_for_a_library_that_restarts(
    unused_tcp_port: int, failure: MeshError | None
) -> None:
    settings = make_settings(listen=f"127.0.0.1:{unused_tcp_port}")
    begun = BegunReply("c", "m", "lease of m", content="", record=Record(), context=None)
    async with open_channel(settings.listen, settings, [LIBRARY]) as channel:
        client = LibraryClient(channel)
        ending: Any = (
            client.complete_reply(begun, "all of it", Record())
            if failure is None
            else client.fail_reply(begun, "some of it", Record(), failure)
        )
        waiting = asyncio.create_task(ending)
        await asyncio.sleep(1)  # more than all retries take
        assert not waiting.done()
        fake = LibraryFake()  # type: ignore[abstract] # only what generation calls is answered
        fake.begun["r"] = library_pb.Message(message_id="m")
        library = Service(LIBRARY, fake, library_rpc.add_ConversationServiceServicer_to_server)
        async with open_server(settings, [library], name="library"):
            await asyncio.wait_for(waiting, 15)
    assert [kept.content for kept in fake.completed] == ["all of it"] * (failure is None)
    assert [kept.content for kept in fake.failed] == ["some of it"] * (failure is not None)
