"""The secrets of a deployment, a folder for each process: ``python -m stack.secret_files FOLDER``.

Each folder holds what `GAJI_SECRETS_DIR` reads: files named as the settings that they hold. Each process gets the user
of Valkey and the role of PostgreSQL that has its rights and no more (`stack.embedded.rights`), library alone the key
that signs tokens, the migrations alone the owner of the schema. Beside them, ``valkey/users.conf`` and
``postgres/roles.sql`` make these users and roles in servers that are new. All of it is made from ``passwords`` and
``keys``: keep these two, and run this again for other addresses.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from stack.embedded.account import secret, write_private
from stack.embedded.rights import (
    DATABASE,
    OWNER,
    READER_WRITER,
    database_statements,
    server_statements,
    user,
    valkey_users,
)
from stack.keys import key_files

KEYS = "jwt-keys.json"
PRIVATE_KEY = "jwt-private.pem"
MIGRATIONS = "migrations"
POSTGRES_CA = "postgres-ca.crt"
IMAGE_CA = "/etc/ssl/certs/ca-certificates.crt"
"""The public authorities, in the images. asyncpg, like libpq, knows none unless it is told where they are."""
SECRETS = "/run/secrets/gaji"
"""Where a process finds its folder."""
_REDIS = "GAJI_REDIS_URL"
_DATABASE, _OWNER = "GAJI_DATABASE_URL", "GAJI_DATABASE_OWNER_URL"
# By process: the user of Valkey that it is. The workers of both queues are one.
_VALKEY = ("cache", "embedding", "gateway", "generation", "jobs", "library", "search", "worker")


def write_secrets(
    folder: Path,
    *,
    postgres: str = "postgres:5432",
    valkey: str = "valkey:6379",
    tls: bool = False,
    postgres_ca: Path | None = None,
) -> None:
    """Makes what is missing in a folder and writes the rest anew.

    The folder itself is closed to others. What is in it is not: a container that gets a part of it mounted runs as
    another user.

    Args:
        folder: made with mode 0700.
        postgres: ``host:port`` as the processes reach it.
        valkey: likewise.
        tls: whether both are reached over TLS.
        postgres_ca: PEM of the authority that signed PostgreSQL's certificate; None: a public one has.

    Raises:
        StackError: a key in the folder is not as it was made.
        OSError: it can't be written, or the authority can't be read.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    passwords = folder / "passwords"
    keys = key_files(folder / "keys")
    admin = secret(passwords, "postgres-admin-password")
    owner, library = secret(passwords, "postgres-password"), secret(passwords, "postgres-library-password")
    users, words = valkey_users(passwords)
    scheme, mode = "redis", ""
    authority: dict[str, str] = {}
    if tls:
        scheme, root = "rediss", IMAGE_CA
        if postgres_ca is not None:
            authority, root = {POSTGRES_CA: postgres_ca.read_text(encoding="utf-8")}, f"{SECRETS}/{POSTGRES_CA}"
        mode = f"?sslmode=verify-full&sslrootcert={root}"
    files: dict[str, dict[str, str]] = {
        name: {_REDIS: f"{scheme}://{user(name)}:{quote(words[name])}@{valkey}/0"} for name in _VALKEY
    }
    files["library"] |= {
        _DATABASE: f"postgresql://{READER_WRITER}:{library}@{postgres}/{DATABASE}{mode}",
        PRIVATE_KEY: keys.private.read_text(encoding="ascii"),
        **authority,
    }
    owned = f"postgresql://{OWNER}:{owner}@{postgres}/{DATABASE}{mode}"
    files[MIGRATIONS] = {_DATABASE: owned, _OWNER: owned, **authority}
    files["keys-public"] = {KEYS: keys.keys.read_text(encoding="ascii")}
    files["postgres"] = {"admin-password": admin, "roles.sql": "".join(_roles(owner, library))}
    files["grafana"] = {"admin-password": secret(passwords, "grafana-admin-password")}
    files["valkey"] = {"users.conf": users}
    for name, contents in files.items():
        _write(folder / name, contents)


def _roles(owner: str, library: str) -> Iterator[str]:
    """SQL for psql, as superuser, on a server that has neither the roles nor the database."""
    yield f"CREATE ROLE {OWNER} LOGIN PASSWORD '{owner}';\nCREATE DATABASE {DATABASE} OWNER {OWNER};\n"
    yield from (f"{line};\n" for line in server_statements(library).splitlines())
    yield f"\\connect {DATABASE}\n"
    yield from (f"{line};\n" for line in database_statements().splitlines())


def _write(folder: Path, contents: dict[str, str]) -> None:
    # What others have put there stays, e.g. the key of a model: GEMINI_API_KEY in generation.
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for name, text in contents.items():
        write_private(folder / name, text)
        (folder / name).chmod(0o444)


def main() -> None:
    """Makes them."""
    parser = argparse.ArgumentParser(
        description="Make the passwords, keys and URLs of a deployment, a folder a process."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--postgres", default="postgres:5432", help="host:port of PostgreSQL")
    parser.add_argument("--valkey", default="valkey:6379", help="host:port of Valkey or Redis")
    parser.add_argument("--tls", action="store_true", help="both are reached over TLS")
    parser.add_argument("--postgres-ca", type=Path, metavar="PEM", help="who signed PostgreSQL's; default: public ones")
    options = parser.parse_args()
    if options.postgres_ca is not None and not options.tls:
        parser.error("--postgres-ca is of use with --tls only")
    os.umask(0o077)
    write_secrets(
        options.folder,
        postgres=options.postgres,
        valkey=options.valkey,
        tls=options.tls,
        postgres_ca=options.postgres_ca,
    )
    print(f"{options.folder}: {', '.join(sorted(path.name for path in options.folder.iterdir()))}")


if __name__ == "__main__":
    main()
