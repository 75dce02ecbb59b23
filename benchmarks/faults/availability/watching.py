"""What processes say of themselves meanwhile: breakers, streams, errors in their logs."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx
import orjson

from benchmarks.faults.killing import count_of
from benchmarks.faults.running import STORES, Stack

_EVERY_SECONDS = 0.5
_ANSWER_SECONDS = 0.4
_IDLE_SECONDS = 5.0
_STATE = re.compile(r"^gaji_breaker_state\{([^}]*)\} (\S+)", re.MULTILINE)
_REJECTED = re.compile(r"^gaji_breaker_rejected_total\{([^}]*)\} (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_CLOSED = "closed"
_OPEN = "open"
_NOT_CLOSED = ("half_open", "forced_open", _OPEN)
_WATCHED = ("gateway", "library", "search", "generation", "cache", "jobs")
_STREAMS = (("gateway", "gaji_sse_connections"), ("generation", "gaji_generations_active"))
_LINE_BYTES = 200


@dataclass(slots=True)
class Breakers:
    """Breakers of all processes, as read twice a second.

    Attributes:
        told: whether any process has the metric.
        opened: when each was first seen open, by process, peer and group.
        closed: when each was last seen to have become closed again.
        refused: when each was last seen to have refused a call.
        now: states other than closed.
    """

    told: bool = False
    opened: dict[str, float] = field(default_factory=dict)
    closed: dict[str, float] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    now: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, float] = field(default_factory=dict)

    def hear(self, process: str, states: dict[str, str], rejected: dict[str, float], at: float) -> None:
        """Takes what a process said, ``peer/group`` -> state, and -> how many calls were refused since its start."""
        for name, count in rejected.items():
            key = f"{process}->{name}"
            if count > self._counts.get(key, 0.0):
                self.refused[key] = at
            self._counts[key] = count
        for name, state in states.items():
            self.told = True
            key = f"{process}->{name}"
            if state == _CLOSED:
                if self.now.pop(key, None) is not None:
                    self.closed[key] = at
            else:
                self.now[key] = state
                if state == _OPEN:
                    self.opened.setdefault(key, at)

    def forget(self, process: str) -> None:
        """The process is gone: its breakers with it."""
        for found in (self.now, self._counts):
            for key in [key for key in found if key.startswith(f"{process}->")]:
                del found[key]

    def refusing(self, at: float) -> list[str]:
        """Those that are not closed and keep calls from being made.

        A breaker leaves OPEN, and then HALF_OPEN, by calls: one that nobody calls stays, and is in nobody's way.
        """
        return [key for key in self.now if at - self.refused.get(key, self.opened.get(key, at)) < _IDLE_SECONDS]

    def over(self, since: float, at: float) -> float | None:
        """When the last of those that have opened since a time was closed, or refused its last call; None: not yet."""
        if self.refusing(at):
            return None
        ends = [
            self.refused.get(key, opened) if key in self.now else self.closed.get(key, opened)
            for key, opened in self.opened.items()
            if opened >= since
        ]
        return max(ends, default=None)


class Watch:
    """Reads the breakers of a stack until the block is left.

    Args:
        stack: whose.
    """

    def __init__(self, stack: Stack) -> None:
        self.breakers = Breakers()
        self._stack = stack
        self._pids: dict[str, int] = {}
        self._http = httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        await self._look()
        self._looking = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await self._http.aclose()

    async def streams(self) -> int:
        """Streams that are open, and replies that are being written, in all processes."""
        found = 0.0
        for service, metric in _STREAMS:
            for replica in self._stack.replicas(service):
                found += await count_of(self._http, replica, metric)
        return int(found)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._look()

    async def _look(self) -> None:
        async with asyncio.TaskGroup() as group:
            for replica in self._stack.replicas(*_WATCHED):
                if self._pids.setdefault(replica.name, replica.pid) != replica.pid:
                    self._pids[replica.name] = replica.pid
                    self.breakers.forget(replica.name)
                group.create_task(self._ask(replica.name, replica.facts["admin"]))

    async def _ask(self, name: str, admin: str) -> None:
        try:
            text = (await self._http.get(f"http://{admin}/metrics")).text
        except httpx.HTTPError:  # it is dead or frozen
            return
        self.breakers.hear(name, states_in(text), rejected_in(text), time.monotonic())


def states_in(text: str) -> dict[str, str]:
    """Breakers in an exposition of metrics: ``peer/group`` -> the least closed of the states with samples above 0.

    One that lets everything through by its mode (``disabled``, ``metrics_only``) counts as closed.
    """
    found: dict[str, str] = {}
    for labels, value in _STATE.findall(text):
        named = dict(_LABEL.findall(labels))
        if float(value) > 0:
            key = f"{named.get('peer', '')}/{named.get('group', '')}"
            state = named.get("state", "").lower()
            ranked = [found.get(key, _CLOSED), state if state in _NOT_CLOSED else _CLOSED]
            found[key] = max(ranked, key=lambda each: _NOT_CLOSED.index(each) if each in _NOT_CLOSED else -1)
    return found


def rejected_in(text: str) -> dict[str, float]:
    """How many calls breakers have refused, in an exposition of metrics: ``peer/group`` -> calls."""
    found: dict[str, float] = {}
    for labels, value in _REJECTED.findall(text):
        named = dict(_LABEL.findall(labels))
        key = f"{named.get('peer', '')}/{named.get('group', '')}"
        found[key] = found.get(key, 0.0) + float(value)
    return found


class Logs:
    """Errors that processes log from now on.

    Args:
        stack: whose logs.
    """

    def __init__(self, stack: Stack) -> None:
        self._folder = stack.data_dir / "logs"
        self._sizes = {path: path.stat().st_size for path in self._folder.glob("*.log")}

    def errors(self) -> dict[str, int]:
        """How often which process said what at level ERROR, or ended with a traceback; the first lines of each."""
        return dict(Counter(self._found()).most_common(20))

    def _found(self) -> Iterator[str]:
        for path in sorted(self._folder.glob("*.log")):
            if path.stem in STORES:
                continue
            size = path.stat().st_size
            before = self._sizes.get(path, 0)
            with path.open("rb") as file:
                file.seek(before if size >= before else 0)  # smaller: a new file was begun
                for line in file:
                    if said := _error(line):
                        yield f"{path.stem}: {said[:_LINE_BYTES]}"


def _error(line: bytes) -> str:
    try:
        entry = orjson.loads(line)
    except ValueError:
        return line.decode(errors="replace").strip() if b"Error" in line and not line.startswith(b" ") else ""
    if not isinstance(entry, dict) or entry.get("level") not in {"ERROR", "CRITICAL"}:
        return ""
    last = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    return f"{entry.get('message')} {last}".strip()
