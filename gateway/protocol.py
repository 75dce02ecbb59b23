"""HTTP/1.1 on a connection: uvicorn's protocol, with bounds on what comes before a request is one.

The parser, llhttp, refuses what two servers could read in two ways (https://www.rfc-editor.org/rfc/rfc9112#section-11.2):
both or several lengths, folded lines, bare CR or LF, spaces before a colon. What it lets through is refused here.
"""

import asyncio
import time
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway import http_metrics
from gateway.admission import Admission, refusal
from gateway.door import Door
from gateway.errors import EdgeError, Header, bad_request, error_body
from gateway.http import LINGER_SECONDS, PERMIT
from gateway.middleware import API_POLICY, SECURITY_HEADERS
from gateway.wire import Wire
from mesh.errors import InvalidArgument, ResourceExhausted
from mesh.limiter import Permit

MAX_HEAD_BYTES = 128 * 1024
"""More than the 64 KiB that a URL may have; no browser and no proxy sends half as much."""
MAX_PIPELINED = 64
"""Requests that wait behind one that is being answered; no browser sends any."""
_MAX_FRAMING = 8
_FREE_FRAMING = 16 * 1024


def bounded_protocol(
    head_seconds: float, admission: Admission, door: Door, origins: Sequence[str] = ()
) -> partial["BoundedProtocol"]:
    """What uvicorn makes a protocol of for each connection.

    Args:
        head_seconds: how long a client may take from the connection, or from a request's first byte, to the end of the
            request's headers.
        admission: says which requests and connections are taken.
        door: counts connections by address.
        origins: whose pages may read that a request is not.
    """
    return partial(BoundedProtocol, head_seconds=head_seconds, admission=admission, door=door, refusal=refusal(origins))


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that never say what they want, and refuses headers without end.

    uvicorn bounds neither, and its refusals are plain text: a client that sends a byte now and then would hold its
    connection, and one that sends a header of gigabytes the memory, for ever.
    """

    def __init__(
        self,
        *args: Any,
        head_seconds: float,
        admission: Admission,
        door: Door,
        refusal: Callable[[Sequence[Header], bool], bytes],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._admission = admission
        self._refusal = refusal
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._received = self._head_began_at = 0
        self._in_head = self._refused = False
        self._door = door
        self._entered: str | None = None
        self._lingers = False
        self._body_began_at = self._body_bytes = 0
        self._cycles: list[Any] = []  # of requests without a whole answer, those in line included

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client is there."""
        super().connection_made(transport)
        self._wire = Wire(transport, self.flow)
        if len(self.connections) > self._admission.max_connections:
            self._refuse_connection()
            return
        self._entered = self._door.enter(self.client[0] if self.client else "")
        if self._entered is None:
            self._lingers = self._door.may_linger()
            if self._lingers:
                self._refuse(_TOO_MANY_CONNECTIONS)
            else:
                self._refused = True
                transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or we, have closed."""
        self._stop_timer()
        super().connection_lost(exc)
        for cycle in self._cycles:  # uvicorn tells the last one alone, and the one before it writes to what is closed
            cycle.disconnected = True
            cycle.message_event.set()
        self._wire.closed()
        if self._entered is not None:
            self._door.leave(self._entered)
        if self._lingers:
            self._door.gone()

    def pause_writing(self) -> None:
        """More waits to go out than should."""
        super().pause_writing()
        self._wire.full()

    def resume_writing(self) -> None:
        """Most of it has gone out."""
        super().resume_writing()
        self._wire.writable()

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        if self._refused:
            return
        self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received - self._head_began_at > MAX_HEAD_BYTES and not self._refused:
            self._refuse(_HEAD_TOO_LARGE)
        if self._overframed():
            self.send_400_response("")
        if self._refused:
            return
        if self._idle():
            self._expect_head()
        else:
            self._stop_timer()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        scope: MutableMapping[str, Any] = self.scope  # type: ignore[assignment]  # uvicorn's type knows no extensions
        scope[Wire.KEY] = self._wire
        self._in_head, self._head_began_at = True, self._received

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come; or a trailer, behind a body, which must not count as a header."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All of a request but its body is there: the moment to refuse it, before there is a task.

        Raises:
            ValueError: it could be read in two ways, or wants another protocol; it is answered with 400.
        """
        self._in_head = False
        self._body_began_at, self._body_bytes = self._received, 0
        self._check_framing()
        permit: Permit | bool | None = None
        if self._idle():  # what is sent before the last answer waits for its turn, one at a time, and takes no permit
            permit = self._admission.request(self.url.partition(b"?")[0])
            if permit is None and _STREAM not in self.headers:
                self._shed()
                return
            if isinstance(permit, Permit):
                scope: MutableMapping[str, Any] = self.scope  # type: ignore[assignment]  # as above
                scope[PERMIT] = permit
        self._admission.lag.arrived(time.perf_counter(), self.loop)
        try:
            super().on_headers_complete()
        except Exception:  # a URL without a path, say: there will be no task that gives the permit back
            if isinstance(permit, Permit):
                permit.end()
            raise
        self._cycles = [*(cycle for cycle in self._cycles if not cycle.response_complete), self.cycle]

    def _check_framing(self) -> None:
        if self.parser.should_upgrade():  # CONNECT as well
            raise ValueError("no upgrades, no tunnels")
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if version not in {"1.1", "1.0"} or hosts > 1 or (version == "1.1" and not hosts):
            raise ValueError("HTTP/1.1 with one host")
        if codings and (version == "1.0" or [coding.strip().lower() for coding in codings] != [b"chunked"]):
            raise ValueError("a body of another transfer coding than chunked")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")

    def on_body(self, body: bytes) -> None:
        """Some of a body has come."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has ended."""
        self._body_began_at = 0
        super().on_message_complete()

    def owes(self) -> int:
        """How many bytes of answers the client has yet to take; 0 where a stream's reader looks after it."""
        return 0 if self._wire.watched else self._wire.waiting

    def cut(self) -> None:
        """Closes at once; what waits to go out is lost."""
        self._wire.cut()

    def _shed(self) -> None:
        """Answers that there is too much to do; what the request still sends is thrown away."""
        close = self.expect_100_continue or not self.parser.should_keep_alive()
        self.cycle = _SHED  # type: ignore[assignment]  # has what uvicorn asks of a cycle that is complete
        answer = self._refusal(self.headers, close)
        verb = self.parser.get_method()
        http_metrics.answered(http_metrics.known(verb.decode("latin-1")), "", 503, 0.0, received=b"", sent=0)
        if verb == b"HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        self.transport.write(answer)
        if close:
            self._refused = True
            self.transport.write_eof()
            self._head_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self._stop_timer()  # the next request has its own time
            self.on_response_complete()

    def _refuse_connection(self) -> None:
        """Answers before anything was asked, and closes; a flood of connections is not even answered."""
        self._admission.connection_refused()
        if len(self.connections) > self._admission.max_connections + _LINGERING_CONNECTIONS:
            self.transport.abort()
            return
        self._refused = True
        self.transport.write(self._refusal((), True))
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP, in the shape of all errors."""
        self._refuse(_MALFORMED)

    def _refuse(self, refusal: EdgeError) -> None:
        """Answers and closes; reads on for a moment, since closing at once would make the kernel drop the answer."""
        self._refused = True
        self._stop_timer()
        if not self._idle():
            if self.cycle.response_started or self.pipeline:  # in the middle of another request's answer
                self.transport.close()
                return
            self.cycle.disconnected = True  # what began as a request turns out to be none
            self.cycle.message_event.set()
        body = error_body(refusal.error)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *SECURITY_HEADERS,
            API_POLICY,
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[refusal.status] + head + b"\r\n" + body)
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _overframed(self) -> bool:
        """Whether a chunked body is mostly chunk extensions, trailers and the like, which no limit of bodies counts."""
        if not self._body_began_at or self._refused:
            return False
        return self._received - self._body_began_at > _MAX_FRAMING * self._body_bytes + _FREE_FRAMING

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self._head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Unheard:
    def set(self) -> None:
        """Nobody waits."""


class _Complete:
    """Stands for a request that was refused before it became one."""

    response_complete = True
    message_event = _Unheard()


_SHED = _Complete()
# What every EventSource sends. It gives up for good when it is refused, so streams are bounded by their number alone;
# `Admission.late` holds what only says that it is one.
_STREAM = (b"accept", b"text/event-stream")
_LINGERING_CONNECTIONS = 100

_MALFORMED = EdgeError(400, bad_request("what was sent is not an HTTP/1.1 request", "MALFORMED_REQUEST"))
_TOO_MANY_CONNECTIONS = EdgeError(
    429,
    ResourceExhausted(
        "too many connections from your network: close some, and use those that are open again",
        reason="TOO_MANY_CONNECTIONS",
        retry_after=5.0,
    ),
)
_HEAD_TOO_LARGE = EdgeError(
    431,
    InvalidArgument(f"the request's line and headers have more than {MAX_HEAD_BYTES:,} bytes", reason="HEAD_TOO_LARGE"),
)
