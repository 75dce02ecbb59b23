"""``gaji status``: what runs, how it is, what the caches save."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stack.answers import Json
from stack.api import Gateway
from stack.embedded import postgres, valkey
from stack.probes import grpc_health, http_status
from stack.tools import version_of

_OK = {"SERVING", "ready", "running"}
_SERVERS: Mapping[str, tuple[str, Callable[[], Path]]] = {
    "postgres": ("PostgreSQL", lambda: postgres.binaries() / "postgres"),
    "valkey": ("Valkey", valkey.binary),
}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def status(url: str, state: Json | None) -> bool:
    """Shows a stack on this machine, or what a gateway elsewhere tells of its peers.

    Args:
        url: of the gateway.
        state: of the stack on this machine; None: only the gateway is asked.

    Returns:
        Whether all is well.

    Raises:
        StackError: the gateway does not answer.
    """
    console = Console(highlight=False)
    if state is not None:
        return asyncio.run(_local(console, url, state))
    with Gateway(url) as gateway:
        answer = gateway.readiness()
    table = Table("service", "health", box=SIMPLE_HEAD)
    for name, health in {"gateway": answer["status"], **answer["services"]}.items():
        table.add_row(name, _coloured(str(health)))
    console.print(Text(url, "bold"), soft_wrap=True)
    console.print(table)
    return bool(answer["status"] == "ready")


async def _local(console: Console, url: str, state: Json) -> bool:
    entries = [(name, entry) for name, replicas in state["services"].items() for entry in replicas]
    async with httpx.AsyncClient(timeout=3.0, trust_env=False) as http:
        healths, metrics = await asyncio.gather(
            asyncio.gather(*(_health(name, entry) for name, entry in entries)),
            asyncio.gather(*(_metrics(http, entry) for _, entry in entries)),
        )
    table = Table(box=SIMPLE_HEAD)
    for column in ("service", "health", "address", "admin", "pid", "up", "memory"):
        table.add_column(column, overflow="fold")
    for (name, entry), health, families in zip(entries, healths, metrics, strict=True):
        address = str(entry.get("url") or entry.get("grpc") or "").rpartition("://")[2].partition("/")[0]
        table.add_row(
            name,
            _coloured(health),
            address,
            str(entry.get("admin", "")).rpartition(":")[2],
            str(entry["pid"]),
            *_vitals(families),
        )
    console.print(Text.assemble((url, "bold"), f"  {_versions(state['services'])}"), soft_wrap=True)
    console.print(table)
    rates = _hit_rates([family for families in metrics for family in families])
    if rates:
        table = Table("cache", "lookups", "hits", "hit rate", box=SIMPLE_HEAD)
        for kind, (hits, lookups) in sorted(rates.items()):
            table.add_row(kind, f"{lookups:,.0f}", f"{hits:,.0f}", f"{hits / lookups:.0%}" if lookups else "-")
        console.print(table)
    return all(health in _OK for health in healths)


async def _health(name: str, entry: Json) -> str:
    if "grpc" in entry:
        return await grpc_health(str(entry["grpc"]), name, Path(entry["certs"]) if "certs" in entry else None)
    url = str(entry.get("url", ""))
    if url.startswith("http://"):
        code = await http_status(url.removeprefix("http://"), "/ready")
        return {200: "ready", None: "UNREACHABLE"}.get(code, "not ready")
    if "admin" in entry:  # a worker, which nobody calls
        return {200: "running", None: "UNREACHABLE"}.get(await http_status(str(entry["admin"]), "/health"), "not ready")
    return "running"


async def _metrics(http: httpx.AsyncClient, entry: Json) -> list[Metric]:
    if "admin" not in entry:
        return []
    try:
        response = await http.get(f"http://{entry['admin']}/metrics")
        return list(text_string_to_metric_families(response.text))
    except (httpx.HTTPError, ValueError):
        return []


def _vitals(families: Iterable[Metric]) -> tuple[str, str]:
    values = {sample.name: sample.value for family in families for sample in family.samples}
    started, memory = values.get("process_start_time_seconds"), values.get("process_resident_memory_bytes")
    return _lasted(time.time() - started) if started else "", f"{memory / 1024**2:,.0f} MiB" if memory else ""


def _lasted(seconds: float) -> str:
    """In the largest unit that is at least twice in it, e.g. ``81 s`` or ``110 min``."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 2 * size), ("s", 1))
    return f"{seconds / size:.0f} {unit}"


def _hit_rates(families: Iterable[Metric]) -> dict[str, tuple[float, float]]:
    """Hits and lookups by kind."""
    counts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for family in families:
        for sample in family.samples:
            if sample.name == "gaji_cache_lookups_total":
                count = counts[sample.labels["kind"]]
                count[0] += sample.value if sample.labels["result"] in {"hit", "stale", "absent"} else 0.0
                count[1] += sample.value
    return {kind: (hits, lookups) for kind, (hits, lookups) in counts.items()}


def _versions(services: Iterable[str]) -> str:
    try:
        gaji = version("gaji")
    except PackageNotFoundError:
        gaji = "(not installed)"
    servers = [f"{label} {version_of(program())}" for name, (label, program) in _SERVERS.items() if name in services]
    return ", ".join([f"Gaji {gaji}", *servers])


def _coloured(health: Any) -> Text:
    return Text(str(health), "green" if health in _OK else "red")
