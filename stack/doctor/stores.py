"""The stores: whether they let us in, fit this release, and keep what they are given."""

import asyncio
import socket
import sqlite3
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from mesh.identity import SKEW_SECONDS
from mesh.redis_address import Watched, watched
from stack.backup.places import places_of, running_url
from stack.backup.vectors import DATABASE
from stack.doctor.finding import Finding
from stack.errors import StackError
from stack.providers import GEMINI_KEY
from stack.settings import parsed_url
from stack.state import read_state

_DATABASE_URL = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_REDIS_URL = "redis://:PASSWORD@HOST:PORT/0"
_SECONDS = 5.0
_ALERT = b"\x15"  # of TLS (RFC 8446), which what it does not understand is answered with
_EMBEDDERS = """
SELECT string_value, count(*) FROM embedding_metadata
JOIN embeddings USING (id) JOIN segments ON segments.id = embeddings.segment_id
JOIN collections ON collections.id = segments.collection
WHERE collections.name = 'novels' AND key = 'embedder' AND string_value <> '' GROUP BY string_value ORDER BY 1
"""


def database(data_dir: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Whether the library's lets us in, and its schema and clock are as this release's."""
    url, own = environment.get("GAJI_DATABASE_URL", ""), False
    if not url:
        state = read_state(data_dir)
        if state is None or "postgres" not in state["services"]:
            return [Finding("database", "embedded, started with the stack")]
        try:
            url, own = running_url(places_of(data_dir, environment, state), state), True
        except StackError as error:
            return [Finding("database", error.message, error.remedy, fatal=False)]
    parts = parsed_url(url, "postgres", "postgresql")
    if parts is None:
        return [Finding("database", "GAJI_DATABASE_URL is not a PostgreSQL URL", f"write {_DATABASE_URL}")]
    where = f"{parts.hostname or 'its socket'}:{parts.port or 5432}{parts.path}"
    try:
        version, there, before, revision = asyncio.run(_asked(url))
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        return [Finding("database", f"{where}: {_said(error)}", _remedy(error))]
    found = Finding("database", f"{'embedded, it runs' if own else where}, PostgreSQL {version}")
    return [found, *skew("the database", there, before), schema(revision)]


async def _asked(url: str) -> tuple[str, float, float, str | None]:
    """A server's version, its clock and ours, and the revision of its schema."""
    # Loaded when there is a server to ask: SQLAlchemy and Alembic, which come along, take as long as all the rest.
    from services.library.stores.address import tls  # noqa: PLC0415 - see above
    from stack.backup.library import schema_of  # noqa: PLC0415 - likewise

    async with asyncio.timeout(_SECONDS):
        connection = await asyncpg.connect(url, ssl=tls(url), timeout=_SECONDS)
        try:
            version = await connection.fetchval("SHOW server_version")
            before = time.time()
            there = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")
            return str(version), float(there), before, await schema_of(connection)
        finally:
            await connection.close()


def schema(revision: str | None) -> Finding:
    """Whether the schema's revision is this release's.

    Args:
        revision: that of the database; None: it has no tables yet.
    """
    from services.library.stores.migrate import known_revisions  # noqa: PLC0415 - it loads Alembic, as above

    known, head = known_revisions()
    if revision is None:
        return Finding("schema", "no tables yet", "nothing to do: library makes them at its start", fatal=False)
    if revision not in known:
        return Finding(
            "schema",
            f"{revision}, of a newer release; this one knows up to {head}",
            "install the newer release: an older one serves beside it for a while, but does not stay",
            fatal=False,
        )
    if revision != head:
        return Finding(
            "schema", f"{revision}, behind {head}", "nothing to do: library migrates at its start", fatal=False
        )
    return Finding("schema", head)


def skew(whose: str, theirs: float, ours: float) -> list[Finding]:
    """A clock that is not ours; nothing when it agrees.

    Args:
        whose: it is.
        theirs: its seconds since the epoch.
        ours: ours, a moment before.
    """
    if abs(theirs - ours) <= SKEW_SECONDS:
        return []
    detail = f"that of {whose} is {theirs - ours:+.0f} s from ours; tokens bear {SKEW_SECONDS} s"
    return [Finding("clock", detail, "set both clocks, by NTP: timedatectl set-ntp true")]


def date_of(url: str) -> float | None:
    """What a gateway's clock says, to the second; None: it does not tell."""
    try:
        answer = httpx.get(f"{url}/health", timeout=_SECONDS, trust_env="127.0.0.1" not in url)
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def redis(environment: Mapping[str, str]) -> list[Finding]:
    """Whether Redis lets us in, and keeps what it is given."""
    url = environment.get("GAJI_REDIS_URL", "")
    if not url:
        return [Finding("redis", "embedded, started with the stack")]
    try:
        servers = watched(url)
    except ValueError as error:
        return [Finding("redis", f"GAJI_REDIS_URL: {error}", f"write {_REDIS_URL}")]
    return _server(url) if servers is None else _master(servers)


def _master(servers: Watched) -> list[Finding]:
    """Whether a sentinel names a server that lets us in."""
    login = {"username": servers.username, "password": servers.password}
    own = {name: word for name, word in login.items() if word}
    sentinels = Sentinel(servers.sentinels, sentinel_kwargs={**_patience(), **own})  # type: ignore[no-untyped-call]  # redis-py has no types here
    try:
        host, port = sentinels.discover_master(servers.service)  # type: ignore[no-untyped-call]  # likewise
    except (RedisError, OSError) as error:
        remedy = "check the sentinels' addresses and the name of what they watch in GAJI_REDIS_URL"
        return [Finding("redis", f"no sentinel names a master: {error}", remedy)]
    finally:
        for sentinel in sentinels.sentinels:
            sentinel.close()
    parts = urlsplit(servers.url)
    at = parts.netloc.rpartition("@")[0]
    host = f"[{host}]" if ":" in host else host
    return _server(urlunsplit(parts._replace(netloc=f"{at}@{host}:{port}" if at else f"{host}:{port}")))


def _patience() -> dict[str, Any]:
    return {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS, "retry": Retry(NoBackoff(), 0)}


def _server(url: str) -> list[Finding]:
    parts = parsed_url(url, "redis", "rediss")
    if parts is None:
        return [Finding("redis", "GAJI_REDIS_URL is not a Redis URL", f"write {_REDIS_URL}")]
    where = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    remedy = f"check GAJI_REDIS_URL ({_REDIS_URL}) and that the server runs"
    spoken = _spoken(parts.hostname or "localhost", parts.port or 6379)
    if spoken and spoken != parts.scheme:  # a client would wait for its time
        return [Finding("redis", f"{where} does not speak {parts.scheme}://", f"write {spoken}:// in GAJI_REDIS_URL")]
    try:
        with Redis.from_url(url, **_patience()) as client:
            before = time.time()
            seconds, micros = _time(client)
            told: Any = client.info()
            clock = skew("Redis", seconds + micros / 1e6, before)
            return [Finding("redis", f"{where} answers"), *clock, *keeping(told)]
    except AuthenticationError:
        return [Finding("redis", f"{where} refuses user or password", "check the password in GAJI_REDIS_URL")]
    except (RedisError, OSError, ValueError) as error:
        what = "refuses" if isinstance(error, ResponseError) else "does not answer"
        return [Finding("redis", f"{where} {what}", remedy)]


def _spoken(host: str, port: int) -> str:
    """The scheme of the URL that a server is to be called by; empty: nobody says anything."""
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(b"PING\r\n")
            first = connection.recv(1)
    except OSError:
        return ""
    return "redis" if first in {b"+", b"-"} else "rediss" if first == _ALERT else ""


def keeping(told: Mapping[str, Any]) -> list[Finding]:
    """What a server's INFO says of whether it throws away what it was given."""
    found = []
    policy = str(told.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        found.append(
            Finding(
                "redis memory",
                f"maxmemory-policy is {policy}: streams and queues are thrown away when memory is short",
                "CONFIG SET maxmemory-policy noeviction; the cache has times to live of its own",
                fatal=False,
            )
        )
    if not told.get("aof_enabled", 1):
        found.append(
            Finding(
                "redis on disk",
                "no append-only file: replies under way are written anew after a restart",
                "CONFIG SET appendonly yes",
                fatal=False,
            )
        )
    return found


def embedders(vectors: Path | None, environment: Mapping[str, str]) -> Finding | None:
    """Whether what novels were read by is still what queries can be read by; None: there are no novels here.

    Args:
        vectors: the folder of the embedded vector store; None: there is a server.
        environment: the settings.
    """
    if vectors is None or not (vectors / DATABASE).exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{vectors / DATABASE}?mode=ro", uri=True, timeout=_SECONDS)) as connection:
            counts = dict(connection.execute(_EMBEDDERS).fetchall())
    except sqlite3.Error as error:
        return Finding("embeddings of novels", f"not known: {error}", "look at the log of search", fatal=False)
    if not counts:
        return None
    detail = ", ".join(f"{number} by {name}" for name, number in counts.items())
    chosen = environment.get("GAJI_EMBEDDER", "")
    keyless = "gemini" in counts and not (environment.get(GEMINI_KEY) or environment.get("GAJI_GEMINI_API_KEY"))
    if keyless:
        return Finding(
            "embeddings of novels",
            f"{detail}, and there is no key for gemini",
            f"set {GEMINI_KEY}, or gaji reingest --all",
        )
    others = sum(number for name, number in counts.items() if chosen and name != chosen)
    if others:
        return Finding(
            "embeddings of novels",
            f"{detail}; GAJI_EMBEDDER={chosen} is for new ones alone",
            "have the others read anew by it: gaji reingest --all",
            fatal=False,
        )
    return Finding("embeddings of novels", detail)


def _time(client: Any) -> tuple[int, int]:
    seconds, micros = client.time()
    return int(seconds), int(micros)


def _said(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    return str(error) or "no answer in time"


def _remedy(error: Exception) -> str:
    check = f"check GAJI_DATABASE_URL ({_DATABASE_URL})"
    if isinstance(error, asyncpg.InvalidPasswordError):
        return f"{check}: user and password"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"{check}: make the database, CREATE DATABASE"
    if _is_tls(error):
        return f"{check}: the server has no TLS, or a certificate that is not known here; sslmode= says what is wanted"
    return f"{check} and that the server runs"


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
