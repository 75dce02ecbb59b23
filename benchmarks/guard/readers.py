"""The ends of the streams: what begins them, what fills them, and who reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc
from gaji.library.v1 import conversation_service_pb2 as library_pb
from gaji.library.v1 import conversation_service_pb2_grpc as library_rpc
from gaji.library.v1 import novel_service_pb2 as novel_pb
from gaji.library.v1 import scenario_service_pb2 as scenario_pb
from gaji.mesh.v1 import relay_service_pb2 as relay_pb
from gaji.mesh.v1 import relay_service_pb2_grpc as relay_rpc

from mesh.config import MeshSettings
from mesh.server import Service, open_server

CONVERSATION = str(UUID(int=1, version=4))
CURSOR = f"{'0123456789abcdef' * 2}.1."
WORD = " word"
_DATA = b"\ndata: "
_WINDOW = 4 * 1024 * 1024  # the most: more than a run has, so that nobody is ever credited
_TIMEOUT_MS = 280_000


class Library(library_rpc.ConversationServiceServicer):
    """Lets every reply begin."""

    async def BeginReply(  # noqa: N802, D102 - the contract's
        self, request: library_pb.BeginReplyRequest, context: Any
    ) -> library_pb.BeginReplyResponse:
        reply = library_pb.Message(
            message_id=str(uuid4()),
            conversation_id=CONVERSATION,
            role=library_pb.MESSAGE_ROLE_CHARACTER,
            status=library_pb.MESSAGE_STATUS_PENDING,
        )
        asked = library_pb.Message(
            message_id=str(uuid4()), role=library_pb.MESSAGE_ROLE_READER, content=request.reply.content
        )
        known = library_pb.ReplyContext(
            novel=novel_pb.Novel(novel_id=str(uuid4()), title="A novel"),
            scenario=scenario_pb.Scenario(scenario_id=str(uuid4()), title="Another end"),
            character_name="Elizabeth",
            history=[asked],
        )
        return library_pb.BeginReplyResponse(reply=reply, lease_id="lease", epoch=1, context=known)


@asynccontextmanager
async def open_library(public_key: Path) -> AsyncIterator[str]:
    """A running `Library`; its address."""
    descriptor = library_pb.DESCRIPTOR.services_by_name["ConversationService"]
    library = Library()  # type: ignore[abstract]  # the rest stays unimplemented
    service = Service(descriptor, library, library_rpc.add_ConversationServiceServicer_to_server)
    async with open_server(MeshSettings(jwt_public_key_file=public_key), [service], name="guard") as server:
        yield server.address


class Upstream(rpc.GenerationServiceServicer):
    """Replies whose words come when `say` is called, on all of them at once."""

    def __init__(self) -> None:
        self._turn = asyncio.Event()

    def say(self) -> None:
        """The next word."""
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def StreamReply(self, request: pb.StreamReplyRequest, context: Any) -> AsyncIterator[pb.StreamReplyResponse]:  # noqa: N802, D102 - the contract's
        sequence = 0
        while True:
            turn, sequence = self._turn, sequence + 1
            token = pb.Token(content=WORD)
            yield pb.StreamReplyResponse(sequence=sequence, cursor=f"{CURSOR}{sequence}", token=token)
            await turn.wait()


@asynccontextmanager
async def open_upstream(public_key: Path, upstream: Upstream) -> AsyncIterator[str]:
    """It as a server of the mesh; its address."""
    service = Service(
        pb.DESCRIPTOR.services_by_name["GenerationService"], upstream, rpc.add_GenerationServiceServicer_to_server
    )
    async with open_server(MeshSettings(jwt_public_key_file=public_key), [service], name="guard") as server:
        yield server.address


class Reader(asyncio.Protocol):
    """A browser on a bare connection, which counts its events."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._events = self._taken = 0
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Asks."""
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Counts."""
        self._events += data.count(_DATA)
        self._news.set()

    async def next(self) -> None:
        """Returns when one more event has come than at the last return."""
        self._taken += 1
        while self._events < self._taken:
            self._news.clear()
            await self._news.wait()


async def readers(address: str, token: str, count: int) -> list[Reader]:
    """So many, each with the first event of a stream of its own."""
    host, _, port = address.rpartition(":")
    path = f"/api/conversations/{CONVERSATION}/messages-stream?content=Hello"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(lambda: Reader(request), host, int(port)))[1] for _ in range(count)]
    for reader in made:
        await reader.next()
    return made


class Followers:
    """Readers of replies on one relay, as a gateway has them.

    Args:
        channel: to generation.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = relay_rpc.RelayServiceStub(channel)
        self._tasks: list[asyncio.Task[None]] = []
        self._written: set[int] = set()
        self._words = self._events = 0
        self._news = asyncio.Event()

    async def begin(self, token: str, count: int) -> tuple[int, int]:
        """Asks for so many replies; how many words and events have come when each has its first word."""
        call = self._stub.Relay()
        for number in range(1, count + 1):
            request = pb.StreamReplyRequest(conversation_id=CONVERSATION, content="Hello", request_id=uuid4().hex)
            opening = relay_pb.OpenCall(
                method="/gaji.generation.v1.GenerationService/StreamReply",
                request=request.SerializeToString(),
                metadata={"authorization": f"Bearer {token}"},
                timeout_ms=_TIMEOUT_MS,
                format=relay_pb.FRAME_FORMAT_SSE,
                window_bytes=_WINDOW,
            )
            await call.write(relay_pb.RelayRequest(call_id=number, open=opening))
        self._tasks.append(asyncio.create_task(self._count(call)))
        while len(self._written) < count:
            await self._change()
        return self._words, self._events

    async def heard(self, words: int) -> int:
        """Waits until so many words have come in all; in how many events: on a slow machine some have two."""
        while self._words < words:
            await self._change()
        return self._events

    async def _change(self) -> None:
        self._news.clear()
        await self._news.wait()
        for task in self._tasks:
            if task.done():
                task.result()

    async def _count(self, call: Any) -> None:
        try:
            async for batch in call:
                for frame in batch.frames:
                    self._events += frame.data.count(_DATA)
                    if words := frame.data.count(WORD.encode()):
                        self._words += words
                        self._written.add(frame.call_id)
                    if frame.HasField("status"):
                        raise RuntimeError(f"a reply has ended: {frame.status}")
                self._news.set()
        finally:
            self._news.set()
