"""Who gets a connection, and who only believes so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc
from pydantic import ValidationError

from mesh.blocking import blocking_channel
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.renewing import blocking_dial
from mesh.server import open_server
from stack.cert_paths import paths_of
from stack.certs import renew
from tests.mesh.conftest import CACHE, Serve, code_of
from tests.mesh.tls_material import certificates, channel_as, with_tls

KEY = pb.LookupRequest(key="novel:1")


async def hit(_request: pb.LookupRequest) -> pb.LookupResponse:
    return pb.LookupResponse(hit=pb.Hit(value=b"x"))


@pytest.fixture
def tls(settings: MeshSettings, certs: Path) -> MeshSettings:
    """The settings of a server that is the cache."""
    return with_tls(settings, certs, "cache")


@asynccontextmanager
async def stub_of(channel: Any) -> AsyncIterator[Any]:
    async with channel as opened:
        yield rpc.CacheServiceStub(opened)


async def refused(channel: Any) -> bool:
    """Whether a channel gets no connection."""
    async with stub_of(channel) as stub:
        return await code_of(stub.Lookup(KEY, timeout=5)) is grpc.StatusCode.UNAVAILABLE


async def test_a_room_calls_another(serve: Serve, tls: MeshSettings, settings: MeshSettings, certs: Path) -> None:
    async with serve(lookup=hit, **tls_files(tls)) as (server, as_cache):
        async with open_channel(server.address, with_tls(settings, certs, "library"), [CACHE]) as channel:
            answer = await rpc.CacheServiceStub(channel).Lookup(KEY)
            assert answer.hit.value == b"x"
        assert await code_of(as_cache.Lookup(KEY)) is grpc.StatusCode.PERMISSION_DENIED


async def test_a_blocking_channel_does_too(
    serve: Serve, tls: MeshSettings, settings: MeshSettings, certs: Path
) -> None:
    async with serve(lookup=hit, **tls_files(tls)) as (server, _):

        def call() -> pb.LookupResponse:
            files = with_tls(settings, certs, "library")
            with blocking_dial(server.address, files, [], [CACHE]) as channel:
                return rpc.CacheServiceStub(channel).Lookup(KEY, timeout=5)

        assert (await asyncio.to_thread(call)).hit.value == b"x"


@pytest.mark.parametrize("way", ["call", "with_call", "future", "stream"])
async def test_a_workers_channel_does_too(
    way: str, serve: Serve, tls: MeshSettings, settings: MeshSettings, certs: Path
) -> None:
    """The whole of it: an interceptor asks more of a channel than a stub does."""

    async def watch(_request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield pb.WatchInvalidationsResponse(sequence=1, watching=pb.Watching())

    async with serve(lookup=hit, watch=watch, **tls_files(tls)) as (server, _):

        def call() -> bytes:
            with blocking_channel(server.address, with_tls(settings, certs, "library"), [CACHE]) as channel:
                stub: Any = rpc.CacheServiceStub(channel)
                if way == "stream":
                    messages = list(stub.WatchInvalidations(pb.WatchInvalidationsRequest(), timeout=5))
                    return b"x" * len(messages)
                if way == "with_call":
                    answer, _ = stub.Lookup.with_call(KEY, timeout=5)
                else:
                    answer = (
                        stub.Lookup.future(KEY, timeout=5).result() if way == "future" else stub.Lookup(KEY, timeout=5)
                    )
                return bytes(answer.hit.value)

        assert await asyncio.to_thread(call) == b"x"


async def test_nobody_connects_without_a_certificate(serve: Serve, tls: MeshSettings, certs: Path) -> None:
    authorities = (certs / "ca.pem").read_bytes()
    options = [("grpc.ssl_target_name_override", "cache.gaji.internal")]
    async with serve(lookup=hit, **tls_files(tls)) as (server, _):
        unnamed = grpc.ssl_channel_credentials(authorities)
        assert await refused(grpc.aio.secure_channel(server.address, unnamed, options=options))
        assert await refused(grpc.aio.insecure_channel(server.address))


async def test_the_certificate_of_another_authority_is_none(
    serve: Serve, tls: MeshSettings, certs: Path, tmp_path: Path
) -> None:
    other = certificates(tmp_path / "other")
    (other / "ca.pem").write_bytes((certs / "ca.pem").read_bytes())  # it trusts us; we do not know it
    async with serve(lookup=hit, **tls_files(tls)) as (server, _):
        assert await refused(channel_as("library", server.address, other))


async def test_an_expired_certificate_is_none(serve: Serve, settings: MeshSettings, tmp_path: Path) -> None:
    certificates(tmp_path)
    async with serve(lookup=hit, **tls_files(with_tls(settings, tmp_path, "cache"))) as (server, _):
        renew(tmp_path, now=datetime.now(UTC) - timedelta(days=8))
        certificate, key, authorities = (path.read_bytes() for path in paths_of(tmp_path, "library"))
        expired = grpc.ssl_channel_credentials(authorities, key, certificate)
        options = [("grpc.ssl_target_name_override", "cache.gaji.internal")]
        assert await refused(grpc.aio.secure_channel(server.address, expired, options=options))


async def test_another_rooms_certificate_is_no_servers(serve: Serve, settings: MeshSettings, certs: Path) -> None:
    """A stolen certificate of search, say, does not make a cache."""
    impostor = with_tls(settings, certs, "search")
    async with serve(lookup=hit, **tls_files(impostor)) as (server, stub):
        assert await code_of(stub.Lookup(KEY, timeout=5)) is grpc.StatusCode.UNAVAILABLE
        async with stub_of(channel_as("library", server.address, certs, room="search")) as honest:
            assert (await honest.Lookup(KEY, timeout=5)).hit.value == b"x"


async def test_a_channel_without_a_room_is_a_mistake(tls: MeshSettings) -> None:
    with pytest.raises(ValueError, match="give its services"):
        async with open_channel("127.0.0.1:1", tls):
            pass


@pytest.mark.parametrize(
    "given", [("cert",), ("key",), ("ca",), ("cert", "key"), ("cert", "ca"), ("key", "ca")], ids="-".join
)
def test_some_files_are_none(given: tuple[str, ...]) -> None:
    missing = {"cert", "key", "ca"} - set(given)
    with pytest.raises(ValidationError) as caught:
        MeshSettings(**{f"tls_{name}_file": Path("x.pem") for name in given})  # type: ignore[arg-type]  # by name
    for name in missing:
        assert f"GAJI_TLS_{name.upper()}_FILE" in str(caught.value)


async def test_unusable_files_are_told_with_a_remedy(settings: MeshSettings, tmp_path: Path) -> None:
    certificates(tmp_path)
    chosen = with_tls(settings, tmp_path, "cache")
    for change, words in (
        (lambda: (tmp_path / "cache-key.pem").write_text("nonsense"), "GAJI_TLS_KEY_FILE .* holds no usable PEM"),
        (lambda: (tmp_path / "cache-key.pem").write_bytes((tmp_path / "jobs-key.pem").read_bytes()), "is not the key"),
        (lambda: renew(tmp_path, now=datetime.now(UTC) - timedelta(days=8)), "ended at"),
    ):
        change()
        with pytest.raises(ValueError, match=f"{words}.*gaji certs"):
            async with open_server(chosen, [], name="test"):
                pass


def tls_files(settings: MeshSettings) -> dict[str, Any]:
    """The three files as changes of other settings."""
    return {name: getattr(settings, name) for name in ("tls_cert_file", "tls_key_file", "tls_ca_file")}
