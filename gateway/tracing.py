"""Spans of requests (https://opentelemetry.io/docs/specs/semconv/http/http-spans/)."""

from functools import lru_cache
from typing import Literal

from gateway.address import ClientAddresses, parse_address
from gateway.http import Request
from mesh.telemetry import trace
from mesh.telemetry.spans import record
from mesh.telemetry.spans.encode import encoded
from mesh.telemetry.spans.record import Kind, is_sampled

SampledFrom = Literal["nobody", "proxies", "anybody"]
_UNRECORDED = frozenset({"/health", "/ready"})
"""What is asked every second, and makes no sense as a trace."""
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


@lru_cache(maxsize=64)
def _fixed(method: str, scheme: str) -> bytes:
    return encoded({"http.request.method": method, "url.scheme": scheme})


class Tracing:
    """Begins and ends the spans of requests.

    The trace of a caller is gone on with, whoever he is: it names things and grants nothing. That it be recorded he can
    ask for where the setting lets him: else anybody could have all of his requests recorded.

    Args:
        sampled_from: who may ask for that: nobody, who comes over a trusted proxy, anybody.
        addresses: know the proxies.
    """

    def __init__(self, sampled_from: SampledFrom, addresses: ClientAddresses) -> None:
        self._sampled_from = sampled_from
        self._addresses = addresses

    def begin(self, request: Request, scheme: str) -> trace.TraceContext:
        """The context of a request, for the rest of the running task."""
        request_id = request.header(b"x-request-id") or None
        traceparent = request.header(b"traceparent") or None
        if record.active is None or request.raw_path in _UNRECORDED:
            return trace.enter(request_id, traceparent, heard=self._heard(request.peer, traceparent))
        method = request.method if request.method in _METHODS else "_OTHER"
        return trace.enter(
            request_id,
            traceparent,
            name=method,
            kind=Kind.SERVER,
            fixed=_fixed(method, scheme),
            heard=self._heard(request.peer, traceparent),
        )

    def _heard(self, peer: str, traceparent: str | None) -> bool:
        """Whether the caller asks for a trace, and may.

        That he does not ask is left to the ratio: browsers and proxies that record nothing themselves never ask.
        """
        caller = trace.parse(traceparent)
        if caller is None or not is_sampled(caller[2]):
            return False
        if self._sampled_from != "proxies":
            return self._sampled_from == "anybody"
        address = parse_address(peer.partition("%")[0])
        return address is not None and self._addresses.trusts(address)


def end_request(context: trace.TraceContext, request: Request, status: int) -> None:
    """Ends the span of a request that was answered, or whose client has left."""
    span = context.span
    if span is None:
        return
    told = span.attributes
    if request.label:
        span.name = f"{span.name} {request.label}"
        told["http.route"] = request.label
        told["url.path"] = request.raw_path  # ids alone: texts are in bodies and queries, which nobody records
    told["gaji.request_id"] = context.request_id
    told["http.response.status_code"] = status
    told["http.response.body.size"] = request.sent
    told.update(trace.attributes())
    if status >= 500:
        span.fail(str(status))
    span.end()
