"""Each service reaches what is its own in the stores, and nothing else: on real servers."""

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from services.library.stores.migrate import migrate
from stack.children import EMBEDDING, ROOMS, children_of, place
from stack.embedded import postgres as embedded
from stack.embedded.postgres import PostgresServer, open_postgres
from stack.embedded.rights import READER_WRITER
from stack.embedded.valkey import ValkeyServer
from stack.ports import Ports

KEYS = {
    "cache": "gaji:cache:0123456789ab:e:novel:1",
    "generation": "gaji:log:{1}:state",
    "library": "gaji:log:{1}:state",
    "jobs": "gaji:jobs:high_priority",
    "worker": "gaji:jobs:high_priority",
    "gateway": "gaji:limit:someone",
    "search": "gaji:embedding:batch:0123456789ab",
    "embedding": "gaji:embedding:batch:0123456789ab",
}
FORBIDDEN = (
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("RANDOMKEY",),
    ("DBSIZE",),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("SWAPDB", "0", "1"),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "x"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("MONITOR",),
    ("SHUTDOWN",),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"),
    ("PUBSUB", "CHANNELS"),
    ("SAVE",),
    ("PSUBSCRIBE", "*"),
    ("SUBSCRIBE", "gaji:elsewhere"),
    ("PUBLISH", "gaji:elsewhere", "x"),
)


@pytest.mark.parametrize("name", sorted(KEYS))
async def test_a_user_of_valkey_has_its_own_keys_only(name: str, valkey_server: ValkeyServer) -> None:
    client: Any
    async with Redis.from_url(valkey_server.urls[name]) as client:
        for owner, key in KEYS.items():
            script = "return redis.call('SET', ARGV[1], 'x')"
            if key == KEYS[name]:
                await client.set(key, "x", px=1000)
                assert await client.get(key) == b"x"
                await client.eval(script, 0, key)
                await client.publish(key, "x")
                await client.delete(key)
                continue
            for attempt in (("GET", key), ("SET", key, "x"), ("DEL", key), ("XRANGE", key, "-", "+")):
                with pytest.raises(NoPermissionError):
                    await client.execute_command(*attempt)
            with pytest.raises(ResponseError, match=r"[Pp]ermission|NOPERM"):
                await client.eval(script, 0, key)
            with pytest.raises(NoPermissionError):
                await client.publish(key, owner)


@pytest.mark.parametrize("name", sorted(KEYS))
@pytest.mark.parametrize("command", FORBIDDEN, ids=" ".join)
async def test_no_service_works_on_the_server_itself(
    command: tuple[str, ...], name: str, valkey_server: ValkeyServer
) -> None:
    client: Any
    async with Redis.from_url(valkey_server.urls[name]) as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)


async def test_valkey_knows_nobody_who_gives_no_name(valkey_server: ValkeyServer) -> None:
    parts = urlsplit(valkey_server.public_url)
    password = urlsplit(valkey_server.url).password
    for user in ("", f":{password}@", f"default:{password}@", f"gaji-cache:{password}@"):
        async with Redis.from_url(urlunsplit(parts._replace(netloc=f"{user}{parts.netloc}"))) as client:
            with pytest.raises(AuthenticationError):
                await client.ping()


@pytest.fixture
async def folder_of_before(server_folder: Path) -> Path:
    """A data folder as releases before this one have left it: one role, tables in the schema, no rights given."""
    folder = server_folder / "postgres"
    async with open_postgres(folder) as server:
        await migrate(server.url)
        admin = await asyncpg.connect(admin_of(server))
        try:
            await admin.execute("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC")
            await admin.execute(f"DROP OWNED BY {READER_WRITER}")
            await admin.execute(f"DROP ROLE {READER_WRITER}")
        finally:
            await admin.close()
    (folder / "rights").unlink()
    (server_folder / "secrets" / "postgres-library-password").unlink()
    return folder


def admin_of(server: PostgresServer) -> str:
    """The superuser's way into the database of the library."""
    return urlunsplit(urlsplit(server.admin_url)._replace(path=urlsplit(server.url).path))


async def test_library_reads_and_writes_rows_and_does_nothing_else(folder_of_before: Path) -> None:
    async with open_postgres(folder_of_before) as server:
        await migrate(server.url)
        library = await asyncpg.connect(server.library_url)
        try:
            user = uuid.uuid4()
            await library.execute("INSERT INTO users (user_id, display_name) VALUES ($1, 'x')", user)
            assert await library.fetchval("SELECT count(*) FROM users WHERE user_id = $1", user) == 1
            await library.execute("DELETE FROM users WHERE user_id = $1", user)
            for statement in (
                "CREATE TABLE mine (id int)",
                "CREATE TEMPORARY TABLE mine (id int)",
                "CREATE SCHEMA mine",
                "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "ALTER TABLE users ADD COLUMN mine int",
                "DROP TABLE users",
                "TRUNCATE users CASCADE",
                "CREATE ROLE mine",
                "ALTER ROLE gaji PASSWORD 'mine'",
                "SET ROLE gaji",
                "COPY users TO PROGRAM 'true'",
                "COPY users FROM '/etc/passwd'",
                "SELECT pg_read_file('/etc/passwd')",
                "SELECT * FROM pg_authid",
                "ALTER SYSTEM SET fsync = off",
                "SELECT pg_reload_conf()",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await library.execute(statement)
        finally:
            await library.close()


async def test_what_a_later_release_adds_is_library_s_as_well(postgres_server: PostgresServer) -> None:
    owner, library = await asyncpg.connect(postgres_server.url), await asyncpg.connect(postgres_server.library_url)
    name = f"later_{uuid.uuid4().hex}"
    try:
        await owner.execute(f"CREATE TABLE {name} (id bigserial PRIMARY KEY)")
        assert await library.fetchval(f"INSERT INTO {name} DEFAULT VALUES RETURNING id") == 1  # noqa: S608 - our own name
    finally:
        await owner.execute(f"DROP TABLE IF EXISTS {name}")
        await owner.close()
        await library.close()


async def test_a_role_reaches_its_own_database_only(postgres_server: PostgresServer) -> None:
    for url in (postgres_server.url, postgres_server.library_url):
        for database in ("postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(urlunsplit(urlsplit(url)._replace(path=f"/{database}")))


async def test_no_other_role_is_even_asked_for_a_password(postgres_server: PostgresServer) -> None:
    admin = await asyncpg.connect(postgres_server.admin_url)
    role = f"other_{uuid.uuid4().hex}"
    try:
        await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        parts = urlsplit(postgres_server.public_url)
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="pg_hba"):
            await asyncpg.connect(urlunsplit(parts._replace(netloc=f"{role}:x@{parts.netloc}")))
    finally:
        await admin.execute(f"DROP ROLE IF EXISTS {role}")
        await admin.close()


async def test_rights_are_given_once(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_postgres(server_folder / "postgres"):
        pass
    started: list[list[str]] = []
    monkeypatch.setattr(embedded, "_run", lambda command, *_: started.append(command))
    async with open_postgres(server_folder / "postgres") as server:
        await (await asyncpg.connect(server.library_url)).close()
    assert not started


SECRETS = {
    "GAJI_DATABASE_URL": {"library"},
    "GAJI_DATABASE_OWNER_URL": {"library"},
    "GAJI_JWT_PRIVATE_KEY_FILE": {"library"},
    "GAJI_REDIS_URL": {"cache", "library", "generation", "jobs", "gateway", "worker-high", "worker-low"},
    "GEMINI_API_KEY": {"generation"},
    "GAJI_GEMINI_API_KEY": {"generation"},
    "GAJI_OPENAI_API_KEY": {"generation"},
    "GAJI_TLS_KEY_FILE": set[str](),
}


@pytest.mark.parametrize(("embedder", "model"), [("", ""), ("gemini", ""), ("", "gemini"), ("", "openai")])
def test_a_process_knows_its_own_secrets_only(
    embedder: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "from the environment")
    monkeypatch.setenv("GAJI_EMBEDDER", embedder)
    monkeypatch.setenv("GAJI_SEARCH_MODEL", model)
    own = {room.identity: {"GAJI_REDIS_URL": f"redis://{room.identity}"} for room in ROOMS}
    children = {
        child.service: child.program.env or {} for child in children_of(place(Ports(), 0, {})[0], {}, tmp_path, own=own)
    }
    for name, services in SECRETS.items():
        asked = any(vendor and f"{vendor.upper()}_API_KEY" in name for vendor in (embedder, model))
        allowed = services | ({"search"} if asked else set())
        assert {service for service, env in children.items() if name in env} == allowed, name
    assert children["cache"]["GAJI_REDIS_URL"] == "redis://cache"
    assert children["worker-low"]["GAJI_REDIS_URL"] == "redis://worker"


def test_a_process_gets_the_certificate_of_its_name(tmp_path: Path) -> None:
    children = children_of(place(Ports(), 0, {})[0], {}, tmp_path, certs=tmp_path / "certs")
    files = {child.service: (child.program.env or {})["GAJI_TLS_KEY_FILE"] for child in children}
    expected = {room.name: str(tmp_path / "certs" / f"{room.identity}-key.pem") for room in ROOMS if room.usual}
    assert files == expected


def test_search_knows_the_way_to_its_workers_where_it_has_some(tmp_path: Path) -> None:
    own = {"search": {"GAJI_REDIS_URL": "redis://search", "GAJI_EMBEDDING": "workers"}}
    own["embedding"] = {"GAJI_REDIS_URL": "redis://embedding"}
    placed = place(Ports(), 0, {EMBEDDING: 2})[0]
    children = children_of(placed, {}, tmp_path, own=own, certs=tmp_path / "certs")
    env = {child.program.name: child.program.env or {} for child in children}
    assert env["search"]["GAJI_REDIS_URL"] == "redis://search"
    for name in (EMBEDDING, f"{EMBEDDING}-2"):
        assert env[name]["GAJI_REDIS_URL"] == "redis://embedding"
        assert "GAJI_TLS_KEY_FILE" not in env[name], "it calls nobody"
