"""A TCP proxy of our own before one server, which can be made slow, deaf, rude or absent while connections stand."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from stack.ports import HOST, Ports

SLOW_SECONDS = 2.0
_CHUNK = 65_536
_CHUNKS = 256
"""What a slowed direction may hold back; the sender waits when it is full."""
_CONNECT_SECONDS = 5.0
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close(2) sends RST (socket(7))


class Mode(StrEnum):
    """What the proxy does."""

    PASS = "pass"  # noqa: S105 - a name
    SLOW = "slow"
    RESET = "reset"
    REFUSE = "refuse"
    BLACKHOLE = "blackhole"


class _Connection:
    """One connection and its other half; ends when either side has ended or it is reset."""

    def __init__(self, proxy: "Proxy", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._near = (reader, writer)
        self._writers = [writer]
        self._swallowed = False
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        reader, writer = self._near
        try:
            if self._proxy.mode is Mode.BLACKHOLE:
                self._swallowed = True
                while await reader.read(_CHUNK):
                    pass
                return
            async with asyncio.timeout(_CONNECT_SECONDS):
                far = await asyncio.open_connection(HOST, self._proxy.upstream)
            self._writers.append(far[1])
            held: list[asyncio.Queue[tuple[float, bytes]]] = [asyncio.Queue(_CHUNKS), asyncio.Queue(_CHUNKS)]
            self._pumps = [
                asyncio.create_task(pump)
                for pump in (
                    self._take(reader, held[0]),
                    self._give(held[0], far[1]),
                    self._take(far[0], held[1]),
                    self._give(held[1], writer),
                )
            ]
            await asyncio.gather(*self._pumps)
        except (OSError, TimeoutError):
            self.reset()
        finally:
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for each in self._writers:
                each.close()

    def reset(self) -> None:
        """Ends both halves with RST."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if sock is not None and not writer.transport.is_closing():
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()
        for pump in self._pumps:
            pump.cancel()

    def mend(self) -> None:
        """Resets a connection that lost bytes: nobody could go on with it."""
        if self._swallowed:
            self.reset()

    async def _take(self, reader: asyncio.StreamReader, held: "asyncio.Queue[tuple[float, bytes]]") -> None:
        now = asyncio.get_running_loop().time
        while True:
            data = await reader.read(_CHUNK)
            if self._proxy.mode is Mode.BLACKHOLE:
                self._swallowed = True
                if data:
                    continue
            await held.put((now() + (self._proxy.seconds if self._proxy.mode is Mode.SLOW else 0.0), data))
            if not data:
                return

    async def _give(self, held: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, data = await held.get()
            if (left := due - now()) > 0:
                await asyncio.sleep(left)
            if not data:
                if writer.can_write_eof():
                    with contextlib.suppress(OSError):
                        writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


class Proxy:
    """Listens on a port of its own and hands everything on to another, on the loopback interface.

    Args:
        upstream: the port that it stands before.
        port: its own.

    Attributes:
        mode: what it does now.
        seconds: by how much each chunk of each direction is late while it is slow; their order and pace stay.
    """

    def __init__(self, upstream: int, port: int) -> None:
        self.upstream = upstream
        self.port = port
        self.mode = Mode.PASS
        self.seconds = SLOW_SECONDS
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    @property
    def open_connections(self) -> int:
        """How many stand."""
        return len(self._connections)

    async def become(self, mode: Mode) -> None:
        """Changes what it does, also on the connections that stand."""
        self.mode = mode
        if mode in {Mode.RESET, Mode.REFUSE}:
            for connection in list(self._connections):
                connection.reset()
        else:
            for connection in list(self._connections):
                connection.mend()
        if mode is Mode.REFUSE:
            self._deafen()
        else:
            await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accepted, HOST, self.port, reuse_address=True)

    def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        if self.mode in {Mode.RESET, Mode.REFUSE}:
            connection.reset()
            return
        task = asyncio.ensure_future(connection.run())
        self._connections[connection] = task
        try:
            await asyncio.wait([task])
        finally:
            del self._connections[connection]

    async def close(self) -> None:
        """Stops listening and resets what stands."""
        self._deafen()
        tasks = list(self._connections.values())
        for connection in list(self._connections):
            connection.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def open_proxy(upstream: int, ports: Ports) -> AsyncIterator[Proxy]:
    """A proxy before a port, passing everything on, until the block is left.

    Args:
        upstream: the port; nobody need listen there yet.
        ports: gives it its own.

    Raises:
        OSError: it can't listen.
    """
    proxy = Proxy(upstream, ports.free())
    await proxy.become(Mode.PASS)
    try:
        yield proxy
    finally:
        await proxy.close()
