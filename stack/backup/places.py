"""Where a stack keeps what it has."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from stack.embedded.rights import OWNER
from stack.errors import StackError
from stack.keys import files_in

# Beside them a folder of secrets has the passwords of the embedded servers, which a restored server gets anew.
_ACCOUNT = "stack-user-password"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are.

    Attributes:
        data_dir: the stack's folder.
        database: the URL of a PostgreSQL of the operator's own, as the schema's owner; empty: the embedded one.
        redis: the URL of a Redis of the operator's own; empty: the embedded one.
        vectors: the folder of the embedded vector store; None: there is a Chroma server.
    """

    data_dir: Path
    vectors: Path | None
    database: str = field(default="", repr=False)
    redis: str = field(default="", repr=False)

    @property
    def postgres(self) -> Path:
        """The folder of the embedded PostgreSQL."""
        return self.data_dir / "postgres"

    @property
    def valkey(self) -> Path:
        """The folder of the embedded Valkey."""
        return self.data_dir / "valkey"

    @property
    def secrets(self) -> Path:
        """The folder of passwords and keys."""
        return self.data_dir / "secrets"

    @property
    def sample(self) -> Path:
        """What says that the sample story was put on the shelf."""
        return self.data_dir / "sample.json"

    def key_files(self) -> list[Path]:
        """The files of the keys that sign access tokens, and of the stack's own account, where they are."""
        files = [*files_in(self.secrets), self.secrets / _ACCOUNT]
        return [path for path in files if path.exists()]


def places_of(data_dir: Path, environment: Mapping[str, str], state: Mapping[str, Any] | None) -> Places:
    """Where a stack keeps things, by the variables that it was or will be started with.

    Args:
        data_dir: its folder.
        environment: the variables.
        state: what it tells of itself; None: it does not run.

    Raises:
        StackError: it runs on servers that the variables do not name.
    """
    database = environment.get("GAJI_DATABASE_OWNER_URL") or environment.get("GAJI_DATABASE_URL", "")
    redis = environment.get("GAJI_REDIS_URL", "")
    if state is not None:
        services = state["services"]
        database = "" if "postgres" in services else database
        redis = "" if "valkey" in services else redis
        if "postgres" not in services and not database:
            raise StackError(
                f"the stack on {data_dir} has its library in a database of your own", "set GAJI_DATABASE_URL as it has"
            )
    folder = environment.get("GAJI_CHROMA_PATH")
    vectors = None if environment.get("GAJI_CHROMA_URL") else Path(folder or data_dir / "chroma").resolve()
    return Places(data_dir, vectors, database, redis)


def running_url(places: Places, state: Mapping[str, Any]) -> str:
    """The URL of the embedded PostgreSQL that runs, as the schema's owner.

    Raises:
        StackError: its password can't be read.
    """
    try:
        password = (places.secrets / "postgres-password").read_text(encoding="ascii").strip()
    except OSError as error:
        raise StackError(f"{places.secrets} can't be read ({error.strerror})", "become who runs the stack") from None
    parts = urlsplit(str(state["services"]["postgres"][0]["url"]))
    return urlunsplit(parts._replace(netloc=f"{OWNER}:{quote(password, safe='')}@{parts.netloc}"))


def room_for(folder: Path, size: int) -> None:
    """Makes sure that so many bytes fit.

    Raises:
        StackError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StackError(
            f"{folder} has {free / 1024**2:,.0f} MiB free, and {size / 1024**2:,.0f} MiB are wanted", "make room there"
        )
