"""The ways to an OTLP receiver. All of it blocks, for a bounded time, and is for the exporter's thread.

https://opentelemetry.io/docs/specs/otlp/ says what is sent and which failures may be tried again.
"""

import gzip
import http.client
import ssl
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import grpc

from mesh.telemetry.spans.settings import TraceSettings

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_MOST_ANSWER = 64 * 1024
_AGAIN = frozenset({429, 502, 503, 504})
_AGAIN_GRPC = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class NotSentError(Exception):
    """An export has failed. The message is for logs.

    Args:
        message: how.
        again: whether the same may succeed later.
        retry_after: seconds that the receiver asks to be left alone; None: it does not say.
    """

    def __init__(self, message: str, *, again: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.retry_after = retry_after


class Sender(Protocol):
    """A way to a receiver."""

    def send(self, body: bytes, seconds: float) -> bytes:
        """Sends an ``ExportTraceServiceRequest``; returns the answer.

        Raises:
            NotSentError: it was not taken.
        """

    def close(self) -> None:
        """Closes the connection."""


class HttpSender:
    """OTLP over HTTP, one connection that is kept open.

    Args:
        settings: endpoint, headers, compression.

    Raises:
        OSError: the file of authorities cannot be read.
    """

    def __init__(self, settings: TraceSettings) -> None:
        url = urlsplit(settings.endpoint)
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._gzip = settings.exporter_otlp_compression == "gzip"
        self._headers = {"content-type": "application/x-protobuf", "user-agent": "gaji", **settings.headers}
        if self._gzip:
            self._headers["content-encoding"] = "gzip"
        host, port = url.hostname or "", url.port
        self._connect: Callable[[float], http.client.HTTPConnection]
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=settings.exporter_otlp_certificate)
            self._connect = lambda seconds: http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
        else:
            self._connect = lambda seconds: http.client.HTTPConnection(host, port, timeout=seconds)
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes, seconds: float) -> bytes:
        """See `Sender`."""
        try:
            return self._posted(gzip.compress(body, 1) if self._gzip else body, seconds)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotSentError(f"{type(error).__name__}: {error}", again=True) from error

    def close(self) -> None:
        """See `Sender`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _posted(self, body: bytes, seconds: float) -> bytes:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect(seconds)
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        connection.request("POST", self._path, body, self._headers)
        with connection.getresponse() as response:
            answer = response.read(_MOST_ANSWER)
            whole = response.isclosed()
            status, retry_after = response.status, response.headers.get("retry-after", "")
        if not whole:  # more follows, which nobody wants to read
            self.close()
        if 200 <= status < 300:
            return answer
        seconds_left = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else None
        raise NotSentError(f"HTTP {status}", again=status in _AGAIN, retry_after=seconds_left)


class GrpcSender:
    """OTLP over gRPC.

    Args:
        settings: endpoint, headers, compression.

    Raises:
        OSError: the file of authorities cannot be read.
    """

    def __init__(self, settings: TraceSettings) -> None:
        url = urlsplit(settings.endpoint)
        target = f"{url.hostname}:{url.port or 4317}"
        if url.scheme == "https":
            file = settings.exporter_otlp_certificate
            credentials = grpc.ssl_channel_credentials(file.read_bytes() if file else None)
            self._channel = grpc.secure_channel(target, credentials)
        else:
            self._channel = grpc.insecure_channel(target)
        self._export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(EXPORT)
        self._metadata = tuple(settings.headers.items())
        packed = settings.exporter_otlp_compression == "gzip"
        self._compression = grpc.Compression.Gzip if packed else grpc.Compression.NoCompression

    def send(self, body: bytes, seconds: float) -> bytes:
        """See `Sender`."""
        try:
            answer: bytes = self._export(body, timeout=seconds, metadata=self._metadata, compression=self._compression)
        except grpc.RpcError as error:
            code = error.code()
            raise NotSentError(code.name, again=code in _AGAIN_GRPC) from error
        return answer

    def close(self) -> None:
        """See `Sender`."""
        self._channel.close()


def sender_of(settings: TraceSettings) -> Sender:
    """The way that the settings name.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    return GrpcSender(settings) if settings.protocol == "grpc" else HttpSender(settings)
