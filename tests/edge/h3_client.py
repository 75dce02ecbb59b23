"""A client of HTTP/3 (RFC 9114), as small as a test needs it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

SECONDS = 20.0


class H3Client(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = H3Connection(self._quic)
        self._events: dict[int, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)

    def quic_event_received(self, event: QuicEvent) -> None:
        for one in self._http.handle_event(event):
            if isinstance(one, HeadersReceived | DataReceived):
                self._events[one.stream_id].put_nowait(one)

    async def ask(
        self, authority: str, path: str, headers: Sequence[tuple[str, str]] = (), method: str = "GET", body: bytes = b""
    ) -> tuple[dict[str, str], AsyncIterator[bytes]]:
        """The head of an answer, and the parts of its body as they come."""
        stream = self._quic.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *headers]
        encoded = [(name.encode(), value.encode()) for name, value in head]
        self._http.send_headers(stream, encoded, end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        events = self._events[stream]
        async with asyncio.timeout(SECONDS):
            first = await events.get()
        found = {name.decode(): value.decode() for name, value in first.headers}

        async def parts() -> AsyncIterator[bytes]:
            ended = first.stream_ended
            async with asyncio.timeout(SECONDS):
                while not ended:
                    one = await events.get()
                    ended = one.stream_ended
                    if isinstance(one, DataReceived):
                        yield one.data

        return found, parts()


@asynccontextmanager
async def h3_client(port: int, certificate: str) -> AsyncIterator[H3Client]:
    """A connection to this machine, whose certificate for localhost is believed."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="localhost")
    await asyncio.to_thread(configuration.load_verify_locations, certificate)
    async with (
        asyncio.timeout(SECONDS),
        connect("127.0.0.1", port, configuration=configuration, create_protocol=H3Client) as client,
    ):
        assert isinstance(client, H3Client)
        yield client
