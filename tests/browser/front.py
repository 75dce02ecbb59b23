"""A web server in front of the gateway, as sites have one: it serves a page, hands the rest on, and can be cut off."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PAGE = Path(__file__).parent / "page"
_FILES = {"/": ("index.html", "text/html; charset=utf-8"), "/page.js": ("page.js", "text/javascript; charset=utf-8")}
_POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_LINGER_ZERO = struct.pack("ii", 1, 0)  # closing then resets the connection
_CHUNK = 65536


@dataclass(slots=True)
class Passed:
    """A request that was handed on to the gateway.

    Attributes:
        method: its method.
        path: without the query.
        last_event_id: of the header; None: there was none.
        status: of the answer; 0: none has come.
    """

    method: str
    path: str
    last_event_id: str | None
    status: int = 0


class Front:
    """What a browser takes for the site. Each request has a connection of its own, so that requests can be told apart.

    Args:
        gateway: its URL.

    Attributes:
        url: of the page.
        passed: the requests in the order in which they came.
        turned_away: set when a connection came while all was cut off.
    """

    def __init__(self, gateway: str) -> None:
        self.url = ""
        self.passed: list[Passed] = []
        self.turned_away = asyncio.Event()
        self._gateway = urlsplit(gateway)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._is_cut = False
        self._cut_after: bytes | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Front"]:
        """Serves until the block is left."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = "http://{}:{}/".format(*server.sockets[0].getsockname())
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def requests(self, path: str) -> list[Passed]:
        """The requests of a path."""
        return [request for request in self.passed if request.path == path]

    def cut_after(self, text: str) -> None:
        """Cuts all off as soon as a text has passed on its way to the browser, wherever in an event that is."""
        self._cut_after = text.encode()

    def cut(self) -> None:
        """Resets all connections, and those that come until `mend`."""
        self._is_cut = True
        for task, writer in self._connections.items():
            _reset(writer)
            task.cancel()

    def mend(self) -> None:
        """Lets connections live again."""
        self._is_cut = False

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            _reset(writer)
            self.turned_away.set()
            return
        task = asyncio.create_task(self._answer(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A browser closes whenever it likes to, connections that it opened in advance as well.
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                file = _FILES.get(head.split(" ", 2)[1])
                if file is not None:
                    _serve(*file, writer)
                else:
                    await self._pass_on(head, reader, writer)
                await writer.drain()
            finally:
                writer.close()

    async def _pass_on(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Passed(method, target.partition("?")[0], headers.get("last-event-id"))
        self.passed.append(request)
        headers["connection"] = "close"
        there, back = await asyncio.open_connection(self._gateway.hostname, self._gateway.port)
        try:
            back.write("\r\n".join([first, *map(": ".join, headers.items()), "", ""]).encode("latin-1"))
            sending = asyncio.create_task(_copy(reader, back))
            answering = asyncio.create_task(self._bring(request, there, writer))
            try:
                await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                answering.cancel()
                await asyncio.gather(sending, answering, return_exceptions=True)
        finally:
            back.close()

    async def _bring(self, request: Passed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copies an answer to the browser."""
        data = await reader.readuntil(b"\r\n")
        request.status = int(data.split()[1])
        while data:
            place = data.find(self._cut_after) if self._cut_after else -1
            if self._cut_after and place >= 0:
                writer.write(data[: place + len(self._cut_after)])
                self._cut_after = None
                self.cut()
                return
            writer.write(data)
            await writer.drain()
            data = await reader.read(_CHUNK)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


def _serve(name: str, content_type: str, writer: asyncio.StreamWriter) -> None:
    body = (_PAGE / name).read_bytes()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        f"content-security-policy: {_POLICY}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
