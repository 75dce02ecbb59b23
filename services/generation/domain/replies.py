"""Replies as they are asked for, watched and stopped. Who writes one and who reads it need not be one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from mesh.errors import Aborted, InvalidArgument, NotFound, Unavailable
from mesh.process import ended
from mesh.streamlog import Cursor, Entry, FencedError, Hub, Reading, Stream
from mesh.telemetry import trace
from mesh.telemetry.logs import get_logger
from services.generation.domain import tracing
from services.generation.domain.ahead import Ahead
from services.generation.domain.desk import Desk
from services.generation.domain.events import Complete, Event, Failed, Stopped, text_of
from services.generation.domain.hearing import Heard, mended, stored
from services.generation.ports import Library, Outcome, Reply, Work

log = get_logger(__name__)

_STOP_EVERY = 0.5
_STOP_SECONDS = 10.0
_OUTCOMES = {Complete: Outcome.COMPLETE, Stopped: Outcome.STOPPED, Failed: Outcome.FAILED}


class Replies:
    """All that this replica does for replies.

    Args:
        desk: has them written.
        library: where they are kept.
        hub: their logs.
        ahead: begins their searches.
    """

    def __init__(self, desk: Desk, library: Library, hub: Hub[Event], ahead: Ahead) -> None:
        self._desk = desk
        self._library = library
        self._hub = hub
        self._ahead = ahead
        self._beginning: set[asyncio.Task[Reply]] = set()
        self._stopping: Unavailable | None = None

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

    async def events(self, reply: Reply, after: Cursor | None = None) -> AsyncGenerator[Heard | Reading[Event], None]:
        """The events of a reply behind a cursor, as they come, to its end; nothing behind the end.

        A `Reading` stands for all that can be taken from it until it is over; only then is there more to hear.

        Raises:
            InvalidArgument: the cursor is of another reply.
            Unavailable: nobody knows the log just now; the same again may go on.
        """
        stream_id = UUID(reply.message_id)
        if after is not None and after.stream_id != stream_id:
            Cursor.parse(str(after), stream_id)
        try:
            async with self._hub.watching(stream_id) as stream:
                if (span := trace.span()) is not None:
                    await tracing.link(span, self._hub, stream_id)
                outdated = stream.epoch < reply.epoch and bool(stream.end)
                if not (reply.ended and (outdated or not stream.exists)):
                    async with aclosing(self._read(stream, reply.epoch, after)) as heard:
                        async for each in heard:
                            yield each
                    return
        except Unavailable:
            if not reply.ended or self._stopping is not None:
                raise
        for each in stored(reply, after):
            tracing.heard(each)
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
                taken = await asyncio.shield(self._desk.take(message_id, state.epoch if state else 0, mend=mend))
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
        await self._desk.close()

    def _check_open(self) -> None:
        if self._stopping is not None:
            raise self._stopping

    async def _begin(self, work: Work, request_id: str) -> Reply:
        early = self._ahead.begin(work)
        try:
            reply = await self._library.begin_reply(work, request_id)
            if reply.context is not None:
                self._ahead.learn(reply, reply.context)
            if reply.lease_id:
                await self._desk.write(reply, "fresh", early)
                early = None  # it is the writer's now
        except FencedError:
            log.warning("a reply was taken as soon as it was begun", extra={"message_id": reply.message_id})
        finally:
            if early is not None:
                early.leave()
        return reply

    def _begun(self, beginning: "asyncio.Task[Reply]") -> None:
        self._beginning.discard(beginning)
        if not beginning.cancelled():
            beginning.exception()  # whoever asked may have left

    async def _read(
        self, stream: Stream[Event], epoch: int, after: Cursor | None
    ) -> AsyncGenerator[Heard | Reading[Event], None]:
        reading = stream.reading(after, since=epoch)
        while (item := await reading.next()) is not None:
            if isinstance(item, Reading):
                yield item
                continue
            for heard in mended(stream, item):
                tracing.heard(heard)
                yield heard

    async def _end(self, stream: Stream[Event], epoch: int) -> tuple[Outcome, str]:
        """How a reply ends, and its text, once it does."""
        async with aclosing(stream.read(since=epoch)) as items:
            async for item in items:
                if isinstance(item, Entry) and item.end:
                    return _OUTCOMES[type(item.event)], text_of(stream.entries)
        raise Unavailable("the reply's log broke off", reason="LOG_UNAVAILABLE")
