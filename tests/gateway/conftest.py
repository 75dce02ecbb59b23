"""A gateway over a contract that is compiled for the tests, and a real server behind it."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import google.api
import httpx
import pytest

from gateway.config import GatewaySettings
from gateway.contract import Contract, load_contract
from gateway.server import RunningGateway
from gateway.upstreams import GateOf
from mesh.config import MeshSettings
from mesh.server import MeshServer
from tests.fixtures.edge import CHOSEN, open_behind
from tests.gateway.probe_servicer import Probe, open_probe

ROOT = Path(__file__).parents[2]


class ProbeSettings(GatewaySettings):
    """Settings with a target for the contract's only room."""

    probe_target: str = ""


Gateway = Callable[..., AbstractAsyncContextManager[tuple[httpx.AsyncClient, RunningGateway]]]


@pytest.fixture(scope="session")
def descriptors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """probe.proto and all that it imports as a FileDescriptorSet."""
    path = tmp_path_factory.mktemp("descriptors") / "probe.binpb"
    return compile_protos(Path(__file__).parent, "probe.proto", path)


@pytest.fixture(scope="session")
def contract(descriptors_file: Path) -> Contract:
    return load_contract(descriptors_file)


@pytest.fixture(scope="session")
def mesh_settings(jwt_keys: Any) -> MeshSettings:
    return MeshSettings(
        listen="127.0.0.1:0", admin_listen="127.0.0.1:0", jwt_public_key_file=jwt_keys.public, drain_seconds=0.5
    )


@pytest.fixture(scope="session")
async def probe(contract: Contract) -> Probe:
    return Probe(contract)


@pytest.fixture(scope="session")
async def probe_server(probe: Probe, mesh_settings: MeshSettings) -> AsyncIterator[MeshServer]:
    async with open_probe(probe, mesh_settings) as server:
        yield server


@pytest.fixture(scope="session")
def settings(probe_server: MeshServer, descriptors_file: Path, jwt_keys: Any) -> ProbeSettings:
    return ProbeSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        probe_target=probe_server.address,
        descriptors_file=descriptors_file,
        jwt_public_key_file=jwt_keys.public,
        drain_seconds=0.5,
        # All tests come from one address; those of the limits set them.
        rate_limit=0,
        credentials_rate=0,
        login_rate=0,
        max_streams_per_user=0,
        breaker_mode="disabled",  # the probe fails on purpose, and in one gateway for all tests
        web_root="none",  # whether the app has been built here must not count
    )


@pytest.fixture(scope="session")
def gateway(settings: ProbeSettings) -> Gateway:
    """Opens a gateway with changed settings, and a client to it."""
    return gateway_factory(settings)


@pytest.fixture(scope="session")
async def running(settings: ProbeSettings) -> AsyncIterator[RunningGateway]:
    """A gateway that the tests share."""
    async with open_behind(settings) as running:
        yield running


@pytest.fixture
async def client(running: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shared gateway, with cookies of its own."""
    async with open_client(running.address) as client:
        yield client


def compile_protos(folder: Path, name: str, path: Path) -> Path:
    """Compiles a file and what it imports into a FileDescriptorSet."""
    google_api = Path(next(iter(google.api.__path__))).parents[1]
    includes = [f"-I{folder}", f"-I{ROOT / 'protos'}", f"-I{google_api}"]
    options = [f"--descriptor_set_out={path}", "--include_imports", "--include_source_info"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *options, name]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - our own arguments
    return path


def open_client(address: str) -> httpx.AsyncClient:
    """A client that waits at most 20 s and looks at no environment."""
    return httpx.AsyncClient(base_url=f"http://{address}", timeout=20, trust_env=False)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error in an answer, which must be of the one shape there is."""
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "reason", "message", "fields"}
    assert error["message"]
    return error


def gateway_factory(settings: ProbeSettings, edge: str = CHOSEN) -> Gateway:
    """What opens gateways with these settings, changed, behind an edge where there is to be one."""

    @asynccontextmanager
    async def run(
        gate_of: GateOf = lambda _room, _services: None, **changes: Any
    ) -> AsyncIterator[tuple[httpx.AsyncClient, RunningGateway]]:
        async with (
            open_behind(settings.model_copy(update=changes), gate_of, edge) as running,
            open_client(running.address) as client,
        ):
            yield client, running

    return run
