"""Keeps children alive: started in order of need, restarted when they die, stopped in reverse order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stack.processes import Process, Program, StartFailedError

_BAD_SETTINGS = 2
_LEAST_SECONDS = 0.6  # what is left for each service, however stubborn those before it were


@dataclass(frozen=True, slots=True)
class Child:
    """A program that shall run.

    Attributes:
        service: what it is a replica of.
        program: how to run it, always the same, so that it comes back on the same ports.
        needs: services of which all replicas must be ready first; named earlier in the list of children.
        facts: what others may want to know of it, e.g. its addresses.
        awaited: whether the start is over only when it is ready, and has failed when it can't be started. One that is
            not awaited is tried again and again, and comes after those that are in the list of children.
    """

    service: str
    program: Program
    needs: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    awaited: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """When to restart and how long to wait.

    Attributes:
        first_pause: seconds before the first restart; doubled each time.
        longest_pause: seconds at most.
        steady_seconds: a child that ran so long begins again with the first pause.
        first_tries: how often a child that was never ready is tried; once if it says by its exit code, 2, that its
            settings are at fault.
        stop_seconds: the time for everything to stop by itself.
        child_stop_seconds: of it, what one service may take.
    """

    first_pause: float = 0.2
    longest_pause: float = 10.0
    steady_seconds: float = 30.0
    first_tries: int = 4
    stop_seconds: float = 8.5
    child_stop_seconds: float = 2.5


class Reporter(Protocol):
    """Is told what happens."""

    def started(self, child: Child) -> None:
        """A child has a process."""

    def ready(self, child: Child, seconds: float) -> None:
        """A child does its work, so many seconds after its start."""

    def died(self, child: Child, why: str, lines: Sequence[str], pause: float) -> None:
        """A child ended unasked; it is started again after the pause."""


class Supervisor:
    """Runs children until it is stopped.

    Args:
        children: in order of need; stopped in reverse.
        reporter: is told what happens.
        changed: called whenever a process takes another's place.
        policy: when to restart and how long to wait.
    """

    def __init__(
        self,
        children: Sequence[Child],
        reporter: Reporter,
        changed: Callable[[], None] = lambda: None,
        policy: Policy | None = None,
    ) -> None:
        self._policy = policy or Policy()
        self._keepers = [_Keeper(child, reporter, changed, self._policy) for child in children]
        self._tasks: list[asyncio.Task[None]] = []
        self._hurried = False

    async def start(self) -> None:
        """Starts everything; returns when all that is awaited is ready.

        Raises:
            StartFailedError: a child could not be started; the others are left to `stop`.
        """
        for keeper in self._keepers:
            before = [other.ready for other in self._keepers if other.child.service in keeper.child.needs]
            self._tasks.append(asyncio.create_task(keeper.run(before), name=f"keeps {keeper.child.program.name}"))
        all_ready = asyncio.create_task(self._all_ready())
        try:
            await asyncio.wait([all_ready, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    task.result()
        finally:
            all_ready.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await all_ready

    async def stop(self) -> None:
        """Stops everything in reverse order, within the policy's time; replicas of a service, or workers, together."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        end = time.monotonic() + self._policy.stop_seconds
        groups = list(self._groups())[::-1]
        for left, group in zip(range(len(groups) - 1, -1, -1), groups, strict=True):
            spare = end - time.monotonic() - left * _LEAST_SECONDS
            seconds = 0.0 if self._hurried else max(_LEAST_SECONDS, min(self._policy.child_stop_seconds, spare))
            await asyncio.gather(*(process.stop(seconds) for process in group))

    def hurry(self) -> None:
        """Makes a stop not wait any longer."""
        self._hurried = True
        for group in self._groups():
            for process in group:
                process.signal(signal.SIGKILL)

    def running(self) -> Iterator[tuple[Child, int]]:
        """Each child that has a process, with its pid."""
        for keeper in self._keepers:
            if keeper.process is not None:
                yield keeper.child, keeper.process.pid

    async def _all_ready(self) -> None:
        for keeper in self._keepers:
            if keeper.child.awaited:
                await keeper.ready.wait()

    def _groups(self) -> Iterator[list[Process]]:
        """The processes of each service; those that nobody awaited are one group, since they serve nobody."""
        groups: dict[str, list[Process]] = {}
        for keeper in self._keepers:
            if keeper.process is not None:
                groups.setdefault(keeper.child.service if keeper.child.awaited else "", []).append(keeper.process)
        yield from groups.values()


class _Keeper:
    """Keeps one child alive."""

    def __init__(self, child: Child, reporter: Reporter, changed: Callable[[], None], policy: Policy) -> None:
        self.child = child
        self.process: Process | None = None
        self.ready = asyncio.Event()
        self._reporter = reporter
        self._changed = changed
        self._policy = policy

    async def run(self, before: Sequence[asyncio.Event]) -> None:
        for event in before:
            await event.wait()
        pause = self._policy.first_pause
        tries = 0
        while True:
            tries += 1
            began = time.monotonic()
            try:
                why = await self._live()
            except StartFailedError as error:
                hopeless = tries >= self._policy.first_tries or error.returncode == _BAD_SETTINGS
                if hopeless and self._is_missed():
                    raise
                why = error.message
            except OSError as error:  # the system is short of processes, files or disk
                if tries >= self._policy.first_tries and self._is_missed():
                    what = f"{self.child.program.name} cannot be started: {error}"
                    raise StartFailedError(what, "free what the system is short of", None) from error
                why = f"{self.child.program.name} cannot be started: {error}"
            if time.monotonic() - began >= self._policy.steady_seconds:
                pause = self._policy.first_pause
            self._reporter.died(self.child, why, self.child.program.log.tail(), pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._policy.longest_pause)

    def _is_missed(self) -> bool:
        """Whether the start still waits for it."""
        return self.child.awaited and not self.ready.is_set()

    async def _live(self) -> str:
        """One life of the child; returns how it ended."""
        process = self.process = await Process.start(self.child.program)
        self._reporter.started(self.child)
        self._changed()
        try:
            seconds = await process.wait_ready()
        except StartFailedError:
            await process.stop()
            raise
        self.ready.set()
        self._reporter.ready(self.child, seconds)
        code = await process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"{self.child.program.name} {how}"
