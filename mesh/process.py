"""How a process starts and stops."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop
from pydantic import ValidationError

from mesh import memory
from mesh.config import MeshSettings
from mesh.telemetry import logs
from mesh.telemetry.metrics import BUILD
from mesh.telemetry.spans import tracing
from mesh.version import VERSION


def run(main: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
    """Runs a process to its end with JSON logs on a uvloop event loop.

    Exits with one sentence: with 2 when a setting is wrong, which no restart mends, with 1 when the system refuses
    something (a port is taken, a file cannot be read).

    Args:
        main: composes the process and waits for `until_signal`.
        name: the process's name in logs.
    """
    with ending_in_words(name), tracing(name):
        uvloop.run(main())


@contextmanager
def ending_in_words(name: str) -> Iterator[None]:
    """Sets up the logs of a process, and ends it as `run` does; for one whose main thread is no event loop's."""
    try:
        settings = MeshSettings()
        logs.configure(name, settings.log_level, texts=settings.log_texts)
        BUILD.labels(name, VERSION).set(1)
        yield
    except ValidationError as error:
        problems = "; ".join(f"GAJI_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        print(f"gaji {name}: bad settings: {problems}", file=sys.stderr)  # noqa: T201 - there are no logs yet
        sys.exit(2)
    except (OSError, ValueError) as error:
        logs.get_logger(__name__).exception("cannot start")
        print(f"gaji {name}: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it by hand
        sys.exit(1 if isinstance(error, OSError) else 2)


_YOUNG_OBJECTS = 20_000


async def until_signal() -> signal.Signals:
    """Returns at SIGTERM or SIGINT. Called when the process is ready, it also settles its memory."""
    # What is here by now lives as long as the process: not to be looked through again. And a request makes hundreds of
    # objects that die with it; the default of 700 new ones has the collector run several times for each.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    memory.give_back()
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(signum: signal.Signals) -> None:
        if not received.done():
            received.set_result(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop, signum)
    try:
        return await received
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)


async def settle(awaitable: Awaitable[Any], seconds: float) -> None:
    """Waits for something that must be done even though the caller has gone, but no longer than so many seconds.

    Raises:
        TimeoutError: it took longer and was cancelled.
        asyncio.CancelledError: after it has ended, when the waiter was cancelled meanwhile.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(awaitable)
    until = loop.time() + seconds
    try:
        await asyncio.wait_for(asyncio.shield(task), seconds)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=max(0.0, until - loop.time()))
        if task.done() and not task.cancelled():
            task.exception()  # the waiter is gone; asyncio would complain that nobody looked
        raise
    finally:
        if not task.done():
            task.cancel()


async def ended(*tasks: "asyncio.Task[Any]", again: float = 6.0) -> None:
    """Cancels tasks and waits until all of them have ended.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, which libraries use, loses a cancellation that comes in
    the moment in which it ends (https://github.com/python/cpython/issues/86296).

    Args:
        tasks: what shall end.
        again: seconds after which those that still run are cancelled once more; longer than their cleaning up takes.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again)
