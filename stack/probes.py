"""Whether a server on this machine does its work. Probes answer yes or no within two seconds and never raise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Probe = Callable[[int], Awaitable[bool]]
_SECONDS = 2.0
_DIRECT = (("grpc.enable_http_proxy", 0),)
"""Whatever proxy the environment names: who is probed is on this machine."""


def http_ok(address: str, path: str) -> Probe:
    """Whether an HTTP server answers 200."""

    async def probe(_pid: int) -> bool:
        return await http_status(address, path) == 200

    return probe


async def grpc_health(address: str, room: str = "", certs: Path | None = None) -> str:
    """What a gRPC server says of itself: SERVING, NOT_SERVING or, when it says nothing, UNREACHABLE.

    Args:
        address: ``host:port``.
        room: who it must prove to be, with TLS.
        certs: the folder with the operator's certificate; None: without TLS.
    """
    # Loaded when first used: most commands do without.
    import grpc  # noqa: PLC0415 - see above
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 - likewise

    try:
        channel = await _channel(address, room, certs)
    except (OSError, ValueError):  # unusable certificates
        return "UNREACHABLE"
    try:
        # A channel that was refused backs off for a second; a bare connection finds out at once.
        async with channel, _connected(address):
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs know the blocking one only
            answer: health_pb2.HealthCheckResponse = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except (OSError, TimeoutError, grpc.aio.AioRpcError):
        return "UNREACHABLE"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def _channel(address: str, room: str, certs: Path | None) -> Any:
    import grpc  # noqa: PLC0415 - loaded when first used, like the rest of it

    if certs is None:
        return grpc.aio.insecure_channel(address, options=_DIRECT)
    from mesh.tls import TlsFiles, server_name  # noqa: PLC0415 - likewise
    from stack.cert_paths import OPERATOR, paths_of  # noqa: PLC0415 - likewise

    material = await asyncio.to_thread(TlsFiles(*paths_of(certs, OPERATOR)).load)
    options = [*_DIRECT, ("grpc.ssl_target_name_override", server_name(room))]
    return grpc.aio.secure_channel(address, material.channel_credentials(), options=options)


async def http_status(address: str, path: str) -> int | None:
    """The status of a GET; None: no answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_SECONDS), _connected(address) as (reader, writer):
            writer.write(request.encode("ascii"))
            return int((await reader.readline()).split()[1])
    except (OSError, TimeoutError, IndexError, ValueError):
        return None


async def redis_answers(host: str, port: int, user: str, password: str, *, tls: bool = False) -> bool:
    """Whether a Redis-protocol server lets us in and answers."""
    words = ["AUTH", *([user] if user else []), password] if password else []
    request = b"".join(_redis_command(command) for command in (words, ["PING"]) if command)
    try:
        async with asyncio.timeout(_SECONDS), _connected(f"{host}:{port}", tls=tls) as (reader, writer):
            writer.write(request)
            welcome = await reader.readline() == b"+OK\r\n" if words else True
            return welcome and await reader.readline() == b"+PONG\r\n"
    except (OSError, TimeoutError):
        return False


def _redis_command(words: list[str]) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


@asynccontextmanager
async def _connected(
    address: str, *, tls: bool = False
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls or None)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
