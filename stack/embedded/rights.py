"""What each service may do in the stores that come with a stack: users of Valkey, roles of PostgreSQL.

Valkey: a user reaches the keys and channels of its own, with the commands that work on keys, publish or run scripts
(scripts are held to the same keys); what works on the server, on every key at once or on other connections is closed.
PostgreSQL: the owner of the schema migrates it; at run-time library has a role that reads and writes rows.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stack.embedded.account import secret

OPERATOR = "operator"
DATABASE = "gaji"
OWNER = "gaji"
READER_WRITER = "gaji_library"
POSTGRES_RIGHTS = "1"
"""Of which edition a data folder's roles are; a new one makes them anew at the next start."""

_JOBS = ("gaji:jobs:*",)
_EMBEDDING = ("gaji:embedding:*",)
# Keys and channels by process. Generation and library keep logs of streams, on which they work together.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "cache": ("gaji:cache:*",),
    "generation": ("gaji:log:*",),
    "library": ("gaji:log:*",),
    "jobs": _JOBS,
    "worker": _JOBS,
    "gateway": ("gaji:limit:*",),
    "search": _EMBEDDING,
    "embedding": _EMBEDDING,
}
_COMMANDS = (
    "-@all +@read +@write +@blocking +@pubsub +@scripting +@transaction +@connection +time -@dangerous -@admin "
    "-scan -randomkey -dbsize -pubsub -function -fcall -fcall_ro -script|flush -script|kill"
)
_MORE = {"cache": " +info"}  # for the run id, by which it knows a server that has restarted


def valkey_users(secrets_dir: Path) -> tuple[str, Mapping[str, str]]:
    """The lines of the configuration that make the users, and a password by process, ``operator`` among them.

    Passwords stand in the configuration as SHA-256. The default user is off: who does not say who he is, is nobody.
    """
    passwords = {OPERATOR: secret(secrets_dir, "valkey-password")}
    lines = ["user default off", f"user {user(OPERATOR)} on {_hashed(passwords[OPERATOR])} ~* &* +@all"]
    for name, patterns in _KEYS.items():
        passwords[name] = secret(secrets_dir, f"valkey-{name}-password")
        keys = " ".join(f"~{pattern} &{pattern}" for pattern in patterns)
        lines.append(
            f"user {user(name)} on {_hashed(passwords[name])} resetchannels {keys} {_COMMANDS}{_MORE.get(name, '')}"
        )
    return "".join(f"{line}\n" for line in lines), passwords


def user(name: str) -> str:
    """The user of Valkey that a process is."""
    return f"gaji-{name}"


def _hashed(password: str) -> str:
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"


def server_statements(password: str) -> str:
    """SQL for the database ``postgres``, a statement a line, which may be run again."""
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER_WRITER}') "  # noqa: S608 - of our own words
        f"THEN CREATE ROLE {READER_WRITER}; END IF; END $$\n"
        f"ALTER ROLE {READER_WRITER} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '{password}'\n"
        f"REVOKE ALL ON DATABASE postgres, template1, {DATABASE} FROM PUBLIC\n"
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {READER_WRITER}\n"
    )


def database_statements() -> str:
    """SQL for the database ``gaji``, a statement a line, which may be run again."""
    rows, numbers = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"
    later = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT"
    return (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC\n"
        f"GRANT USAGE ON SCHEMA public TO {READER_WRITER}\n"
        f"GRANT {rows} ON ALL TABLES IN SCHEMA public TO {READER_WRITER}\n"
        f"GRANT {numbers} ON ALL SEQUENCES IN SCHEMA public TO {READER_WRITER}\n"
        f"{later} {rows} ON TABLES TO {READER_WRITER}\n"
        f"{later} {numbers} ON SEQUENCES TO {READER_WRITER}\n"
    )


def host_rules(host: str, admin: str) -> str:
    """The server's ``pg_hba.conf``: these roles, by password, from this machine; nobody else is even asked."""
    return f"host all {OWNER},{READER_WRITER},{admin} {host}/32 scram-sha-256\n"
