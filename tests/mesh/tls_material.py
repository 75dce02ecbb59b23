"""Certificates for tests: made once, by what `gaji certs` uses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.config import MeshSettings
from mesh.tls import TlsFiles, server_name
from stack.cert_paths import paths_of
from stack.certs import renew


def certificates(folder: Path, *, now: datetime | None = None) -> Path:
    """A folder of certificates."""
    renew(folder, now=now or datetime.now(UTC))
    return folder


def with_tls(settings: MeshSettings, folder: Path, name: str) -> MeshSettings:
    """The settings with the files of a process."""
    certificate, key, authorities = paths_of(folder, name)
    return settings.model_copy(update={"tls_cert_file": certificate, "tls_key_file": key, "tls_ca_file": authorities})


@asynccontextmanager
async def channel_as(name: str, address: str, folder: Path, room: str = "cache") -> AsyncIterator[Any]:
    """A bare channel that shows the certificate of a process."""
    material = await asyncio.to_thread(TlsFiles(*paths_of(folder, name)).load)
    options = [("grpc.ssl_target_name_override", server_name(room))]
    async with grpc.aio.secure_channel(address, material.channel_credentials(), options=options) as channel:
        yield channel


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates that no test changes."""
    return certificates(tmp_path_factory.mktemp("certs"))
