"""``gaji breaker``: the circuit breakers of every process of a stack, over their admin ports."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stack.answers import Json
from stack.errors import StackError

_SECONDS = 3.0
_STATES: Mapping[str, str] = {
    "open": "BREAKER_STATE_FORCED_OPEN",
    "close": "BREAKER_STATE_CLOSED",
    "disable": "BREAKER_STATE_DISABLED",
    "metrics-only": "BREAKER_STATE_METRICS_ONLY",
    "reset": "BREAKER_STATE_UNSPECIFIED",
}
_STYLES = {"closed": "green", "open": "red", "forced_open": "red", "half_open": "yellow"}

_WIDTH = 120
"""Columns that the table needs: a name that is cut short cannot be typed."""


@dataclass(frozen=True, slots=True)
class _Process:
    """One that has breakers, or may have."""

    name: str
    admin: str


def breaker(action: str, state: Json | None, *, service: str, peer: str, group: str) -> None:
    """Shows breakers, or sets them and shows those.

    Args:
        action: ``list`` or what to set them to.
        state: of the stack on this machine.
        service: whose processes; empty: all.
        peer: before which peer; empty: all.
        group: of which methods; empty: all.

    Raises:
        StackError: no stack runs here, a process does not answer, or nothing is of these names.
    """
    if state is None:
        raise StackError("no stack runs on this data folder", "start one with gaji up, or name it with --data-dir")
    processes = _processes(state, service)
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    answers = asyncio.run(_asked(processes, action, peer, group))
    table = Table(box=SIMPLE_HEAD)
    for column in ("service", "peer", "group", "state", "calls", "failed", "slow", "refused", "open for"):
        table.add_column(column, justify="right" if column in {"calls", "failed", "slow", "refused"} else "left")
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    for process, found in zip(processes, answers, strict=True):
        for one in found if isinstance(found, list) else ():
            table.add_row(process.name, *_row(one))
    if table.row_count:
        console.print(table)
    if failures:  # those that do answer were told of, or set, all the same
        raise failures[0]
    if not table.row_count:
        wanted = " ".join(filter(None, (peer, group)))
        if action == "list" and not wanted:
            console.print("no process has circuit breakers yet")
            return
        raise StackError(f"there is no breaker for {wanted or 'any peer'}", "gaji breaker list shows those there are")


def _processes(state: Json, service: str) -> list[_Process]:
    services = state["services"]
    if service and service not in services:
        raise StackError(f"no service {service} runs", f"those that do: {', '.join(services)}")
    return [
        _Process(name if index == 0 else f"{name}-{index + 1}", str(entry["admin"]))
        for name, replicas in services.items()
        for index, entry in enumerate(replicas)
        if "admin" in entry and service in {"", name}
    ]


async def _asked(processes: Sequence[_Process], action: str, peer: str, group: str) -> list[list[Json] | BaseException]:
    async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as http:
        asking = (_breakers(http, process, action, peer, group) for process in processes)
        return await asyncio.gather(*asking, return_exceptions=True)


async def _breakers(http: httpx.AsyncClient, process: _Process, action: str, peer: str, group: str) -> list[Json]:
    url = f"http://{process.admin}/breakers"
    names = {"peer": peer, "group": group}
    try:
        if action == "list":
            response = await http.get(url, params={**names, "page_size": 100})
        else:
            response = await http.post(url, json={**names, "state": _STATES[action]})
    except httpx.HTTPError as error:
        raise StackError(f"{process.name} does not answer at {process.admin} ({error})", "see gaji status") from None
    if response.status_code == httpx.codes.NOT_FOUND:  # none of these names; or a worker, which has none at all
        return []
    if response.status_code != httpx.codes.OK:
        raise StackError(f"{process.name} refuses: {response.text}", "")
    return list(response.json()["breakers"])


def _row(one: Json) -> tuple[str | Text, ...]:
    state = str(one["state"]).removeprefix("BREAKER_STATE_").lower()
    left = f"{float(one['retry_delay'].removesuffix('s')):.0f} s" if "retry_delay" in one else ""
    return (
        str(one["peer"]),
        str(one["group"]),
        Text(state.replace("_", " "), _STYLES.get(state, "")),
        str(one["calls"]),
        _share(one, "failed_calls", "failure_rate"),
        _share(one, "slow_calls", "slow_rate"),
        str(one["rejected_calls"]),
        left,
    )


def _share(one: Json, count: str, rate: str) -> str:
    return f"{one[count]} ({one[rate]:.0f} %)" if rate in one else str(one[count])
