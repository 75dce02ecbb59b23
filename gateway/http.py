"""One HTTP request and the ways to answer it, over ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from gateway.cookies import parse_cookies
from gateway.errors import ClientLeft, EdgeError, Header, bad_request
from gateway.wire import Wire
from mesh.errors import DeadlineExceeded, InvalidArgument
from mesh.identity import Identity
from mesh.limiter import Permit

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"
PERMIT = "gaji.permit"
"""Where a request's scope has its permit."""
NO_STORE: Header = (b"cache-control", b"no-store")
MAX_QUERY_BYTES = 60 * 1024  # httptools cannot parse a URL of 64 KiB, and uvicorn then answers 400 without our words
MAX_PARAMETERS = 200
LINGER_SECONDS = 2.0


class Request:
    """A request that is being answered.

    Attributes:
        method: the HTTP method.
        raw_path: the path as it came, percent-encoded.
        headers: by lower-case name; of a header given twice the last counts.
        label: the route's template once it has been found, for logs and metrics.
        user_id: set when it is known.
        kind: what the time that it takes is compared with; empty: with others of its label.
        reader: set when it is known whose token it bears.
        started: whether the answer has begun.
        status: the answer's; 0: it has not begun.
        wire: the connection.
        permit: to be answered, where there is a limit.
        client: the address of the client, proxies seen through.
        peer: the address of whoever has connected, a proxy perhaps; empty: it has none.
        fields: header fields that every answer to it bears.
        sent: bytes of the answer's body so far.
        began: `time.perf_counter` when it came.
        outcome: of a stream that has begun: how it ended (`gateway.http_metrics`); empty: it is none.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.raw_path: str = scope["raw_path"].decode("latin-1")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.send = send
        self.label = ""
        self.user_id = ""
        self.kind = ""
        self.reader: Identity | None = None
        self.started = False
        self.status = 0
        self.wire: Wire = scope[Wire.KEY]
        self.permit: Permit | None = scope.get(PERMIT)
        self.client = ""
        self.peer: str = (scope.get("client") or ("",))[0]
        self.fields: tuple[Header, ...] = ()
        self.sent = 0
        self.began = time.perf_counter()
        self.outcome = ""
        self._query: bytes = scope["query_string"]
        self._cookies: dict[str, str] | None = None

    def header(self, name: bytes) -> str:
        """A header's value; empty: it was not sent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    def cookie(self, name: str) -> str:
        """A cookie's value; empty: it was not sent."""
        if self._cookies is None:
            self._cookies = dict(parse_cookies(self.header(b"cookie")))
        return self._cookies.get(name, "")

    def query(self) -> list[tuple[str, str]]:
        """The query's parameters in order.

        Raises:
            EdgeError: 414, it is too long.
            InvalidArgument: it does not parse.
        """
        if not self._query:
            return []
        if len(self._query) > MAX_QUERY_BYTES:
            text = f"the query has {len(self._query):,} bytes; send long texts in a body"
            raise EdgeError(414, InvalidArgument(text, reason="QUERY_TOO_LONG"))
        try:
            text = self._query.decode("ascii")
            return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
        except UnicodeDecodeError as error:
            raise bad_request("the query is not percent-encoded UTF-8", "INVALID_QUERY") from error
        except ValueError as error:
            raise bad_request(f"the query has more than {MAX_PARAMETERS} parameters", "INVALID_QUERY") from error

    def refuse_body(self) -> None:
        """For routes that take none.

        Raises:
            InvalidArgument: one was sent.
        """
        if self.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.headers:
            raise bad_request(f"{self.method} takes no body here", "BODY_NOT_ALLOWED")

    async def body(self, limit: int, seconds: float, *, raw: bool = False) -> bytes:
        """The body; empty: there is none.

        Args:
            limit: its size in bytes at most.
            seconds: how long its sender may take.
            raw: whether it may be of any type; else it is JSON.

        Raises:
            EdgeError: 413, 415 or 408.
            ClientLeft: the client went away while sending.
        """
        length = self.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        if length == b"0" and b"transfer-encoding" not in self.headers:
            return b""
        self._check_type(raw=raw)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    event = await self.receive()
                    if event["type"] == "http.disconnect":
                        raise ClientLeft
                    chunks.append(event["body"])
                    size += len(event["body"])
                    if size > limit:
                        raise _too_large(limit)
                    if not event["more_body"]:
                        return b"".join(chunks)
        except TimeoutError:
            error = DeadlineExceeded(f"the body did not come within {seconds:g} s", reason="BODY_TOO_SLOW")
            raise EdgeError(408, error, linger=True) from None

    def _check_type(self, *, raw: bool) -> None:
        if raw and b"content-encoding" not in self.headers:
            return
        kind, *parameters = (part.strip().lower() for part in self.header(b"content-type").split(";"))
        charset = all(part in {"charset=utf-8", 'charset="utf-8"', ""} for part in parameters)
        if kind != "application/json" or not charset or b"content-encoding" in self.headers:
            text = "send the body as `Content-Type: application/json`, in UTF-8, not compressed"
            error = InvalidArgument(text, reason="UNSUPPORTED_MEDIA_TYPE")
            raise EdgeError(415, error, [(b"accept", JSON)], linger=True)

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Begins the answer."""
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, *self.fields]})

    async def respond(
        self, status: int, body: bytes, headers: Sequence[Header] = (), *, content_type: bytes = JSON
    ) -> None:
        """Answers whole; 204 has no body."""
        if status == 204:
            await self.start(status, headers)
            await self.send({"type": "http.response.body", "body": b""})
            return
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [(b"content-type", content_type), length, *headers])
        await self.send({"type": "http.response.body", "body": body})

    async def respond_and_linger(self, status: int, body: bytes, headers: Sequence[Header]) -> None:
        """Answers while the client may still be sending, and closes the connection.

        Closing at once would make the kernel reset the connection, and the client would lose the answer with it; so
        what still comes is thrown away for a moment first.
        """
        closing = (b"connection", b"close")
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [(b"content-type", JSON), length, closing, *headers])
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        # A client that asked whether to send its body has its answer, and sends nothing.
        patience = 0.0 if b"expect" in self.headers else LINGER_SECONDS
        try:
            async with asyncio.timeout(patience):
                while True:
                    event = await self.receive()
                    if event["type"] == "http.disconnect" or not event["more_body"]:
                        break
        except TimeoutError:
            pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def _too_large(limit: int) -> EdgeError:
    error = InvalidArgument(f"the body is larger than {limit:,} bytes", reason="BODY_TOO_LARGE")
    return EdgeError(413, error, linger=True)
