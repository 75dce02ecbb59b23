"""What new stores are made with: users of Valkey and roles of PostgreSQL, with their rights and no more."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from stack.embedded.account import give, make_passable, server_environment, server_user
from stack.embedded.postgres import binaries, open_postgres
from stack.embedded.valkey import binary
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.probes import redis_answers
from stack.processes import Process, Program
from stack.secret_files import write_secrets
from tests.deploy.manifests import pods
from tests.deploy.test_deploy_compose import services

MIGRATE = (sys.executable, "-P", "-m", "services.library.migrations")


async def run(command: Sequence[str], **variables: str) -> tuple[int, str]:
    """Its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**server_environment(), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def arguments_of_valkey() -> Sequence[str]:
    (pod,) = [pod for pod in pods("small") if pod.name == "valkey"]
    return [str(word) for word in pod.container["args"]]


def secret(folder: Path, process: str, name: str) -> str:
    return (folder / process / name).read_text()


@asynccontextmanager
async def valkey(folder: Path, files: Path, port: int) -> AsyncIterator[None]:
    """A server with the arguments of the manifests."""
    user, data = server_user(), folder / "data"
    data.mkdir()
    give(data, user)
    make_passable(files / "valkey" / "users.conf", user)  # as if it were mounted
    places = {"valkey-server": str(binary()), "/run/secrets/valkey/users.conf": str(files / "valkey" / "users.conf")}
    words = [places.get(word, word).replace("/data", str(data)) for word in arguments_of_valkey()]
    program = Program(
        name="valkey",
        argv=[*words, "--bind", HOST, "--port", str(port)],
        log=LogFile(folder / "logs" / "valkey.log"),
        ready=lambda _pid: redis_answers(HOST, port, "gaji-operator", secret(files, "passwords", "valkey-password")),
        env=server_environment(),
        user=user,
    )
    process = await Process.start(program)
    try:
        await process.wait_ready()
        yield
    finally:
        await process.stop()


async def test_valkey_as_the_manifests_start_it_knows_each_process_by_its_rights(server_folder: Path) -> None:
    port, files = Ports().free(), server_folder / "secrets"
    await asyncio.to_thread(write_secrets, files, valkey=f"{HOST}:{port}")
    async with valkey(server_folder, files, port):
        async with Redis.from_url(secret(files, "cache", "GAJI_REDIS_URL")) as cache:
            await cache.set("gaji:cache:a", "1")
            with pytest.raises(NoPermissionError):
                await cache.set("gaji:jobs:a", "1")
            with pytest.raises(NoPermissionError):
                await cache.flushall()
        async with Redis.from_url(secret(files, "worker", "GAJI_REDIS_URL")) as worker:
            await worker.set("gaji:jobs:a", "1")
        async with Redis(host=HOST, port=port) as nobody:
            with pytest.raises(AuthenticationError):
                await nobody.ping()


def test_compose_starts_valkey_with_the_same_arguments() -> None:
    assert services()["valkey"]["command"] == arguments_of_valkey()


async def test_a_new_postgresql_gets_its_roles_and_schema_and_library_may_not_change_it(
    server_folder: Path,
) -> None:
    port, files = Ports().free(), server_folder / "secrets"
    await asyncio.to_thread(write_secrets, files, postgres=f"{HOST}:{port}")
    options = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
    async with open_postgres(
        server_folder / "postgres", port=port, secrets_dir=files / "passwords", options=options
    ) as server:
        admin: Any = await asyncpg.connect(server.admin_url)
        # As the image of PostgreSQL makes it: with a superuser and nothing else.
        for statement in (
            "DROP DATABASE gaji",
            "DROP OWNED BY gaji_library",
            "DROP ROLE gaji_library",
            "DROP ROLE gaji",
        ):
            await admin.execute(statement)
        await admin.close()
        psql, roles = str(binaries() / "psql"), str(files / "postgres" / "roles.sql")
        code, said = await run([psql, "-v", "ON_ERROR_STOP=1", "-q", "-f", roles, server.admin_url])
        assert code == 0, said
        for already in ("from_revision", ""):  # the second time nothing is left to do
            code, said = await run(MIGRATE, GAJI_SECRETS_DIR=str(files / "migrations"))
            assert code == 0, said
            assert already in said
        library: Any = await asyncpg.connect(secret(files, "library", "GAJI_DATABASE_URL"))
        try:
            assert await library.fetchval("SELECT count(*) FROM novels") == 0
            for statement in ("CREATE TABLE mine (a int)", "DROP TABLE novels"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await library.execute(statement)
        finally:
            await library.close()
        # The schema is there, and to look at it is library's right as well.
        code, said = await run(MIGRATE, GAJI_SECRETS_DIR=str(files / "library"))
        assert code == 0, said
