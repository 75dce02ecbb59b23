"""One tree of errors, translated once at each edge.

::

    MeshError
    ├── InvalidArgument      the caller must change the request (``fields`` says which part)
    ├── OutOfRange           beyond the end of something
    ├── FailedPrecondition   the system must change first
    ├── Unauthenticated      no valid token
    ├── PermissionDenied     a valid token that may not
    ├── NotFound             no such thing, or not the caller's
    ├── AlreadyExists        made before
    ├── Aborted              lost a race; the whole operation may be tried again
    ├── ResourceExhausted    a limit or quota; ``retry_after`` says when to come back
    ├── Cancelled            the caller left
    ├── DeadlineExceeded     out of time
    ├── Unavailable          a part is down; try again
    ├── Unimplemented        not offered
    └── Internal             our mistake

On the wire it is a gRPC status with ``google.rpc.ErrorInfo`` (reason, domain ``gaji``) and, when apt,
``BadRequest`` and ``RetryInfo`` (https://google.aip.dev/193).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import ClassVar

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "gaji"
PEER = "peer"
"""The key of `MeshError.metadata` that names the room of which an error tells; absent: the one that tells it."""
DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
"""The reason of a call that is not begun, since its caller waits too short."""
_DETAILS_KEY = "grpc-status-details-bin"
# Together below 8 KiB on the wire, where the details are in base64 and the message is percent-encoded.
_MAX_DETAILS = 3 * 1024
_MAX_MESSAGE = 1024


class MeshError(Exception):
    """What went wrong, for the caller.

    Args:
        message: one sentence for people, with the remedy where there is one.
        reason: UPPER_SNAKE, stable, for programs; default: the code's name.
        fields: request field -> what is wrong with it.
        retry_after: seconds after which the same request may succeed.
        metadata: further facts for programs.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    always_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code.name
        self.fields = dict(fields or {})
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.always_retryable or self.retry_after is not None

    def to_status(self) -> status_pb2.Status:
        """The error as ``google.rpc.Status`` with its details."""
        return self._status(self.message, self.fields)

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The trailing metadata that carries the details of a gRPC status; of many fields the first ones.

        A peer refuses metadata above some 8 KiB, and would make RESOURCE_EXHAUSTED of whatever the error was.
        """
        status, fields = self.to_status(), self.fields
        while status.ByteSize() > _MAX_DETAILS and (fields or status.message != self.short_message):
            status = self._status(self.short_message, fields)
            fields = dict(islice(fields.items(), len(fields) // 2))
        return ((_DETAILS_KEY, status.SerializeToString()),)

    def _status(self, message: str, fields: Mapping[str, str]) -> status_pb2.Status:
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        details: list[Any] = [_packed(info)]
        if fields:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
                for field, text in fields.items()
            ]
            details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
        if self.retry_after is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(round(self.retry_after * 1000))
            details.append(_packed(retry))
        return status_pb2.Status(code=self.code.value[0], message=message, details=details)

    @property
    def short_message(self) -> str:
        """The message, or the beginning of one that is too long for a gRPC status."""
        text = self.message.encode()
        return self.message if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE].decode(errors="ignore") + " ..."


class InvalidArgument(MeshError):
    """The caller must change the request."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class OutOfRange(MeshError):
    """Beyond the end of something."""

    code = grpc.StatusCode.OUT_OF_RANGE


class FailedPrecondition(MeshError):
    """The system must change first."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Unauthenticated(MeshError):
    """No valid token."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(MeshError):
    """A valid token that may not."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(MeshError):
    """No such thing, or not the caller's: the two are not told apart."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(MeshError):
    """Made before."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Aborted(MeshError):
    """Lost a race; the whole operation may be tried again."""

    code = grpc.StatusCode.ABORTED
    always_retryable = True


class ResourceExhausted(MeshError):
    """A limit or a quota is used up."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Cancelled(MeshError):
    """The caller left."""

    code = grpc.StatusCode.CANCELLED


class DeadlineExceeded(MeshError):
    """Out of time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    always_retryable = True


class Unavailable(MeshError):
    """A part is down; try again."""

    code = grpc.StatusCode.UNAVAILABLE
    always_retryable = True


class Unimplemented(MeshError):
    """Not offered."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(MeshError):
    """Our mistake. The caller learns no more than that."""

    code = grpc.StatusCode.INTERNAL


class Unknown(MeshError):
    """A peer's status that says nothing."""

    code = grpc.StatusCode.UNKNOWN


BY_CODE: Mapping[grpc.StatusCode, type[MeshError]] = {cls.code: cls for cls in MeshError.__subclasses__()}


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def from_status(status: status_pb2.Status) -> MeshError:
    """The error that a ``google.rpc.Status`` describes; unknown details are left out."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        if detail.Unpack(info) or detail.Unpack(bad):
            continue
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return BY_CODE.get(code, Unknown)(
        status.message,
        reason=info.reason,
        fields={violation.field: violation.description for violation in bad.field_violations},
        retry_after=retry_after,
        metadata=info.metadata,
    )


def from_code(code: int, message: str) -> MeshError:
    """The error of a bare status code (its number)."""
    return BY_CODE.get(_CODES.get(code, grpc.StatusCode.UNKNOWN), Unknown)(message)


def from_rpc_error(error: grpc.aio.AioRpcError) -> MeshError:
    """The error that a peer's status describes, with its details."""
    told = told_in(error.trailing_metadata())
    if told is not None:
        return told
    return BY_CODE.get(error.code(), Unknown)(error.details() or error.code().name)


@contextmanager
def translated(peer: str) -> Iterator[None]:
    """Turns a peer's status into a `MeshError` that names the peer when the status itself says little.

    Args:
        peer: the peer's name for people, e.g. ``"search"``.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        translated_error = from_rpc_error(error)
        if (
            isinstance(translated_error, Unavailable | DeadlineExceeded)
            and translated_error.reason == error.code().name
        ):
            # The transport's own words ("failed to connect to all addresses; ...") are for logs, not for readers.
            translated_error.message = f"{peer} does not answer; try again"
            translated_error.reason = (
                f"{peer.upper()}_{'UNAVAILABLE' if isinstance(translated_error, Unavailable) else 'TOO_SLOW'}"
            )
        if isinstance(translated_error, Unavailable | DeadlineExceeded | Internal | Unknown):
            translated_error.metadata.setdefault(PEER, peer)  # whoever hears of it must not take it for our own fault
        raise translated_error from error


_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def has_details(error: grpc.aio.AioRpcError) -> bool:
    """Whether a status says more than its code: then it is a server's word, not the transport's."""
    return any(key == _DETAILS_KEY for key, _ in error.trailing_metadata() or ())


def told_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> MeshError | None:
    """The error in the trailing metadata of a status; None: it has none, the status is the transport's."""
    for key, value in metadata or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return from_status(status_pb2.Status.FromString(value))
    return None


def peer_name(method: str) -> str:
    """The room that offers a method, by its path: ``search`` for ``/gaji.search.v1.SearchService/GetPassages``."""
    parts = method.lstrip("/").partition("/")[0].split(".")
    return parts[1] if len(parts) > 2 else parts[0] or "peer"


def short_name(method: str) -> str:
    """A method for people: ``SearchService.GetPassages``."""
    service, _, name = method.lstrip("/").partition("/")
    return f"{service.rpartition('.')[2]}.{name}" if name else method or "the call"


def deadline_facts(seconds: float, method: str) -> dict[str, str]:
    """What programs learn of a deadline that was missed: which hop, which method, how long it had."""
    return {"deadline_seconds": f"{seconds:.3f}", PEER: peer_name(method), "method": method}
