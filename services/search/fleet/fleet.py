"""The workers as search sees them: batches go out, readings come back, and silence has an end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.search.config import SearchSettings
from services.search.fleet.dispatch import Dispatch, open_dispatch
from services.search.fleet.mailbox import Mailbox, MailboxError, open_mailbox, replies_of
from services.search.fleet.presence import Presence
from services.search.fleet.versions import queue_of, versions_here
from services.search.fleet.wire import Batch, Kind, Reply, packed_batch, reading_of, reply_of
from services.search.metrics import FLEET_BATCHES
from services.search.ports import Reading

ATTEMPTS = 2
MOST_QUEUED = 1_024
"""Batches of a queue, of all searches; with more before it, one is read at home."""
QUEUE_SECONDS = 120.0
"""How long a batch waits for its turn while workers are busy with others."""
_CONNECTIONS = 8
_PAUSE_SECONDS = 0.5
_CLOSE_SECONDS = 5.0

log = get_logger(__name__)


@dataclass(slots=True)
class _Sent:
    """A batch that is out."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    reply: "asyncio.Future[Reply]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Fleet:
    """Has passages read by workers.

    Args:
        mailbox: where batches and replies lie.
        dispatch: puts batches into queues.
        versions: of the models that this search has itself, by name; others are not asked for.
        wait: after so many seconds without a worker that begins, one must have begun with another batch lately.
        deadline: what a worker may take for a batch, in seconds.
    """

    def __init__(
        self, mailbox: Mailbox, dispatch: Dispatch, versions: Mapping[str, str], wait: float, deadline: float
    ) -> None:
        self._mailbox = mailbox
        self._dispatch = dispatch
        self._versions = versions
        self._wait = wait
        self._deadline = deadline
        self._replies = replies_of(uuid.uuid4().hex)
        self._presences = {model: Presence() for model in versions}
        self._sent: dict[str, _Sent] = {}
        self._some_sent = asyncio.Event()
        self._dropping: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None

    def serves(self, model: str) -> bool:
        """Whether workers may have the model."""
        return model in self._versions

    async def read(self, model: str, texts: Sequence[str], dimension: int) -> Reading | None:
        """A batch as a worker reads it; who leaves takes the batch away from the workers.

        Args:
            model: one that is served.
            texts: the passages, one or more.
            dimension: numbers in a vector of the model.

        Returns:
            None: no worker has read it, within bounds: it is to be read here.
        """
        presence = self._presences[model]
        for _ in range(ATTEMPTS):
            if not presence.ask():
                break
            try:
                outcome, reading = await self._asked(model, texts, dimension)
            except BaseException:
                presence.left()
                raise
            FLEET_BATCHES.labels(model, outcome).inc()
            if presence.heard(answered=outcome != "unanswered"):
                self._tell(model, here=outcome != "unanswered")
            if reading is not None:
                return reading
            if outcome in {"unanswered", "busy"}:
                break
        FLEET_BATCHES.labels(model, "read here").inc()
        return None

    def listen(self) -> None:
        """Begins to take replies."""
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Takes back what is out and takes no more replies."""
        if self._dropping:
            await asyncio.wait(self._dropping, timeout=_CLOSE_SECONDS)
        await ended(*self._dropping, *([self._listening] if self._listening else []))

    async def _asked(self, model: str, texts: Sequence[str], dimension: int) -> tuple[str, Reading | None]:
        """What became of a batch, in a word for the metric, and its reading if a worker has read it."""
        queue, batch = queue_of(model, self._versions[model]), uuid.uuid4().hex
        sent = self._sent[batch] = _Sent()
        self._some_sent.set()
        try:
            if await self._mailbox.queued(queue) >= MOST_QUEUED:
                return "busy", None
            await self._mailbox.put(batch, packed_batch(Batch(self._replies, texts)))
            await self._dispatch.send(batch, model, self._versions[model])
            if trouble := await self._not_begun(queue, sent):
                return trouble, None
            async with asyncio.timeout(self._deadline):
                reply = await sent.reply
        except MailboxError as error:
            log.warning("a batch could not be sent", extra={"queue": queue, "error": str(error)})
            return "unanswered", None
        except TimeoutError:
            log.warning("a batch was lost", extra={"queue": queue, "seconds": self._deadline})
            return "lost", None
        finally:
            del self._sent[batch]
            self._drop(batch)
        return self._understood(queue, reply, len(texts), dimension)

    async def _not_begun(self, queue: str, sent: _Sent) -> str:
        """Waits until a worker begins; else what is the matter."""
        clock = asyncio.get_running_loop().time
        until = clock() + QUEUE_SECONDS
        while True:
            try:
                async with asyncio.timeout(self._wait):
                    await sent.begun.wait()
                    return ""
            except TimeoutError:
                if not await self._mailbox.alive(queue):
                    return "unanswered"
                if clock() >= until:
                    return "busy"

    def _understood(self, queue: str, reply: Reply, texts: int, dimension: int) -> tuple[str, Reading | None]:
        outcome, why = reply.kind.name.lower(), reply.body[:500].decode(errors="replace")
        if reply.kind is Kind.READ:
            try:
                return outcome, reading_of(reply.body, texts, dimension)
            except ValueError as error:
                outcome, why = "failed", str(error)
        log.warning("a worker did not read a batch", extra={"queue": queue, "outcome": outcome, "error": why})
        return outcome, None

    async def _listen(self) -> None:
        """Takes replies while a batch is out, for ever."""
        while True:
            await self._some_sent.wait()
            while self._sent:
                try:
                    data = await self._mailbox.next_reply(self._replies)
                    if data is not None:
                        self._told(reply_of(data))
                except MailboxError:  # who waits finds out by itself
                    await asyncio.sleep(_PAUSE_SECONDS)
                except ValueError as error:
                    log.warning("what a worker said was not understood", extra={"error": str(error)})
                except Exception:  # without a listener every batch would count as unanswered, and nobody would know why
                    log.exception("replies of workers could not be taken")
                    await asyncio.sleep(_PAUSE_SECONDS)
            self._some_sent.clear()

    def _told(self, reply: Reply) -> None:
        sent = self._sent.get(reply.batch)
        if sent is None:  # nobody waits any more
            return
        sent.begun.set()
        if reply.kind is not Kind.BEGUN and not sent.reply.done():
            sent.reply.set_result(reply)

    def _drop(self, batch: str) -> None:
        """Takes a batch away without being waited for: who leaves is in a hurry."""

        async def drop() -> None:
            try:
                await self._mailbox.drop(batch)
            except MailboxError as error:  # it ends by itself
                log.info("a batch was left behind", extra={"batch": batch, "error": str(error)})

        task = asyncio.create_task(drop())
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def _tell(self, model: str, *, here: bool) -> None:
        what = {"model": model, "version": self._versions[model]}
        if here:
            log.info("workers read passages again", extra=what)
        else:
            log.warning("no worker answers: passages are read here", extra=what)


@asynccontextmanager
async def open_fleet(settings: SearchSettings) -> AsyncIterator[Fleet]:
    """The workers of this search's own models, for as long as the block lasts. Valkey may be down."""
    versions = await asyncio.to_thread(versions_here)
    queues = [queue_of(model, version) for model, version in versions.items()]
    async with AsyncExitStack() as stack:
        mailbox = await stack.enter_async_context(open_mailbox(settings.redis_url, _CONNECTIONS))
        dispatch = await stack.enter_async_context(open_dispatch(settings, queues))
        fleet = Fleet(mailbox, dispatch, versions, settings.embedding_wait, settings.embedding_deadline)
        fleet.listen()
        stack.push_async_callback(fleet.close)
        yield fleet
