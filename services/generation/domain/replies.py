"""Replies as they are asked for, watched, stopped and taken over. Who writes one and who reads it need not be one."""

import asyncio
import contextvars
import random
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mesh import deadlines, identity
from mesh.errors import Aborted, InvalidArgument, MeshError, NotFound, Unavailable
from mesh.identity import Identity
from mesh.process import ended
from mesh.streamlog import FAILED, Cursor, Entry, FencedError, Hub, Lapse, Mode, Producer, Stream
from mesh.telemetry.logs import get_logger
from services.generation.domain.events import (
    LOG_ENDS,
    Complete,
    Event,
    Failed,
    Gap,
    Progress,
    Seam,
    Stopped,
    Text,
    end_of,
    text_of,
)
from services.generation.domain.writing import Writer
from services.generation.ports import Library, Outcome, Reply, Work

log = get_logger(__name__)

_STOP_EVERY = 0.5
_PRODUCE_SECONDS = (0.1, 1.0, 30.0)
_STOP_SECONDS = 10.0
_OUTCOMES = {Complete: Outcome.COMPLETE, Stopped: Outcome.STOPPED, Failed: Outcome.FAILED}


@dataclass(frozen=True, slots=True)
class Heard:
    """An event on its way to one reader.

    Attributes:
        event: what happened.
        sequence: its number in the log; of an event that is made for this reader, that of the entry it stands behind.
        cursor: the place behind it; empty: nobody can go on from there.
        entry: where it stands in the log; None: it is made for this reader.
    """

    event: Event
    sequence: int
    cursor: str = ""
    entry: Entry[Event] | None = None


class Replies:
    """All that this replica does for replies.

    Args:
        writer: writes them.
        library: where they are kept.
        hub: their logs.
    """

    def __init__(self, writer: Writer, library: Library, hub: Hub[Event]) -> None:
        self._writer = writer
        self._library = library
        self._hub = hub
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._taking: dict[str, asyncio.Task[Reply]] = {}
        self._beginning: set[asyncio.Task[Reply]] = set()
        self._stopping: Unavailable | None = None
        hub.on_lapsed = self._lapsed

    async def begin(self, work: Work, request_id: str) -> Reply:
        """Begins a reply, once for each request id; it is written whether or not anybody reads.

        Raises:
            MeshError: what library answers.
        """
        self._check_open()
        # Once library has given the lease, it must be used: a caller that leaves in this moment changes nothing.
        beginning = asyncio.create_task(self._begin(work, request_id))
        self._beginning.add(beginning)
        beginning.add_done_callback(self._begun)
        return await asyncio.shield(beginning)

    async def find(self, conversation_id: str, message_id: str) -> Reply:
        """A reply of the caller's; see `Library.get_reply` for empty ids.

        Raises:
            NotFound: the caller has no such reply.
        """
        return await self._library.get_reply(conversation_id, message_id)

    async def at(self, conversation_id: str, after: Cursor) -> Reply:
        """The caller's reply that a cursor is of.

        Raises:
            InvalidArgument: the caller has none in that conversation; the field is ``after``.
        """
        try:
            return await self._library.get_reply(conversation_id, str(after.stream_id))
        except NotFound as error:
            text = "is a cursor of another stream; give the id of an event of this one"
            raise InvalidArgument(f"after {text}", reason="CURSOR_OF_ANOTHER_STREAM", fields={"after": text}) from error

    async def events(self, reply: Reply, after: Cursor | None = None) -> AsyncGenerator[Heard, None]:
        """The events of a reply behind a cursor, as they come, to its end; nothing behind the end.

        Raises:
            InvalidArgument: the cursor is of another reply.
            Unavailable: nobody knows the log just now; the same again may go on.
        """
        stream_id = UUID(reply.message_id)
        if after is not None and after.stream_id != stream_id:
            Cursor.parse(str(after), stream_id)
        try:
            async with self._hub.watching(stream_id) as stream:
                outdated = stream.epoch < reply.epoch and bool(stream.end)
                if not (reply.ended and (outdated or not stream.exists)):
                    async with aclosing(self._read(stream, reply.epoch, after)) as heard:
                        async for each in heard:
                            yield each
                    return
        except Unavailable:
            if not reply.ended or self._stopping is not None:
                raise
        for each in _stored(reply, after):
            yield each

    async def stop(self, conversation_id: str, message_id: str) -> Reply:
        """Stops a reply of the caller's, wherever it is written; one that has ended stays as it is.

        Returns:
            The reply as it has ended.

        Raises:
            NotFound: the caller has no such reply.
            Unavailable: it could not be stopped in time.
        """
        reply = await self.find(conversation_id, message_id)
        if reply.ended:
            return reply
        stream_id = UUID(reply.message_id)
        async with self._hub.watching(stream_id) as stream:
            ending = asyncio.create_task(self._end(stream, reply.epoch))
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    while not ending.done():
                        # Again and again: whoever takes the reply over meanwhile has to hear of it as well.
                        await self._hub.stop(stream_id)
                        await asyncio.wait({ending}, timeout=_STOP_EVERY)
            except TimeoutError:
                raise Unavailable("the reply could not be stopped in time; try again", reason="STOP_PENDING") from None
            finally:
                await ended(ending)
        outcome, content = ending.result()
        return Reply(reply.conversation_id, reply.message_id, outcome, reply.epoch, content)

    async def finish(self, message_id: str) -> Outcome:
        """Sees to it that a reply is written, and waits for its end.

        Raises:
            NotFound: there is no such reply.
            MeshError: what library answers; Unavailable: Redis does not answer.
        """
        self._check_open()
        stream_id = UUID(message_id)
        state = await self._hub.state(stream_id)
        if state is None or state.end or state.lease_left <= 0:
            # A log that has ended may be that of an earlier try: library knows.
            mend = state is not None and not state.end
            try:
                # Whoever asked may leave, but a reply that was taken must be written.
                taken = await asyncio.shield(self._taken(message_id, state.epoch if state else 0, mend=mend))
            except Aborted:
                if state is not None and state.end:
                    raise
            else:
                if taken.ended:
                    return taken.outcome
        async with self._hub.watching(stream_id) as stream:
            outcome, _ = await self._end(stream, 0)
        return outcome

    async def orphans(self, limit: int) -> list[str]:
        """Replies that have not ended and that nobody is writing.

        Raises:
            MeshError: library or Redis does not answer.
        """
        orphans = []
        for pending in await self._library.pending_replies(self._hub.lease_seconds, limit):
            state = await self._hub.state(UUID(pending.message_id))
            if state is None or state.epoch < pending.epoch or state.lease_left <= 0:
                orphans.append(pending.message_id)
        return orphans

    async def hand_over(self) -> None:
        """Stops all writing and reading here; other replicas go on at once. Nothing is begun from now on."""
        stops = Unavailable("this replica stops; another goes on", reason="REPLICA_STOPS", retry_after=0.0)
        self._stopping = stops
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=1.0)
        await ended(*self._taking.values())
        producers = self._hub.producers()
        await ended(*self._writing.values())
        await self._hub.close(producers)

    # ---- writing

    def _check_open(self) -> None:
        if self._stopping is not None:
            raise self._stopping

    async def _begin(self, work: Work, request_id: str) -> Reply:
        reply = await self._library.begin_reply(work, request_id)
        if reply.lease_id:
            try:
                await self._write(reply, "fresh")
            except FencedError:
                log.warning("a reply was taken as soon as it was begun", extra={"message_id": reply.message_id})
        return reply

    def _begun(self, beginning: "asyncio.Task[Reply]") -> None:
        self._beginning.discard(beginning)
        if not beginning.cancelled():
            beginning.exception()  # whoever asked may have left

    async def _write(self, reply: Reply, mode: Mode) -> None:
        """Begins to write a reply, in the background, free of the deadline of whoever asked for it.

        Raises:
            FencedError: a later epoch holds the log.
            Unavailable: Redis does not answer, and the log is not fresh.
        """
        producer = await self._produce(reply, mode)
        before = self._writing.pop(reply.message_id, None)
        if before is not None:
            await ended(before)
        task = self._background(self._writer.write(reply, producer), reply.access_token)
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

    # ---- taking over

    def _lapsed(self, stream_id: UUID, epoch: int) -> None:
        """A reply is watched here whose writer is dead."""
        message_id = str(stream_id)
        if self._stopping is None and message_id not in self._taking:
            self._taken(message_id, epoch, mend=True)

    def _taken(self, message_id: str, epoch: int, *, mend: bool) -> "asyncio.Task[Reply]":
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
        except Aborted:
            raise
        except NotFound as gone:
            await self._bury(message_id, epoch + 1, gone)
            raise

    async def _take(self, message_id: str, epoch: int, *, mend: bool) -> Reply:
        """Takes a reply, and goes on writing it or tells its log how it has ended."""
        taken = await self._library.take_reply(message_id, epoch, self._hub.lease_seconds, mend=mend)
        log.info("a reply is taken over", extra={"message_id": message_id, "epoch": taken.epoch})
        try:
            if not taken.ended:
                await self._write(taken, "restart")
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

    # ---- reading

    async def _read(self, stream: Stream[Event], epoch: int, after: Cursor | None) -> AsyncGenerator[Heard, None]:
        async with aclosing(stream.read(after, since=epoch)) as items:
            async for item in items:
                if isinstance(item, Entry):
                    yield Heard(item.event, item.sequence, str(stream.cursor(item)), item)
                    continue
                for heard in _mended(stream, item):
                    yield heard

    async def _end(self, stream: Stream[Event], epoch: int) -> tuple[Outcome, str]:
        """How a reply ends, and its text, once it does."""
        async with aclosing(stream.read(since=epoch)) as items:
            async for item in items:
                if isinstance(item, Entry) and item.end:
                    return _OUTCOMES[type(item.event)], text_of(stream.entries)
        raise Unavailable("the reply's log broke off", reason="LOG_UNAVAILABLE")


def _mended(stream: Stream[Event], lapse: Lapse) -> list[Heard]:
    """What a reader is told who has seen events that do not count."""
    stand = stream.entries[: lapse.stand]
    if not stand:
        return [Heard(Gap(lapse.first, lapse.last), 0), Heard(Seam(0), 0)]
    return [Heard(Seam(len(text_of(stand))), lapse.stand, str(stream.cursor(stand[-1])))]


def _stored(reply: Reply, after: Cursor | None) -> list[Heard]:
    """The events of a reply that has ended and whose log is no longer kept."""
    last = max(reply.record.last_sequence, 1)
    end = Cursor(UUID(reply.message_id), max(reply.epoch, 1), last)
    if after is not None and (after.epoch, after.sequence) >= (end.epoch, end.sequence):
        return []
    heard = [Heard(Progress(100, "writing", "The reply is there"), 0)] if after is None else []
    if after is not None and after.sequence < last:
        heard.append(Heard(Gap(after.sequence + 1, last), 0))
    # None of it can be gone on after, so whoever is cut off in it gets it again; the seam voids what came before.
    heard += [Heard(Seam(0), 0), Heard(Text(reply.content), 0)]
    return [*heard, Heard(end_of(reply), last, str(end))]
