"""HTTP/1.1 on a connection: uvicorn's protocol, with bounds on what comes before a request is one."""

import asyncio
import time
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.admission import Admission, refusal
from gateway.errors import EdgeError, Header, bad_request, error_body
from gateway.http import LINGER_SECONDS, PERMIT
from gateway.middleware import API_POLICY, SECURITY_HEADERS
from gateway.wire import Wire
from mesh.errors import InvalidArgument
from mesh.limiter import Permit

MAX_HEAD_BYTES = 128 * 1024
"""More than the 64 KiB that a URL may have; no browser and no proxy sends half as much."""


def bounded_protocol(
    head_seconds: float, admission: Admission, origins: Sequence[str] = ()
) -> partial["BoundedProtocol"]:
    """What uvicorn makes a protocol of for each connection.

    Args:
        head_seconds: how long a client may take from the connection, or from a request's first byte, to the end of the
            request's headers.
        admission: says which requests and connections are taken.
        origins: whose pages may read that a request is not.
    """
    return partial(BoundedProtocol, head_seconds=head_seconds, admission=admission, refusal=refusal(origins))


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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client is there."""
        super().connection_made(transport)
        self._wire = Wire(transport, self.flow)
        if len(self.connections) > self._admission.max_connections:
            self._refuse_connection()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or we, have closed."""
        self._stop_timer()
        super().connection_lost(exc)
        self._wire.closed()

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

    def on_headers_complete(self) -> None:
        """All of a request but its body is there: the moment to refuse it, before there is a task."""
        self._in_head = False
        if self._idle():  # what is sent before the last answer waits for its turn, one at a time, and takes no permit
            permit = self._admission.request(self.url.partition(b"?")[0])
            if permit is None and _STREAM not in self.headers:
                self._shed()
                return
            if isinstance(permit, Permit):
                scope: MutableMapping[str, Any] = self.scope  # type: ignore[assignment]  # as above
                scope[PERMIT] = permit
        self._admission.lag.arrived(time.perf_counter(), self.loop)
        super().on_headers_complete()

    def _shed(self) -> None:
        """Answers that there is too much to do; what the request still sends is thrown away."""
        close = self.expect_100_continue or not self.parser.should_keep_alive()
        self.cycle = _SHED  # type: ignore[assignment]  # has what uvicorn asks of a cycle that is complete
        answer = self._refusal(self.headers, close)
        if self.parser.get_method() == b"HEAD":
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
        if not self._idle():  # in the middle of another request's answer
            self.transport.close()
            return
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
_HEAD_TOO_LARGE = EdgeError(
    431,
    InvalidArgument(f"the request's line and headers have more than {MAX_HEAD_BYTES:,} bytes", reason="HEAD_TOO_LARGE"),
)
