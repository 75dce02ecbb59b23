"""Production's PostgreSQL, over TLS: with the URL that is made, its certificate is checked, and known."""

import asyncio
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from stack.cert_paths import paths_of
from stack.certs import renew
from stack.ports import HOST
from stack.secret_files import IMAGE_CA, POSTGRES_CA, SECRETS, main, write_secrets
from tests.deploy.manifests import DEPLOY, pods

NAME = "library"


def asked(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


@contextmanager
def postgres_at_the_door(certs: Path) -> Iterator[tuple[int, "SimpleQueue[bytes]"]]:
    """What PostgreSQL does until TLS is up, which the embedded one lacks: its port, and what came after that."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths_of(certs, NAME)[:2])
    came: SimpleQueue[bytes] = SimpleQueue()

    def serve(door: socket.socket) -> None:
        while True:
            try:
                plain, _ = door.accept()
            except OSError:  # closed
                return
            with plain:
                plain.settimeout(10)
                assert plain.recv(8)[4:] == (80877103).to_bytes(4, "big"), "SSLRequest"
                plain.sendall(b"S")
                try:
                    with context.wrap_socket(plain, server_side=True) as secured:
                        came.put(secured.recv(4096))
                except OSError:  # whoever called does not know who signed the certificate
                    came.put(b"")

    with socket.create_server((HOST, 0)) as door:
        thread = threading.Thread(target=serve, args=(door,), daemon=True)
        thread.start()
        try:
            yield door.getsockname()[1], came
        finally:
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)  # wakes who waits for a caller
            thread.join(10)


async def test_an_authority_of_ones_own_is_mounted_and_known(tmp_path: Path) -> None:
    for name in ("certs", "others"):
        renew(tmp_path / name)
    authority = paths_of(tmp_path / "certs", NAME)[2]
    with postgres_at_the_door(tmp_path / "certs") as (port, came):
        write_secrets(tmp_path / "secrets", postgres=f"localhost:{port}", tls=True, postgres_ca=authority)
        for process in ("library", "migrations"):
            folder = tmp_path / "secrets" / process
            assert (folder / POSTGRES_CA).read_bytes() == authority.read_bytes()
            url = (folder / "GAJI_DATABASE_URL").read_text()
            assert asked(url) == {"sslmode": ["verify-full"], "sslrootcert": [f"{SECRETS}/{POSTGRES_CA}"]}
            # It knows only what is mounted, and asks for nothing in the home directory.
            here = url.replace(SECRETS, str(folder))
            with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
                await asyncpg.connect(here, timeout=10)
            assert b"user\0gaji" in await asyncio.to_thread(came.get, timeout=10)
            unknown = here.replace(str(folder / POSTGRES_CA), str(tmp_path / "others" / "ca.pem"))
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncpg.connect(unknown, timeout=10)
            assert await asyncio.to_thread(came.get, timeout=10) == b""


def test_without_one_the_public_authorities_of_the_image_are_named(tmp_path: Path) -> None:
    write_secrets(tmp_path, tls=True)
    url = (tmp_path / "library" / "GAJI_DATABASE_URL").read_text()
    assert asked(url) == {"sslmode": ["verify-full"], "sslrootcert": [IMAGE_CA]}
    assert not (tmp_path / "library" / POSTGRES_CA).exists()
    assert f"RUN test -s {IMAGE_CA}" in (DEPLOY / "container" / "Containerfile").read_text()
    assert {pod.settings["GAJI_SECRETS_DIR"] for pod in pods("production") if pod.ours} == {SECRETS}


def test_an_authority_without_tls_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["secret_files", str(tmp_path / "new"), "--postgres-ca", str(tmp_path / "ca")])
    with pytest.raises(SystemExit):
        main()
    assert "--tls" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
