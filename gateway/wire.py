"""The connection under an answer, for those who write many small pieces.

An ASGI server takes each piece through a coroutine of every layer. A stream of events writes to the transport instead,
in the same chunks, between the beginning and the end of its answer, which go the usual way.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl


class Listener(Protocol):
    """Whoever writes to a connection, and must know how it stands."""

    def full(self) -> None:
        """The connection takes no more for now."""

    def writable(self) -> None:
        """It takes more again."""

    def lost(self) -> None:
        """The client has gone."""


class Wire:
    """One connection.

    Args:
        transport: the connection's.
        flow: what the server knows of it.

    Attributes:
        write: writes bytes as they are, now if the kernel takes them and else as soon as it does; never waits.
    """

    KEY = "gaji.wire"
    """Where a request's scope has it."""

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self.write = transport.write
        self._transport = transport
        self._flow = flow
        self._listener: Listener | None = None
        self._closed = False

    @property
    def paused(self) -> bool:
        """Whether so much waits to go out that nothing more should be written."""
        return self._flow.write_paused

    @property
    def watched(self) -> bool:
        """Whether a listener looks after a client that does not read."""
        return self._listener is not None

    @property
    def waiting(self) -> int:
        """How many bytes wait for the client to take them; the kernel's buffers hold others."""
        return self._transport.get_write_buffer_size()

    def attach(self, listener: Listener) -> None:
        """Tells a listener from now on; at once, when the client has gone already."""
        self._listener = listener
        if self._closed:
            listener.lost()
        else:
            self._flow.resume_reading()  # otherwise nobody would see that the client leaves

    def detach(self) -> None:
        """Tells nobody any more."""
        self._listener = None

    def write_chunk(self, parts: Sequence[bytes], size: int) -> None:
        """Writes parts as one chunk of HTTP/1.1, without joining them.

        Args:
            parts: at least one byte in all.
            size: their bytes.
        """
        self._transport.writelines([b"%x\r\n" % size, *parts, b"\r\n"])

    def cut(self) -> None:
        """Closes at once; what waits to go out is lost."""
        self._transport.abort()

    def full(self) -> None:
        """The transport says so."""
        if self._listener is not None:
            self._listener.full()

    def writable(self) -> None:
        """The transport says so."""
        if self._listener is not None:
            self._listener.writable()

    def closed(self) -> None:
        """The transport says so."""
        self._closed = True
        if self._listener is not None:
            self._listener.lost()
