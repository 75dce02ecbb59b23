"""News of ingestions through LISTEN and NOTIFY: one connection a process, fanned out to its listeners."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from mesh.errors import Unavailable
from mesh.telemetry.logs import get_logger
from services.library.models import IngestionState, IngestionStatus, Progress
from services.library.stores.address import tls

log = get_logger(__name__)

NOVEL_CHANNEL = "gaji_novel"
QUEUE_CHANNEL = "gaji_ingestion_queue"

_QUEUE = ""
_CHECK_SECONDS = 30.0
_CONNECT_SECONDS = 10.0


@asynccontextmanager
async def open_notifications(database_url: str) -> AsyncIterator["PostgresNotifications"]:
    """Listens until the block is left; a lost connection is made anew, and all listeners are told to look."""
    notifications = PostgresNotifications(database_url)
    task = asyncio.create_task(notifications.listen(), name="notifications")
    try:
        yield notifications
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class PostgresNotifications:
    """The port `Notifications`."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._listeners: defaultdict[str, set[Inbox]] = defaultdict(set)

    @asynccontextmanager
    async def of_novel(self, novel_id: UUID) -> AsyncIterator["Inbox"]:
        """News of one novel."""
        with self._joined(str(novel_id)) as inbox:
            yield inbox

    @asynccontextmanager
    async def of_queue(self) -> AsyncIterator["Inbox"]:
        """News that there is work."""
        with self._joined(_QUEUE) as inbox:
            yield inbox

    @contextmanager
    def _joined(self, topic: str) -> Iterator["Inbox"]:
        inbox = Inbox()
        self._listeners[topic].add(inbox)
        try:
            yield inbox
        finally:
            self._listeners[topic].discard(inbox)
            if not self._listeners[topic]:
                del self._listeners[topic]

    def end_watches(self) -> None:
        """Lets the watchers of novels go: they know no end, and a server that stops would wait for them."""
        for topic, inboxes in self._listeners.items():
            for inbox in inboxes if topic != _QUEUE else ():
                inbox.end()

    async def listen(self) -> None:
        """Runs until cancelled."""
        delay = 0.1
        while True:
            try:
                await self._listen_once()
                delay = 0.1
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("notifications are interrupted", extra={"error": repr(error), "retry_in": delay})
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(delay * 2, 5.0)

    async def _listen_once(self) -> None:
        closed = asyncio.Event()
        connection = await asyncpg.connect(
            self._database_url,
            ssl=tls(self._database_url),
            timeout=_CONNECT_SECONDS,
            command_timeout=_CONNECT_SECONDS,
            server_settings={"application_name": "gaji-library-listener"},
        )
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(NOVEL_CHANNEL, self._on_novel)
            await connection.add_listener(QUEUE_CHANNEL, self._on_queue)
            self._tell_all()  # what was told before this moment is lost
            while not closed.is_set():
                try:
                    await asyncio.wait_for(closed.wait(), _CHECK_SECONDS)
                except TimeoutError:
                    await connection.execute("SELECT 1")  # a peer that vanished is found out only by asking
        finally:
            connection.terminate()

    def _on_novel(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        try:
            novel_id, state = _read(str(payload))
        except (ValueError, TypeError) as error:
            log.warning("a notification is none of ours", extra={"error": repr(error)})
            return
        for inbox in self._listeners.get(str(novel_id), ()):
            inbox.put(state)

    def _on_queue(self, *_: object) -> None:
        for inbox in self._listeners.get(_QUEUE, ()):
            inbox.put(None)

    def _tell_all(self) -> None:
        for inboxes in self._listeners.values():
            for inbox in inboxes:
                inbox.put(None)


class Inbox:
    """The port `News`: keeps the latest state only, so a slow reader skips what is out of date."""

    def __init__(self) -> None:
        self._filled = asyncio.Event()
        self._state: IngestionState | None = None
        self._ended = False

    def end(self) -> None:
        """Lets the listener go."""
        self._ended = True
        self._filled.set()

    def put(self, state: IngestionState | None) -> None:
        """Tells a state; None: look for yourself."""
        self._state = state
        self._filled.set()

    async def wait(self, seconds: float) -> IngestionState | None:
        """The latest state that was told, at once or when it comes; None: look for yourself.

        Raises:
            Unavailable: this replica stops.
        """
        try:
            await asyncio.wait_for(self._filled.wait(), seconds)
        except TimeoutError:
            return None
        if self._ended:
            raise Unavailable("this replica stops; watch another", reason="REPLICA_STOPS", retry_after=0.0)
        self._filled.clear()
        return self._state


def news(novel_id: UUID, state: IngestionState) -> str:
    """The payload that tells a state; PostgreSQL allows 8,000 bytes, so the words for people are cut."""
    progress = state.progress
    told = [state.status, progress.percent, progress.stage[:100], progress.message[:1000]]
    return f"{novel_id} {orjson.dumps(told).decode()}"


def _read(payload: str) -> tuple[UUID, IngestionState | None]:
    novel_id, _, state = payload.partition(" ")
    if not state:
        return UUID(novel_id), None
    status, percent, stage, message = orjson.loads(state)
    return UUID(novel_id), IngestionState(IngestionStatus(status), Progress(percent, stage, message))
