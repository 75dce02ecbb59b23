"""``gaji doctor`` finds each mistake that is planted, and says what to do."""

import asyncio
import json
import os
import resource
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from redis import Redis

from services.library.stores.migrate import known_revisions, migrate
from stack.backup import unfinished
from stack.cert_paths import paths_of
from stack.certs import LIFE, renew
from stack.doctor import folder, machine, settings, stores
from stack.doctor.finding import Finding
from stack.embedded.valkey import ValkeyServer
from stack.ports import Ports
from stack.state import sole_stack, state_file
from tests.fixtures.sentinels import PASSWORD, open_watched
from tests.operations.conftest import Gaji


def words(*found: Finding | None) -> str:
    return "\n".join(f"{each.detail}; {each.remedy}" for each in found if each is not None)


def test_a_full_disk(tmp_path: Path) -> None:
    found = list(folder.disk(tmp_path, free=100 * 1024**2))
    assert "make room" in words(*found)
    assert found[-1].fatal
    assert not any(each.remedy for each in folder.disk(tmp_path, free=10 * 1024**3))


def test_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    assert list(folder.owner(tmp_path)) == []
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert "run gaji as whoever ran it first, or chown" in words(*folder.owner(tmp_path))


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    key = tmp_path / "secrets" / "jwt-private.pem"
    key.touch(0o600)
    assert list(folder.owner(tmp_path)) == []
    key.chmod(0o644)
    assert "others can read jwt-private.pem; chmod -R go-rwx" in words(*folder.owner(tmp_path))


@pytest.fixture
def left_over() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that looks like one of a stack."""
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "services.cache"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_processes_of_a_stack_that_was_killed(tmp_path: Path, left_over: "subprocess.Popen[bytes]") -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    state = {"gateway": "http://127.0.0.1:1", "pid": gone.pid, "services": {"cache": [{"pid": left_over.pid}]}}
    state_file(tmp_path).parent.mkdir()
    state_file(tmp_path).write_text(json.dumps(state))
    assert f"end them: kill {left_over.pid}" in words(*folder.leftovers(tmp_path))
    left_over.kill()
    left_over.wait()
    (found,) = folder.leftovers(tmp_path)
    assert (found.detail, found.fatal) == ("the last stack was killed", False)
    state_file(tmp_path).unlink()
    assert list(folder.leftovers(tmp_path)) == []


def test_a_folder_that_is_busy(tmp_path: Path) -> None:
    with sole_stack(tmp_path):
        assert "wait for its end" in words(*folder.leftovers(tmp_path))


def test_a_restore_that_was_broken_off(tmp_path: Path) -> None:
    unfinished.begin(tmp_path)
    assert list(folder.leftovers(tmp_path)) == []
    unfinished.decide(tmp_path, [])
    assert "gaji up ends it" in words(*folder.leftovers(tmp_path))


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "jwt-private.pem").touch()
    assert not folder.clock(tmp_path).remedy
    assert "timedatectl set-ntp true" in words(folder.clock(tmp_path, now=time.time() - 3600))
    assert "is +60 s from ours" in words(*stores.skew("the database", 1060.0, 1000.0))
    assert stores.skew("the database", 1003.0, 1000.0) == []


def test_certificates(tmp_path: Path) -> None:
    assert list(folder.certificates(tmp_path)) == []
    renew(tmp_path)
    assert not any(each.remedy for each in folder.certificates(tmp_path))
    (later,) = folder.certificates(tmp_path, datetime.now(UTC) + LIFE + timedelta(days=1))
    assert "gateway: expired on" in later.detail
    assert "gaji certs" in later.remedy
    paths_of(tmp_path, "search").key.replace(paths_of(tmp_path, "cache").key)
    other = tmp_path / "other"
    renew(other)
    paths_of(other, "library").certificate.replace(paths_of(tmp_path, "library").certificate)
    paths_of(other, "library").key.replace(paths_of(tmp_path, "library").key)
    said = words(*folder.certificates(tmp_path))
    assert "search: can't be read" in said
    assert "cache: is of another key" in said
    assert "library: is of an authority that ca.pem does not name" in said


def test_little_memory_and_a_system_that_promises_none(tmp_path: Path) -> None:
    (tmp_path / "sys" / "vm").mkdir(parents=True)
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\nMemAvailable: 300000 kB\n")
    (tmp_path / "sys" / "vm" / "overcommit_memory").write_text("2\n")
    said = words(*machine.memory(tmp_path))
    assert "0.3 GiB free; make room" in said
    assert "sysctl vm.overcommit_memory=1" in said
    (tmp_path / "meminfo").write_text("MemAvailable: 8000000 kB\n")
    (tmp_path / "sys" / "vm" / "overcommit_memory").write_text("0\n")
    assert not any(each.remedy for each in machine.memory(tmp_path))


def test_few_open_files() -> None:
    assert machine.files((1024, 1024)).fatal
    assert "ulimit -Hn 65536" in machine.files((1024, 1024)).remedy
    assert not machine.files((1024, 65536)).remedy
    assert not machine.files((1024, resource.RLIM_INFINITY)).remedy


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({}, ""),
        ({"grpc_proxy": "http://proxy:3128"}, ""),
        ({"http_proxy": "http://proxy:3128"}, "no_proxy=127.0.0.1,localhost"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "no_proxy=127.0.0.1,localhost"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "localhost"}, "no_proxy=127.0.0.1,localhost"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "10.0.0.0/8, localhost,127.0.0.0/8"}, ""),
        ({"http_proxy": "http://proxy:3128", "NO_PROXY": "*"}, ""),
    ],
)
def test_a_proxy_for_this_machine(environment: dict[str, str], remedy: str) -> None:
    found = machine.proxies(environment)
    assert remedy in found.remedy
    assert bool(found.remedy) == bool(remedy)
    assert not (found.remedy and found.fatal)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = words(*machine.ports(tmp_path, taken.getsockname()[1]))
    assert "taken; stop what listens there, or choose another: gaji up --port PORT" in said


def test_a_web_app_that_is_not_built(tmp_path: Path) -> None:
    found = machine.web_app({"GAJI_WEB_ROOT": str(tmp_path)})
    assert "build it by `make web`, or say none" in found.remedy
    (tmp_path / "index.html").touch()
    assert not machine.web_app({"GAJI_WEB_ROOT": str(tmp_path)}).remedy
    assert not machine.web_app({"GAJI_WEB_ROOT": "none"}).remedy


@contextmanager
def vendor(status: int) -> Iterator[str]:
    """A model's server that answers so to whoever asks for its models."""

    class Vendor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("x-goog-api-key") or self.headers.get("authorization") or ""
            self.send_response(status if given.endswith("a-key") and self.path.endswith("/models") else 500)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["gemini", "openai"])
def test_a_model_without_a_key_or_with_a_wrong_one(name: str) -> None:
    variable = {"gemini": "GEMINI_API_KEY", "openai": "GAJI_OPENAI_API_KEY"}[name]
    chosen = {"GAJI_PROVIDER": name, variable: "a-key"}
    where = {"gemini": "GAJI_GEMINI_BASE_URL", "openai": "GAJI_OPENAI_BASE_URL"}[name]
    with vendor(403) as url:
        refused = settings.provider({**chosen, where: url})
    assert (f"set {variable} anew", True) == (refused.remedy, refused.fatal)
    assert "a-key" not in words(refused)
    with vendor(200) as url:
        assert not settings.provider({**chosen, where: url}).remedy
    silent = settings.provider({**chosen, where: f"http://127.0.0.1:{Ports().free()}"})
    assert "does not answer" in silent.detail
    assert not silent.fatal
    if name == "gemini":
        assert "set GEMINI_API_KEY" in settings.provider({"GAJI_PROVIDER": name}).remedy


def test_a_database_that_lets_nobody_in(postgres_url: str, tmp_path: Path) -> None:
    parts = urlsplit(postgres_url)
    address = parts.netloc.rpartition("@")[2]

    def said(url: str) -> str:
        (found,) = stores.database(tmp_path, {"GAJI_DATABASE_URL": url})
        assert found.fatal
        return words(found)

    assert "user and password" in said(urlunsplit(parts._replace(netloc=f"gaji:wrong@{address}")))
    assert "CREATE DATABASE" in said(urlunsplit(parts._replace(path="/nowhere")))
    assert "nobody listens there" in said(f"postgresql://gaji@127.0.0.1:{Ports().free()}/gaji")
    assert "sslmode=" in said(f"{postgres_url}?sslmode=require")
    assert "is not a PostgreSQL URL" in said("here")


def test_a_schema_that_is_not_of_today() -> None:
    assert "nothing to do: library makes them" in words(stores.schema(None))
    assert "behind" in words(stores.schema("0001"))
    assert not stores.schema(known_revisions()[1]).remedy


async def test_a_schema_that_is_of_another_release(postgres_url: str, tmp_path: Path) -> None:
    await migrate(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    revision = (await stores._asked(postgres_url))[-1]
    assert "9999, of a newer release" in words(await asyncio.to_thread(stores.schema, revision))


def test_a_redis_that_lets_nobody_in(valkey_server: ValkeyServer) -> None:
    parts = urlsplit(valkey_server.url)
    address = parts.netloc.rpartition("@")[2]
    wrong = urlunsplit(parts._replace(netloc=f"operator:wrong@{address}"))
    assert "check the password in GAJI_REDIS_URL" in words(*stores.redis({"GAJI_REDIS_URL": wrong}))
    tls = urlunsplit(parts._replace(scheme="rediss"))
    assert "write redis://" in words(*stores.redis({"GAJI_REDIS_URL": tls}))
    nobody = {"GAJI_REDIS_URL": f"redis://127.0.0.1:{Ports().free()}"}
    assert "does not answer; check GAJI_REDIS_URL" in words(*stores.redis(nobody))
    assert not any(each.remedy for each in stores.redis({"GAJI_REDIS_URL": valkey_server.url}))


async def test_a_redis_that_sentinels_watch(server_folder: Path) -> None:
    nobody = {"GAJI_REDIS_URL": f"redis+sentinel://127.0.0.1:{Ports().free()}/gaji/0"}
    assert "no sentinel names a master" in words(*stores.redis(nobody))
    assert "write redis+sentinel://" in words(*stores.redis({"GAJI_REDIS_URL": "redis+cluster://127.0.0.1/0"}))
    (folder := server_folder / "watched").mkdir()
    async with open_watched(folder) as servers:
        found = await asyncio.to_thread(stores.redis, {"GAJI_REDIS_URL": servers.url})
        assert f"127.0.0.1:{servers.ports[0]} answers" in words(*found)
        wrong = {"GAJI_REDIS_URL": servers.url.replace(":" + PASSWORD, ":wrong")}
        assert "check the password" in words(*await asyncio.to_thread(stores.redis, wrong))


def test_a_redis_that_throws_away_what_it_is_given(valkey_server: ValkeyServer) -> None:
    with Redis.from_url(valkey_server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        try:
            said = words(*stores.redis({"GAJI_REDIS_URL": valkey_server.url}))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")
    assert "CONFIG SET maxmemory-policy noeviction" in said
    assert "CONFIG SET appendonly yes" in said


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A vector store's database as Chroma lays it out, with three novels."""
    with closing(sqlite3.connect(tmp_path / "chroma.sqlite3")) as database, database:
        database.executescript(
            """
            CREATE TABLE collections (id TEXT, name TEXT);
            CREATE TABLE segments (id TEXT, collection TEXT);
            CREATE TABLE embeddings (id INTEGER, segment_id TEXT);
            CREATE TABLE embedding_metadata (id INTEGER, key TEXT, string_value TEXT);
            INSERT INTO collections VALUES ('c', 'novels'), ('d', 'novel_passages');
            INSERT INTO segments VALUES ('s', 'c'), ('t', 'd');
            INSERT INTO embeddings VALUES (1, 's'), (2, 's'), (3, 's'), (4, 't');
            INSERT INTO embedding_metadata VALUES
                (1, 'embedder', 'minilm'), (2, 'embedder', 'minilm'), (3, 'embedder', 'gemini'), (3, 'language', 'en');
            """
        )
    return tmp_path


def test_novels_that_were_read_by_another_model(vectors: Path) -> None:
    keyless = stores.embedders(vectors, {})
    assert keyless is not None
    assert keyless.detail == "1 by gemini, 2 by minilm, and there is no key for gemini"
    assert "gaji reingest --all" in keyless.remedy
    key = {"GEMINI_API_KEY": "x"}
    assert "have the others read anew" in words(stores.embedders(vectors, {**key, "GAJI_EMBEDDER": "e5"}))
    good = stores.embedders(vectors, key)
    assert good is not None
    assert not good.remedy
    assert stores.embedders(None, {}) is None


def test_json_is_a_line_for_each_finding(gaji: Gaji, tmp_path: Path) -> None:
    done = gaji("doctor", "--data-dir", tmp_path / "data", "--port", "0", "--json", GAJI_PROVIDER="gemini")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert {"ok", "topic", "detail", "remedy", "fatal"} == set().union(*found)
    assert [each["topic"] for each in found if not each["ok"] and each["fatal"]] == ["language model"]
    assert len(found) > 15


def test_tls_is_there() -> None:
    """What tells TLS apart are Python's own errors."""
    assert stores._is_tls(OSError("x")) is False
    assert stores._is_tls(ssl.SSLError(1, "wrong version number"))
