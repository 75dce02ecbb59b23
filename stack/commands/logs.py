"""``gaji logs``: how much the processes of a stack write into their logs, over their admin ports."""

import asyncio
from collections.abc import Iterable, Sequence

import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stack.answers import Json
from stack.errors import StackError

_SECONDS = 3.0
_PREFIX = "LOG_LEVEL_"
USUAL = "usual"


def logs(state: Json | None, *, level: str, logger: str, service: str, seconds: int) -> None:
    """Shows the levels, or sets one and shows them.

    Args:
        state: of the stack on this machine.
        level: what to set, in capitals; ``USUAL``: what the settings say; empty: nothing.
        logger: of which logger; empty: of all of Gaji's.
        service: of whose processes; empty: of all.
        seconds: for how long.

    Raises:
        StackError: no stack runs here, no process has such a name or logger, or one does not answer.
    """
    if state is None:
        raise StackError("no stack runs on this data folder", "start one with gaji up, or name it with --data-dir")
    services = state["services"]
    if service and service not in services:
        raise StackError(f"no service {service} runs", f"those that do: {', '.join(services)}")
    processes = [
        (name if index == 0 else f"{name}-{index + 1}", str(entry["admin"]))
        for name, replicas in services.items()
        for index, entry in enumerate(replicas)
        if "admin" in entry and service in {"", name}
    ]
    body: Json = {}
    if level:
        wanted = "UNSPECIFIED" if level == USUAL else level
        body = {"logger": logger, "level": _PREFIX + wanted, "duration": f"{seconds}s"}
    answers = asyncio.run(_asked(processes, body))
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    found = [(name, answer) for (name, _), answer in zip(processes, answers, strict=True) if isinstance(answer, dict)]
    if found:
        Console(highlight=False).print(_table(found))
    # A logger is there in the processes that use its module: somewhere is enough.
    serious = [failure for failure in failures if not (isinstance(failure, _NoSuchLoggerError) and found)]
    if serious:
        raise serious[0]


class _NoSuchLoggerError(StackError):
    pass


async def _asked(processes: Sequence[tuple[str, str]], body: Json) -> list[Json | BaseException]:
    async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as http:
        asking = (_levels(http, name, admin, body) for name, admin in processes)
        return await asyncio.gather(*asking, return_exceptions=True)


async def _levels(http: httpx.AsyncClient, name: str, admin: str, body: Json) -> Json:
    url = f"http://{admin}/logs"
    try:
        answer = await http.post(url, json=body) if body else None
        if answer is None or answer.status_code == httpx.codes.OK:
            answer = await http.get(url)
    except httpx.HTTPError as error:
        raise StackError(f"{name} does not answer at {admin} ({error})", "see gaji status") from None
    if answer.status_code != httpx.codes.OK:
        told = answer.json()
        kind = _NoSuchLoggerError if list(told["fields"]) == ["logger"] else StackError
        raise kind(f"{name} refuses: {told['message']}", "")
    levels: Json = answer.json()
    return levels


def _table(found: Iterable[tuple[str, Json]]) -> Table:
    table = Table("service", "level", "logger", "set to", "for", box=SIMPLE_HEAD)
    for name, levels in found:
        usual = _short(levels["level"])
        for one in levels["overrides"] or [None]:
            if one is None:
                table.add_row(name, usual, "", "", "")
            else:
                left = float(str(one["remaining"]).removesuffix("s"))
                table.add_row(name, usual, one["logger"] or "all", _short(one["level"]), f"{left:.0f} s")
    return table


def _short(level: str) -> str:
    return level.removeprefix(_PREFIX)
