"""HTTP/1.1 for requests to one server whose answers are heard as they come.

By httptools, whose parser is C, and with neither a task nor a stream between: what arrives is parsed and told on within
the loop's own callback, which is the least that a token can cost.
"""

import asyncio
import contextvars
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

import aiohappyeyeballs
import httptools

_MOST_OF_A_HEAD = 65_536
_NEXT_ADDRESS_SECONDS = 0.25
"""How long one address of a server has before the next one is tried beside it (RFC 8305)."""


class UnreachableError(Exception):
    """There is no way to the server, or none in time."""


class BrokenError(Exception):
    """The answer has ended before its end, or is not HTTP."""


class Answer(Protocol):
    """Hears an answer, in the context of whoever asked; what it raises ends the exchange.

    Both return whether that is all that is wanted.
    """

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        """It begins; the names of headers are in small letters."""

    def body(self, received: bytes) -> bool:
        """Some more of it."""


class Http:
    """Connections to one server, each used again and again.

    Args:
        url: what is posted to.
        headers: of each request.
        proxy: the URL of the HTTP proxy on the way; None: there is none.
        tls: whom to trust.
        connect_seconds: for all of connecting: the name, the proxy, TLS.
        silence_seconds: how long the server may say nothing.
        kept_seconds: how long a connection waits for the next request.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        proxy: str | None,
        tls: ssl.SSLContext,
        connect_seconds: float,
        silence_seconds: float,
        kept_seconds: float,
    ) -> None:
        self._url = there = urlsplit(url)
        self._proxy = urlsplit(proxy) if proxy else None
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._kept_seconds = kept_seconds
        self._open: set[_Connection] = set()
        self._free: list[_Connection] = []
        self._tunnel = b""
        path = quote(there.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{there.query}" if there.query else "")
        headers = {"host": _host(there), "user-agent": "gaji", **_credentials("authorization", there), **headers}
        if self._proxy is not None:
            to_proxy = _credentials("proxy-authorization", self._proxy)
            if there.scheme == "https":
                peer = f"{_host(there, port=False)}:{_port(there)}"
                self._tunnel = _head("CONNECT", peer, {"host": peer, **to_proxy}) + b"\r\n"
            else:
                path, headers = f"http://{_host(there)}{path}", {**headers, **to_proxy}
        self._head = _head("POST", path, headers)

    async def post(self, body: bytes, answer: Answer) -> None:
        """Asks, and returns when the answer has ended or no more of it is wanted.

        Raises:
            UnreachableError: there is no connection.
            BrokenError: the answer broke off.
            TimeoutError: the server said nothing for too long.
        """
        while self._free:
            connection = self._free.pop()
            if not connection.transport.is_closing():
                break
        else:
            connection = await self._connected()
        await connection.ask(b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body), answer)

    async def aclose(self) -> None:
        """Closes all connections."""
        for connection in tuple(self._open):
            connection.transport.abort()
        await asyncio.sleep(0)  # in the loop's next turn they hear of it

    async def _connected(self) -> "_Connection":
        connection = _Connection(self._silence_seconds, self._kept_seconds, self._open, self._free)
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._connect(connection)
        except BaseException as error:
            if connection in self._open:
                connection.transport.abort()
                self._open.discard(connection)  # one that is lost within TLS may never hear of it
            if isinstance(error, OSError | BrokenError):  # of the former are TimeoutError and those of TLS
                raise UnreachableError(repr(error)) from error
            raise
        return connection

    async def _connect(self, connection: "_Connection") -> None:
        loop = asyncio.get_running_loop()
        first = self._proxy or self._url
        host = first.hostname or ""
        found = await loop.getaddrinfo(host, _port(first), type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self._tls if first.scheme == "https" else None
        await loop.create_connection(lambda: connection, sock=sock, ssl=tls, server_hostname=host if tls else None)
        if self._tunnel:
            await connection.ask(self._tunnel, _Tunnel())
            connection.rest()
            inside = await loop.start_tls(
                connection.transport, connection, self._tls, server_hostname=self._url.hostname
            )
            connection.connection_made(cast("asyncio.Transport", inside))
            if connection.transport.is_closing():
                raise ConnectionError("the connection was lost within TLS")


class _Connection(asyncio.Protocol):
    """A connection: one exchange after the other.

    Args:
        silence_seconds, kept_seconds: as of `Http`.
        opened: all that are open.
        free: those of them that wait for the next request.
    """

    transport: asyncio.Transport

    def __init__(
        self, silence_seconds: float, kept_seconds: float, opened: set["_Connection"], free: list["_Connection"]
    ) -> None:
        self._silence_seconds = silence_seconds
        self._kept_seconds = kept_seconds
        self._opened = opened
        self._free = free
        self._loop = asyncio.get_running_loop()
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._exchange: _Exchange | None = None

    async def ask(self, request: bytes, answer: Answer) -> None:
        """One exchange."""
        exchange = self._exchange = _Exchange(answer, self._loop)
        self._heard = self._loop.time()
        self._at(self._silence_seconds, self._listen)
        self.transport.write(request)
        try:
            await exchange.ended
        except BaseException:
            if not exchange.whole:  # else it may serve somebody else by now
                self.transport.abort()
            raise
        if not exchange.whole:  # its last bytes are awaited, for the sake of the connection
            self._at(self._kept_seconds, self.transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._opened.add(self)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        exchange = self._exchange
        if exchange is None:  # nobody has asked
            self.transport.abort()
            return
        exchange.feed(data)
        if exchange.whole:
            self._exchange = None
            if exchange.lasts:
                self._free.append(self)
                self._at(self._kept_seconds, self.transport.close)
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._opened.discard(self)
        if self in self._free:
            self._free.remove(self)
        self.rest()
        if self._exchange is not None:
            self._exchange.lost(exc)

    def rest(self) -> None:
        """Waits for nothing: whoever has it sees to that."""
        if self._timer is not None:
            self._timer.cancel()

    def _at(self, seconds: float, do: Callable[[], None]) -> None:
        self.rest()
        self._timer = self._loop.call_later(seconds, do)

    def _listen(self) -> None:
        """Whether something has come lately: so a timer is set once, not for each piece."""
        left = self._heard + self._silence_seconds - self._loop.time()
        if left > 0:
            self._at(left, self._listen)
        elif self._exchange is not None:
            self._exchange.fail(TimeoutError())


class _Exchange:
    """A request whose answer comes; what the parser calls.

    Attributes:
        ended: when its answer has ended or no more of it is wanted.
        whole: whether all of it has come.
        lasts: whether the connection outlives it.
    """

    def __init__(self, answer: Answer, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self.whole = self.lasts = False
        self._answer = answer
        self._run = contextvars.copy_context().run
        self._status = self._size = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._parser: Any = httptools.HttpResponseParser(self)  # None in the end: the two hold each other, and a reply

    def feed(self, data: bytes) -> None:
        """More has come."""
        try:
            self._parser.feed_data(data)
            if self._parts:
                received = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts.clear()
                if not self.ended.done() and self._run(self._answer.body, received):
                    self.ended.set_result(None)
        except httptools.HttpParserError as error:
            self.fail(BrokenError(repr(error)))
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            self.fail(error)
        if self.whole:
            self._parser = None
            if not self.ended.done():
                self.ended.set_result(None)

    def lost(self, error: Exception | None) -> None:
        """The connection is gone, which is the end of an answer that has told no other."""
        told = self._headers.keys() & {"content-length", "transfer-encoding"}
        if error is None and self._status and not told and not self.ended.done():
            self.ended.set_result(None)
        self.fail(BrokenError(repr(error)))
        self._parser = None

    def fail(self, error: BaseException) -> None:
        """It ends with an error, if it has not ended."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._size += len(name) + len(value)
        if self._size > _MOST_OF_A_HEAD:
            raise ValueError("the headers are too long")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 200:  # the answer itself follows
            self._headers.clear()
            return
        if self._run(self._answer.head, status, self._headers):
            self.ended.set_result(None)  # and what follows is no body
        else:
            self._status = status

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._status:
            self.whole, self.lasts = True, self._parser.should_keep_alive()


class _Tunnel:
    """What a proxy answers to CONNECT."""

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        if not 200 <= status < 300:
            raise BrokenError(f"the proxy answers {status}")
        return True

    def body(self, received: bytes) -> bool:
        return True


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), ""]
    if any(not line.isprintable() for line in lines):
        raise ValueError("an address or a header holds what is no text")
    return "\r\n".join(lines).encode("latin-1")


def _host(url: SplitResult, *, port: bool = True) -> str:
    name = (url.hostname or "").encode("idna").decode()
    name = f"[{name}]" if ":" in name else name
    return f"{name}:{url.port}" if port and url.port is not None else name


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _credentials(header: str, url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {header: f"Basic {b64encode(pair.encode()).decode()}"}
