"""A bare gRPC server that answers any method with bytes, and a gate that keeps what it hears."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc

from mesh.errors import MeshError

Unary = Callable[[bytes, Any], Awaitable[bytes]]
Stream = Callable[[bytes, Any], AsyncIterator[bytes]]
Both = Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]]


class _Any(grpc.GenericRpcHandler):
    def __init__(self, unary: Mapping[str, Unary], streams: Mapping[str, Stream], both: Mapping[str, Both]) -> None:
        self._unary, self._streams, self._both = unary, streams, both

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if method in self._unary:
            return grpc.unary_unary_rpc_method_handler(self._unary[method])
        if method in self._streams:
            return grpc.unary_stream_rpc_method_handler(self._streams[method])
        if method in self._both:
            return grpc.stream_stream_rpc_method_handler(self._both[method])
        return None


@asynccontextmanager
async def open_raw(
    *,
    unary: Mapping[str, Unary] | None = None,
    streams: Mapping[str, Stream] | None = None,
    both: Mapping[str, Both] | None = None,
) -> AsyncIterator[str]:
    """Serves methods by their paths; yields the address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Any(unary or {}, streams or {}, both or {}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def refuse(context: Any, error: MeshError, *more: tuple[str, str]) -> None:
    """Ends a call with an error, and with more trailing metadata."""
    await context.abort(error.code, error.message, (*error.trailing_metadata(), *more))


class FakePermit:
    """A permit that is ended once."""

    def __init__(self, gate: "FakeGate") -> None:
        self._gate = gate
        self.ended = False

    def end(self, code: grpc.StatusCode | None, seconds: float) -> None:
        assert not self.ended
        assert seconds >= 0
        self.ended = True
        self._gate.ends.append(code)
        self._gate.seconds.append(seconds)


class FakeGate:
    """Lets calls through while `shut` is None."""

    def __init__(self) -> None:
        self.shut: MeshError | None = None
        self.permits: list[FakePermit] = []
        self.methods: list[str] = []
        self.ends: list[grpc.StatusCode | None] = []
        self.seconds: list[float] = []
        self.observed: list[tuple[str, grpc.StatusCode, float]] = []

    def acquire(self, method: str) -> FakePermit:
        self.methods.append(method)
        if self.shut is not None:
            raise self.shut
        self.permits.append(FakePermit(self))
        return self.permits[-1]

    def observe(self, method: str, code: grpc.StatusCode, seconds: float) -> None:
        self.observed.append((method, code, seconds))

    @property
    def held(self) -> int:
        """Permits that nobody has given back."""
        return sum(not permit.ended for permit in self.permits)
