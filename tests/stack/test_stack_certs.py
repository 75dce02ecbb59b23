"""``gaji certs`` and ``gaji up --tls``: the whole stack behind certificates."""

import asyncio
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stack import certs
from stack.cert_paths import NAMES, paths_of
from stack.certs import LIFE, renew
from stack.errors import StackError
from stack.probes import grpc_health
from tests.e2e.conftest import talk_of
from tests.e2e.reader import reader_at
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, clean_environment, start_stack

ROOMS = ("cache", "search", "library", "generation", "jobs")
SECONDS = 60.0
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def secured() -> Iterator[RunningStack]:
    with temporary_folder() as folder, start_stack(folder / "data", "--no-sample", "--tls") as running:
        yield running


def gaji(running: RunningStack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stack.cli", *arguments, "--data-dir", str(running.data_dir)]
    environment = clean_environment(running.data_dir)
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)  # noqa: S603 - our own command


async def one_message(running: RunningStack) -> None:
    """A novel is put on the shelf and a character answers: gateway, library, search, cache, generation, jobs."""
    async with reader_at(running.url) as guest:
        talk = await talk_of(guest)
        path = f"/api/conversations/{talk.conversation_id}/messages-stream"
        events = await guest.all_events("POST", path, {"content": "Who are you?", "request_id": uuid.uuid4().hex})
    assert events[-1].name == "complete"
    assert events[-1].data["content"].split()[:2] == ["word1", "word2"]


async def count(running: RunningStack, service: str, method: str) -> float:
    """How often a service has answered calls of a method well."""
    [entry] = running.state["services"][service]
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        text = (await http.get(f"http://{entry['admin']}/metrics")).text
    labels = rf'grpc_method="[^"]*/{method}",grpc_status="OK"'
    found = re.search(rf"grpc_server_call_duration_seconds_count{{{labels}}} (\S+)", text)
    return float(found[1]) if found else 0.0


async def test_a_message_goes_from_http_to_the_model_through_certificates(secured: RunningStack) -> None:
    await one_message(secured)
    assert await count(secured, "generation", "Relay") + await count(secured, "generation", "StreamReply") >= 1
    # The workers' blocking channels get in as well.
    end = time.monotonic() + SECONDS
    while not await count(secured, "generation", "ListOrphans"):
        assert time.monotonic() < end, secured.output
        await asyncio.sleep(0.2)
    lines = [line for path in (secured.data_dir / "logs").glob("*.log") for line in path.read_text().splitlines()]
    # Other tests have had reflection refused to peers that may not see it.
    logs = "\n".join(line for line in lines if "/grpc.reflection." not in line)
    for trouble in ("PEER_NOT_ALLOWED", "a peer that may not call", "NOPERM", "permission denied"):
        assert trouble not in logs


@pytest.mark.parametrize("room", ROOMS)
async def test_a_direct_call_is_refused(room: str, secured: RunningStack) -> None:
    [entry] = secured.state["services"][room]
    folder = secured.data_dir / "certs"
    assert await grpc_health(entry["grpc"]) == "UNREACHABLE"
    assert await grpc_health(entry["grpc"], "gateway", folder) == "UNREACHABLE"  # it is not whom we want
    assert await grpc_health(entry["grpc"], room, folder) == "SERVING"


@pytest.mark.parametrize(
    ("name", "well"), [("operator", True), ("gateway", False), ("", False)], ids=["operator", "gateway", "nobody"]
)
def test_grpcurl_gets_in_with_a_certificate(name: str, well: bool, secured: RunningStack) -> None:
    binary = shutil.which("grpcurl", path=sysconfig.get_path("scripts"))
    assert binary, "grpcurl is not installed"
    files = paths_of(secured.data_dir / "certs", name)
    shown = ["-cert", str(files.certificate), "-key", str(files.key)] if name else []
    [entry] = secured.state["services"]["cache"]
    command = [binary, "-cacert", str(files.authorities), *shown, "-max-time", "10", entry["grpc"]]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "gaji.cache.v1.CacheService/GetStats"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode == 0) == well, done.stderr
    if name == "gateway":
        assert "PermissionDenied" in done.stderr


def test_status_shows_it_with_the_operators_certificate(secured: RunningStack) -> None:
    secured.wait_for_workers()
    done = gaji(secured, "status")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SERVING") == len(ROOMS)


async def test_new_certificates_are_taken_while_it_runs(secured: RunningStack) -> None:
    done = await asyncio.to_thread(gaji, secured, "certs")
    assert done.returncode == 0, done.stderr
    for service in ("gateway", "generation"):
        [entry] = secured.state["services"][service]
        end = time.monotonic() + SECONDS
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            while not re.search(
                r'gaji_tls_reloads_total{result="taken"} [1-9]',
                (await http.get(f"http://{entry['admin']}/metrics")).text,
            ):
                assert time.monotonic() < end, service
                await asyncio.sleep(0.2)
    await one_message(secured)


def environment_of(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_has_its_own_secrets_only(secured: RunningStack) -> None:
    secured.wait_for_workers()
    services = secured.state["services"]
    folder = secured.data_dir / "secrets"
    secrets = {path.name: path.read_text().strip() for path in folder.glob("*-password")}
    expected = {
        "cache": {"valkey-cache-password"},
        "generation": {"valkey-generation-password"},
        "library": {"valkey-library-password", "postgres-password", "postgres-library-password"},
        "jobs": {"valkey-jobs-password"},
        "worker-high": {"valkey-worker-password"},
        "worker-low": {"valkey-worker-password"},
        "gateway": {"valkey-gateway-password"},
        "search": set[str](),
        "postgres": set[str](),
        "valkey": set[str](),
    }
    for service, [entry] in services.items():
        environment = environment_of(entry["pid"])
        known = {name for name, secret in secrets.items() if secret in "\n".join(environment.values())}
        assert known == expected[service], service
        key = Path(environment.get("GAJI_TLS_KEY_FILE", "-")).stem
        identity = "worker" if service.startswith("worker") else service
        assert key == ("-" if service in {"postgres", "valkey"} else f"{identity}-key")


def test_certificates_are_short_lived_private_and_good_for_one_name(tmp_path: Path) -> None:
    assert renew(tmp_path / "certs", hosts=["gaji.example", "192.0.2.1"], now=NOW) == list(NAMES)
    assert stat.S_IMODE((tmp_path / "certs").stat().st_mode) == 0o700
    [authority] = x509.load_pem_x509_certificates((tmp_path / "certs" / "ca.pem").read_bytes())
    for name in NAMES:
        files = paths_of(tmp_path / "certs", name)
        assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        certificate.verify_directly_issued_by(authority)
        key = load_pem_private_key(files.key.read_bytes(), None)
        assert key.public_key() == certificate.public_key()
        assert certificate.not_valid_after_utc == NOW + LIFE
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://gaji/{name}"]
        own, *hosts = names.get_values_for_type(x509.DNSName)
        assert (own, hosts) == (f"{name}.gaji.internal", ["localhost", "gaji.example"])
        addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
        assert addresses == ["127.0.0.1", "::1", "192.0.2.1"]
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert stat.S_IMODE((tmp_path / "certs" / "ca-key.pem").stat().st_mode) == 0o600


def test_what_is_young_stays_and_what_is_not_is_renewed(tmp_path: Path) -> None:
    renew(tmp_path, hosts=["gaji.example"], now=NOW)
    assert renew(tmp_path, force=False, now=NOW + LIFE * 0.4) == []
    paths_of(tmp_path, "cache").key.unlink()
    assert renew(tmp_path, force=False, now=NOW + LIFE * 0.4) == ["cache"]
    assert set(renew(tmp_path, force=False, now=NOW + LIFE * 0.6)) == set(NAMES) - {"cache"}
    renewed = x509.load_pem_x509_certificate(paths_of(tmp_path, "operator").certificate.read_bytes())
    names = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "gaji.example" in names.get_values_for_type(x509.DNSName)
    assert len(x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes())) == 1


def test_an_authority_is_replaced_before_it_ends_and_trusted_until_then(tmp_path: Path) -> None:
    renew(tmp_path, now=NOW)
    [before] = x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes())
    assert renew(tmp_path, force=False, now=NOW + timedelta(days=340)) == list(NAMES)
    new, old = x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes())
    assert old == before
    x509.load_pem_x509_certificate(paths_of(tmp_path, "cache").certificate.read_bytes()).verify_directly_issued_by(new)
    renew(tmp_path, now=NOW + timedelta(days=2 * 340))
    assert old not in x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes())


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.news = asyncio.Event()

    def say(self, text: str, style: str = "") -> None:
        self.lines.append(text)
        self.news.set()


async def test_a_running_stack_keeps_them_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "_LOOK_SECONDS", 0.01)
    await asyncio.to_thread(renew, tmp_path, now=datetime.now(UTC) - LIFE * 0.6)
    told = Told()
    keeping = asyncio.create_task(certs.keep_young(tmp_path, told))
    async with asyncio.timeout(SECONDS):
        await told.news.wait()
        assert told.lines == [f"  new certificates: {', '.join(NAMES)}"]
        told.news.clear()
        await asyncio.to_thread((tmp_path / "ca.pem").write_text, "nonsense")
        await told.news.wait()
        assert "certificates can't be made" in told.lines[1]
    assert not keeping.done()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize("host", ["", "a b", "http://x", "x:1"])
def test_a_host_that_is_none_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="neither a host's name nor an address"):
        renew(tmp_path / "certs", hosts=[host])


def test_a_broken_folder_is_told_in_one_line(tmp_path: Path) -> None:
    renew(tmp_path, now=NOW)
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(StackError, match=r"certificates can't be made in .*; choose another folder"):
        renew(tmp_path, now=NOW)
