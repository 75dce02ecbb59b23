"""New certificates under load: nobody restarts, no call fails."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.renewing import RenewingChannel, blocking_dial
from mesh.server import MeshServer, Service, open_server
from mesh.telemetry.metrics import REGISTRY
from mesh.tls import TlsFiles, server_name
from stack.cert_paths import paths_of
from stack.certs import renew
from tests.mesh.conftest import CACHE
from tests.mesh.tls_material import certificates, with_tls

SECONDS = 20.0


class Mirror(rpc.CacheServiceServicer):
    """Shows its callers the certificate that they came with."""

    async def Lookup(self, request: Any, context: Any) -> pb.LookupResponse:  # noqa: N802 - the contract's name
        return pb.LookupResponse(hit=pb.Hit(value=context.auth_context()["x509_pem_cert"][0]))

    async def WatchInvalidations(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - likewise
        for sequence in range(1, 10_000):
            yield pb.WatchInvalidationsResponse(sequence=sequence)
            await asyncio.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return certificates(tmp_path)


@asynccontextmanager
async def mirror(settings: MeshSettings, folder: Path) -> AsyncIterator[MeshServer]:
    servicer = Mirror()  # type: ignore[abstract]  # the rest stays unimplemented
    service = Service(CACHE, servicer, rpc.add_CacheServiceServicer_to_server)
    async with open_server(with_tls(settings, folder, "cache"), [service], name="test") as server:
        yield server


def serial(pem: bytes) -> int:
    return x509.load_pem_x509_certificate(pem).serial_number


def serial_in(folder: Path, name: str) -> int:
    return serial(paths_of(folder, name).certificate.read_bytes())


async def shown_by(server: MeshServer, folder: Path) -> int:
    """The serial number of the certificate that a server shows in a new handshake."""
    files = paths_of(folder, "library")

    def context() -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(files.authorities))
        made.load_cert_chain(files.certificate, files.key)
        made.set_alpn_protocols(["h2"])
        return made

    host, _, port = server.address.rpartition(":")
    made = await asyncio.to_thread(context)
    async with asyncio.timeout(SECONDS):
        _, writer = await asyncio.open_connection(host, int(port), ssl=made, server_hostname=server_name("cache"))
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return serial(x509.load_der_x509_certificate(shown).public_bytes(Encoding.PEM))


@pytest.mark.parametrize("authority", ["kept", "replaced"])
async def test_rotation_under_load_fails_no_call(authority: str, settings: MeshSettings, folder: Path) -> None:
    if authority == "replaced":  # the one there is has less than a month left
        folder = certificates(folder / "old", now=datetime.now(UTC) - timedelta(days=340))
        renew(folder, now=datetime.now(UTC) - timedelta(days=6.9))
    stop, calls = asyncio.Event(), 0
    async with (
        mirror(settings, folder) as server,
        open_channel(server.address, with_tls(settings, folder, "library"), [CACHE]) as channel,
    ):
        stub: Any = rpc.CacheServiceStub(channel)

        async def load() -> None:
            nonlocal calls
            while not stop.is_set():
                await stub.Lookup(pb.LookupRequest(key="novel:1"), timeout=SECONDS)
                calls += 1
                await asyncio.sleep(0.002)

        watching = stub.WatchInvalidations(pb.WatchInvalidationsRequest(), timeout=SECONDS * 4)
        assert (await watching.read()).sequence == 1
        async with asyncio.TaskGroup() as tasks:  # a call that fails ends the test
            for _ in range(4):
                tasks.create_task(load())
            for _ in range(2):
                await asyncio.to_thread(renew, folder)
                new = serial_in(folder, "library")
                async with asyncio.timeout(SECONDS):
                    while serial((await stub.Lookup(pb.LookupRequest(key="novel:1"))).hit.value) != new:
                        await asyncio.sleep(0.05)
                assert await shown_by(server, folder) == serial_in(folder, "cache")
                before = calls
                async with asyncio.timeout(SECONDS):
                    while calls < before + 20:
                        await asyncio.sleep(0.01)
            stop.set()
        # The stream that was there before all of it has lost nothing.
        for expected in range(2, 50):
            assert (await watching.read()).sequence == expected
        watching.cancel()


async def test_what_is_replaced_ends_with_its_last_call(settings: MeshSettings, folder: Path) -> None:
    async with mirror(settings, folder) as server:
        files = TlsFiles(*paths_of(folder, "library"))

        def make(material: Any) -> grpc.aio.Channel:
            options = [("grpc.ssl_target_name_override", server_name("cache"))]
            return grpc.aio.secure_channel(server.address, material.channel_credentials(), options=options)

        async with RenewingChannel(make, files, await asyncio.to_thread(files.load), poll_seconds=SECONDS) as channel:
            stub: Any = rpc.CacheServiceStub(channel)
            watching = stub.WatchInvalidations(pb.WatchInvalidationsRequest(), timeout=SECONDS)
            await watching.read()
            busy = channel.current
            await asyncio.to_thread(renew, folder)
            material = await asyncio.to_thread(files.changed)
            assert material is not None
            channel.renew(material)
            idle = channel.current
            channel.renew(material)
            async with asyncio.timeout(SECONDS):
                while not idle.closed:
                    await asyncio.sleep(0.01)
                assert not busy.closed
                await watching.read()
                watching.cancel()
                while not busy.closed:
                    await asyncio.sleep(0.01)
            await stub.Lookup(pb.LookupRequest(key="novel:1"), timeout=SECONDS)


async def test_a_blocking_channel_goes_on_with_the_new_files(settings: MeshSettings, folder: Path) -> None:
    async with mirror(settings, folder) as server:

        def calls() -> None:
            with blocking_dial(server.address, with_tls(settings, folder, "library"), [], [CACHE]) as channel:
                stub: Any = rpc.CacheServiceStub(channel)
                for _ in range(2):
                    answer = stub.Lookup(pb.LookupRequest(key="novel:1"), timeout=SECONDS)
                    assert serial(answer.hit.value) == serial_in(folder, "library")
                    renew(folder)

        await asyncio.to_thread(calls)


def test_half_a_renewal_is_not_taken(folder: Path) -> None:
    """The certificate is there, its key is not yet."""
    files = TlsFiles(*paths_of(folder, "library"))
    files.load()
    key = paths_of(folder, "library").key
    old = key.read_bytes()
    renew(folder)
    new = key.read_bytes()
    key.write_bytes(old)
    refused = REGISTRY.get_sample_value("gaji_tls_reloads_total", {"result": "refused"}) or 0
    assert files.changed() is None
    assert files.changed() is None
    assert REGISTRY.get_sample_value("gaji_tls_reloads_total", {"result": "refused"}) == refused + 1
    key.write_bytes(new)
    material = files.changed()
    assert material is not None
    assert (material.key, serial(material.certificate)) == (new, serial_in(folder, "library"))
    assert files.changed() is None
