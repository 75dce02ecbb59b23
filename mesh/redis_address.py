"""Where a Redis or Valkey is: one server, or whoever of several its sentinels call master.

``redis://[user:password@]host:6379/0``, ``rediss://`` the same over TLS, ``unix://path``, and

``redis+sentinel://[user:password@]host:26379,host:26379,host:26379/service/0``, with the addresses of the sentinels,
the name under which they watch the servers, and the database. User and password are the servers'; those of the
sentinels, if they ask for any, are ``?sentinel_username=...&sentinel_password=...``.
"""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator

SENTINEL = "redis+sentinel"
SENTINEL_PORT = 26379
_CLUSTER = ("redis+cluster", "rediss+cluster")
_KNOWN = ("redis", "rediss", "unix", SENTINEL)
_SHAPE = f"write {SENTINEL}://HOST:PORT,HOST:PORT,HOST:PORT/SERVICE/0"
_MOST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Watched:
    """Servers that are watched by sentinels.

    Attributes:
        sentinels: host and port of each.
        service: the name of what they watch.
        database: its number.
        url: ``redis://`` with user, password and database of the servers, of which it names none.
        username, password: for the sentinels; empty: they ask for none.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int
    url: str = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    def celery_url(self) -> str:
        """The same as Celery writes it."""
        login = urlsplit(self.url).netloc.rpartition("@")[0]
        at = f"{login}@" if login else ""
        return ";".join(f"sentinel://{at}{_joined(host)}:{port}/{self.database}" for host, port in self.sentinels)

    def celery_options(self, timeout: float) -> dict[str, object]:
        """What Celery wants to be told beside the URL; a sentinel may take so many seconds to answer."""
        login = {"username": self.username, "password": self.password}
        asking = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        return {
            "master_name": self.service,
            "sentinel_kwargs": asking | {name: word for name, word in login.items() if word},
        }


def watched(url: str) -> Watched | None:
    """The servers of a URL that names sentinels; None: it names a server.

    Raises:
        ValueError: it can't be meant.
    """
    scheme, found, _ = url.partition("://")
    if not found:  # it may hold a password, which would be shown
        raise ValueError("it has no scheme; write redis://:PASSWORD@HOST:PORT/0")
    if scheme in _CLUSTER:
        raise ValueError(
            "a Redis Cluster can't be used: jobs, the cache's invalidations and its news need one server's keys "
            f"together; {_SHAPE}, or give rooms servers of their own"
        )
    if scheme not in _KNOWN:
        raise ValueError(f"{scheme or 'it'}:// is none of {', '.join(f'{known}://' for known in _KNOWN)}")
    if scheme != SENTINEL:
        return None
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not service or not (database or "0").isdecimal():
        raise ValueError(f"the path is the service that the sentinels watch, and the number of the database; {_SHAPE}")
    query = parse_qs(parts.query)
    own = {name: query.pop(f"sentinel_{name}", [""])[0] for name in ("username", "password")}
    rest = urlencode(query, doseq=True)
    plain = urlunsplit(("redis", f"{login}@{service}" if login else service, f"/{database or 0}", rest, ""))
    sentinels = tuple(_address(host) for host in hosts.split(","))
    return Watched(sentinels, unquote(service), int(database or 0), plain, **own)


def checked_redis_url(url: str) -> str:
    """The URL, if it can be meant; an empty one is none.

    Raises:
        ValueError: it can't.
    """
    if url:
        watched(url)
    return url


RedisUrl = Annotated[str, AfterValidator(checked_redis_url)]
"""A setting that names a Redis."""


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or text.endswith("]"):  # no port, or an IPv6 address alone
        host, port = text.strip(), str(SENTINEL_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= _MOST_PORT:
        raise ValueError(f"{text!r} is not the address of a sentinel; {_SHAPE}")
    return host, int(port)


def _joined(host: str) -> str:
    return f"[{host}]" if ":" in host else host
