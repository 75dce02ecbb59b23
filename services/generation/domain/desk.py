"""Who writes replies at this replica: those that were begun here, and those whose writer has died elsewhere."""

import asyncio
import contextvars
import random
from collections.abc import Coroutine
from functools import partial
from typing import Any
from uuid import UUID

from mesh import deadlines, identity
from mesh.errors import Aborted, MeshError, NotFound, Unavailable
from mesh.identity import Identity
from mesh.process import ended
from mesh.streamlog import FAILED, FencedError, Hub, Mode, Producer
from mesh.telemetry.logs import get_logger
from services.generation import metrics
from services.generation.domain import tracing
from services.generation.domain.events import LOG_ENDS, Event, Failed, Seam, Text, end_of, text_of
from services.generation.domain.passages import Early
from services.generation.domain.writing import Writer
from services.generation.ports import Library, Reply

log = get_logger(__name__)

_PRODUCE_SECONDS = (0.1, 1.0, 30.0)


class Desk:
    """Has replies written, each by a task of the process, and takes over what nobody writes any more.

    Args:
        writer: writes them.
        library: gives them, under the next epoch.
        hub: their logs.
    """

    def __init__(self, writer: Writer, library: Library, hub: Hub[Event]) -> None:
        self._writer = writer
        self._library = library
        self._hub = hub
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._taking: dict[str, asyncio.Task[Reply]] = {}
        self._closed = False
        hub.on_lapsed = self._lapsed

    async def close(self) -> None:
        """Stops all writing here and gives back what was taken; other replicas go on at once."""
        self._closed = True
        await ended(*self._taking.values())
        producers = self._hub.producers()
        await ended(*self._writing.values())
        await self._hub.close(producers)

    async def write(self, reply: Reply, mode: Mode, early: Early | None = None) -> None:
        """Begins to write a reply, in the background, free of the deadline of whoever asked for it.

        Args:
            reply: with lease and context.
            mode: what becomes of what its log holds.
            early: the search for its passages, if it has begun; left when it is written.

        Raises:
            FencedError: a later epoch holds the log.
            Unavailable: Redis does not answer, and the log is not fresh.
        """
        producer = await self._produce(reply, mode)
        before = self._writing.pop(reply.message_id, None)
        if before is not None:
            await ended(before)
        write = partial(self._writer.write, early=early)
        task = self._background(tracing.traced(write, reply, producer), reply.access_token)
        self._writing[reply.message_id] = task
        task.add_done_callback(lambda done: self._written(reply.message_id, done))

    async def _produce(self, reply: Reply, mode: Mode) -> Producer[Event]:
        """Takes the log of a reply whose lease is in hand: nobody else can, so it is worth some patience."""
        delay, most, seconds = _PRODUCE_SECONDS
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            try:
                return await self._hub.produce(UUID(reply.message_id), reply.epoch, mode)
            except Unavailable:
                if loop.time() >= end:
                    raise
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(2 * delay, most)

    def _written(self, message_id: str, task: "asyncio.Task[None]") -> None:
        if self._writing.get(message_id) is task:
            del self._writing[message_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the writing of a reply failed", exc_info=error)

    def _background(self, work: Coroutine[Any, Any, None], access_token: str = "") -> "asyncio.Task[None]":
        """A task with the identity and trace of the call that began it, or a given identity, and no deadline."""
        context = contextvars.copy_context()
        context.run(deadlines.enter, None)
        if access_token:
            delegate = Identity("", guest=False, expires_at=float("inf"), token=access_token)
            context.run(identity.enter, delegate)
        return context.run(asyncio.create_task, work)

    def _lapsed(self, stream_id: UUID, epoch: int) -> None:
        """A reply is watched here whose writer is dead."""
        message_id = str(stream_id)
        if not self._closed and message_id not in self._taking:
            self.take(message_id, epoch, mend=True)

    def take(self, message_id: str, epoch: int, *, mend: bool) -> "asyncio.Task[Reply]":
        """The task that takes a reply, of which there is one at a time."""
        task = self._taking.get(message_id)
        if task is None:
            context = contextvars.copy_context()
            context.run(deadlines.enter, None)
            context.run(identity.enter, None)  # of whoever watches: his token may be old, and this is not his call
            task = context.run(asyncio.create_task, self._take_if_dead(message_id, epoch, mend=mend))
            self._taking[message_id] = task
            task.add_done_callback(lambda done: self._took(message_id, done))
        return task

    def _took(self, message_id: str, task: "asyncio.Task[Reply]") -> None:
        self._taking.pop(message_id, None)
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, Aborted):
            return  # taken, or another replica was faster
        reason = error.reason if isinstance(error, MeshError) else repr(error)
        log.warning("a reply is not taken over yet", extra={"message_id": message_id, "reason": reason})

    async def _take_if_dead(self, message_id: str, epoch: int, *, mend: bool) -> Reply:
        try:
            return await self._take(message_id, epoch, mend=mend)
        except NotFound as gone:
            await self._bury(message_id, epoch + 1, gone)
            raise

    async def _take(self, message_id: str, epoch: int, *, mend: bool) -> Reply:
        """Takes a reply, and goes on writing it or tells its log how it has ended."""
        taken = await self._library.take_reply(message_id, epoch, self._hub.lease_seconds, mend=mend)
        metrics.TAKEN_OVER.inc()
        log.info("a reply is taken over", extra={"message_id": message_id, "epoch": taken.epoch})
        try:
            if not taken.ended:
                await self.write(taken, "restart")
            elif mend:
                await self._mend(taken)
        except FencedError as fenced:
            raise Aborted("another has taken the reply", reason="REPLY_TAKEN") from fenced
        return taken

    async def _mend(self, reply: Reply) -> None:
        """Ends the log of a reply whose writer died between storing its end and telling it."""
        producer = await self._hub.produce(UUID(reply.message_id), reply.epoch)
        if not producer.ended:
            text = text_of(producer.stream.entries)
            if not reply.content.startswith(text):
                same = next(n for n in range(len(text), -1, -1) if reply.content.startswith(text[:n]))
                text = text[:same]
                producer.append(Seam(same))
                metrics.SEAMS.inc()
            if rest := reply.content[len(text) :]:
                producer.append(Text(rest))
            producer.end(end_of(reply), LOG_ENDS[reply.outcome])
        producer.close()

    async def _bury(self, message_id: str, epoch: int, gone: NotFound) -> None:
        """Ends the log of a reply that was deleted."""
        try:
            producer = await self._hub.produce(UUID(message_id), epoch)
        except (FencedError, MeshError):
            return
        if not producer.ended:
            producer.end(Failed(gone), FAILED)
        producer.close()
