"""Each edge in turn, in front of a real gateway over the contract of the gateway's tests."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.edge import Tls
from gateway.server import RunningGateway
from tests.fixtures.edge import EDGES, open_behind

# What stands behind the gateway is the same as in the gateway's own tests.
from tests.gateway.conftest import (
    Gateway,
    ProbeSettings,
    contract,
    descriptors_file,
    gateway_factory,
    mesh_settings,
    open_client,
    probe,
    probe_server,
    settings,
)

__all__ = ["contract", "descriptors_file", "mesh_settings", "probe", "probe_server", "settings"]


@pytest.fixture(scope="session", params=EDGES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which edge."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def gateway(settings: ProbeSettings, kind: str) -> Gateway:
    """Opens a gateway behind an edge."""
    return gateway_factory(settings, kind)


@pytest.fixture(scope="session")
async def running(settings: ProbeSettings, kind: str) -> AsyncIterator[RunningGateway]:
    """A gateway behind an edge that the tests share."""
    async with open_behind(settings, kind=kind) as running:
        yield running


@pytest.fixture
async def client(running: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, with cookies of its own."""
    async with open_client(running.address) as client:
        yield client


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Tls(str(folder / "tls.crt"), str(folder / "tls.key"))
    Path(made.certificate).write_bytes(certificate.public_bytes(Encoding.PEM))
    Path(made.key).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made
