"""What opens connections is opened in one place each, with a timeout."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("mesh", "services", "gateway", "stack")

BUILDERS = {
    # gRPC has no timeout of a channel: each call has a deadline, and these see to it.
    ("mesh/renewing.py", "grpc.aio.insecure_channel"),
    ("mesh/renewing.py", "grpc.aio.secure_channel"),
    ("mesh/renewing.py", "grpc.insecure_channel"),
    ("mesh/renewing.py", "grpc.secure_channel"),
    # These call what is not of the mesh, with a timeout at each call.
    ("services/generation/providers/gemini_grpc.py", "grpc.aio.insecure_channel"),
    ("services/generation/providers/gemini_grpc.py", "grpc.aio.secure_channel"),
    ("mesh/telemetry/spans/send.py", "grpc.insecure_channel"),
    ("mesh/telemetry/spans/send.py", "grpc.secure_channel"),
    ("stack/probes.py", "grpc.aio.insecure_channel"),
    ("stack/probes.py", "grpc.aio.secure_channel"),
    # Its time-outs come from `_patience`.
    ("stack/doctor/stores.py", "redis.Redis.from_url"),
    # It takes none; its sessions are given one as soon as it is there.
    ("services/search/stores/chroma.py", "chromadb.HttpClient"),
    # Under `asyncio.timeout`, which it shares with the connection's use.
    ("stack/probes.py", "asyncio.open_connection"),
    # Under `asyncio.timeout`, with all else that connecting takes.
    ("services/generation/providers/http.py", "loop.create_connection"),
    # They listen, or only look whether a port is free.
    ("gateway/server.py", "socket.socket"),
    # A socket that was handed on; its other side ends with the stack.
    ("stack/nursery.py", "socket.socket"),
    ("stack/ports.py", "socket.socket"),
}
"""The places that may open something without a ``timeout`` argument, each with how it is bounded."""

OPENERS = {
    "AsyncClient",
    "BlockingConnectionPool",
    "Client",
    "ConnectionPool",
    "HTTPConnection",
    "HTTPSConnection",
    "HttpClient",
    "Redis",
    "Valkey",
    "connect",
    "create_connection",
    "create_pool",
    "create_unix_connection",
    "from_url",
    "insecure_channel",
    "open_connection",
    "open_unix_connection",
    "secure_channel",
    "socket",
    "urlopen",
}
MODULES = {
    "aiohttp",
    "asyncio",
    "asyncpg",
    "chromadb",
    "genai",
    "grpc",
    "http",
    "httpx",
    "redis",
    "requests",
    "socket",
    "urllib",
}
TIMEOUTS = {"timeout", "socket_timeout", "command_timeout", "http_options"}


class Opening(NamedTuple):
    file: str
    line: int
    what: str
    bounded: bool


def openings(source: str, file: str) -> Iterator[Opening]:
    """The calls that open a connection, under whichever name their function was imported."""
    tree = ast.parse(source)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        elif isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (dotted := _dotted(node.func)):
            head, _, rest = dotted.partition(".")
            full = ".".join(filter(None, (names.get(head, head), rest)))
            parts = full.split(".")
            last = parts[-1]
            loops = last in {"create_connection", "create_unix_connection"}
            pools = last == "from_url"
            if last in OPENERS and (loops or pools or MODULES & set(parts[:-1])):
                bounded = any(keyword.arg in TIMEOUTS for keyword in node.keywords)
                yield Opening(file, node.lineno, full, bounded)


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return f"?.{'.'.join(reversed(parts))}" if parts else ""
    return ".".join((node.id, *reversed(parts)))


def all_openings() -> list[Opening]:
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [found for path in files for found in openings(path.read_text(), str(path.relative_to(ROOT)))]


def test_nothing_is_opened_without_a_timeout() -> None:
    found = all_openings()
    wrong = [opening for opening in found if not opening.bounded and (opening.file, opening.what) not in BUILDERS]
    assert wrong == []
    assert {(opening.file, opening.what) for opening in found} >= BUILDERS  # the list has nothing that is gone


@pytest.mark.parametrize(
    "source",
    [
        "import grpc\ngrpc.aio.insecure_channel('a')",
        "from grpc.aio import secure_channel as dial\ndial('a')",
        "import httpx\nhttpx.AsyncClient()",
        "from httpx import Client\nClient()",
        "import redis.asyncio\nredis.asyncio.Redis()",
        "from redis.asyncio import Redis\nRedis.from_url('redis://x')",
        "import asyncpg\nasyncpg.connect('x')",
        "from asyncpg import create_pool\ncreate_pool('x')",
        "import asyncio\nasyncio.open_connection('x', 1)",
        "asyncio.get_running_loop().create_connection(str)",
        "import socket as s\ns.create_connection(('x', 1))",
        "from urllib.request import urlopen\nurlopen('http://x')",
    ],
)
def test_the_search_sees_what_has_no_timeout(source: str) -> None:
    [found] = openings(source, "x.py")
    assert not found.bounded
