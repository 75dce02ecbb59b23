"""Replies as those who write them see them: taken up under a lease and an epoch, ended once, swept up when lost.

::

    reserved ──take──> pending ──complete──> complete
    (epoch 0)          (1, 2, ...)  ──stop──> stopped
                          ^   └───────fail──> failed ──begin again──> pending
                          └─take (the next epoch)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from mesh.errors import Aborted, FailedPrecondition, NotFound
from mesh.validation import Violations
from services.library.domain import storable
from services.library.domain.errors import not_found
from services.library.domain.replies import Context, begun
from services.library.domain.tokens import TokenIssuer
from services.library.models import Failure, Message, MessageStatus, PendingReply, Reply, ReplyRecord
from services.library.ports import ReplyStore

_LIMIT, _MOST = 100, 1000
_LONGEST_SECONDS = 1e9
# So long after it was taken up, a reply that jobs give up counts as nobody's: longer than it may be written and stored.
_ABANDONED_SECONDS = 900.0
# A reply that has cost so many writers their lives would cost the next one's too.
_MOST_EPOCHS = 30
_CUT = Failure("UNAVAILABLE", "REPLY_CUT", "the reply was cut off too often; try again", retryable=True)


@dataclass(frozen=True, slots=True)
class Taken:
    """A reply that was taken up; without context and token it has ended."""

    reply: Reply
    context: Context | None = None
    access_token: str = ""

    @property
    def lease_id(self) -> UUID | None:
        """The right to write it; None: there is none."""
        return self.reply.lease_id if self.context else None


class Writing:
    """What becomes of replies that were begun.

    Args:
        replies: where they are kept.
        tokens: lets those who write one call others on its reader's behalf.
    """

    def __init__(self, replies: ReplyStore, tokens: TokenIssuer) -> None:
        self._replies = replies
        self._tokens = tokens

    async def get(self, user_id: UUID, conversation_id: UUID | None, message_id: UUID | None) -> Reply:
        """A reply of the user's.

        Args:
            user_id: the reader.
            conversation_id: None: whichever of theirs has the message.
            message_id: None: the conversation's opening.

        Raises:
            InvalidArgument: neither is given.
            NotFound: the user has no such reply.
        """
        if conversation_id is None and message_id is None:
            check = Violations()
            check.uuid("message_id", "")
            check.raise_if_any()
        found = await self._replies.find(user_id, conversation_id, message_id)
        if found is not None:
            return found
        if message_id is not None:
            raise not_found("message_id", message_id, "message")
        text = "names no conversation with an opening that you can see"
        raise NotFound(f"conversation_id {text}", reason="MESSAGE_NOT_FOUND", fields={"conversation_id": text})

    async def take(self, message_id: UUID, epoch: int, dead_after: float, *, mend: bool) -> Taken:
        """Takes a reply up under the next epoch.

        Args:
            message_id: the reply.
            epoch: of the writer that is dead.
            dead_after: a later writer is dead as well when it took the reply up so many seconds ago; 0: none is.
            mend: whether a reply that has ended is taken up as well, to end its log.

        Raises:
            InvalidArgument: a number is out of range.
            NotFound: there is no such reply.
            Aborted: another has taken it (reason REPLY_TAKEN).
        """
        check = Violations()
        check.range("epoch", epoch, 0, 2**62)
        _seconds(check, "dead_after_seconds", dead_after)
        check.raise_if_any()
        async with self._replies.transaction() as transaction:
            found = await transaction.lock_reply(message_id)
            if found is None:
                raise not_found("message_id", message_id, "message")
            reply, conversation = found
            if not (reply.pending or mend):
                return Taken(reply)
            if reply.epoch != epoch and not 0 < dead_after <= reply.lease_age:
                raise Aborted(
                    "another has taken the reply",
                    reason="REPLY_TAKEN",
                    metadata={"message_id": str(message_id), "epoch": str(reply.epoch)},
                )
            if reply.pending and reply.epoch >= _MOST_EPOCHS:
                record = storable.record(ReplyRecord(failure=_CUT))
                await transaction.finish(reply, MessageStatus.FAILED, "", record)
                return Taken(await transaction.advance(message_id))
            if not reply.pending:
                return Taken(await transaction.advance(message_id))
            reply = await transaction.restart(message_id, uuid4())
            taken = await begun(transaction, conversation, reply)
            reader = await transaction.reader(conversation)
        return Taken(reply, taken.context, self._tokens.delegate(reader))

    async def complete(self, message_id: UUID, lease_id: UUID, content: str, record: ReplyRecord) -> Message:
        """Stores a whole reply; the same again changes nothing.

        Raises:
            NotFound: there is no such reply.
            FailedPrecondition: the lease is no longer the reply's (reason LEASE_LOST).
        """
        return await self._finish(message_id, lease_id, MessageStatus.COMPLETE, content, record)

    async def fail(self, message_id: UUID, lease_id: UUID, content: str, record: ReplyRecord) -> Message:
        """Gives a reply up with what was written of it; the same again changes nothing.

        Raises:
            MeshError: as `complete`.
        """
        return await self._finish(message_id, lease_id, MessageStatus.FAILED, content, record)

    async def stop(self, message_id: UUID, lease_id: UUID, content: str, record: ReplyRecord) -> Message:
        """Ends a reply where its reader stopped it; the same again changes nothing.

        Raises:
            MeshError: as `complete`.
        """
        return await self._finish(message_id, lease_id, MessageStatus.STOPPED, content, record)

    async def pending(self, min_age: float, limit: int) -> Sequence[PendingReply]:
        """Replies that have not ended, oldest first.

        Args:
            min_age: seconds since they were last taken up, or reserved, at least.
            limit: how many at most; 0: 100.

        Raises:
            InvalidArgument: a number is out of range.
        """
        check = Violations()
        _seconds(check, "min_age_seconds", min_age)
        limit = limit_of(check, limit)
        check.raise_if_any()
        return await self._replies.pending(min_age, limit)

    async def abandon(self, message_id: UUID, failure: Failure) -> None:
        """Gives up a reply that nobody could write; does nothing when somebody is at it, or it has ended or is gone."""
        async with self._replies.transaction() as transaction:
            found = await transaction.lock_reply(message_id)
            if found is None:
                return
            reply, _ = found
            if reply.pending and (reply.epoch == 0 or reply.lease_age > _ABANDONED_SECONDS):
                record = storable.record(ReplyRecord(failure=failure))
                await transaction.finish(reply, MessageStatus.FAILED, "", record)

    async def _finish(
        self, message_id: UUID, lease_id: UUID, status: MessageStatus, content: str, record: ReplyRecord
    ) -> Message:
        content, record = storable.text(content), storable.record(record)
        if content and (message := await self._replies.end(message_id, lease_id, status, content, record)) is not None:
            return message
        async with self._replies.transaction() as transaction:
            found = await transaction.lock_reply(message_id)
            if found is None:
                raise not_found("message_id", message_id, "message")
            reply, _ = found
            if reply.lease_id == lease_id:
                if reply.pending:
                    return await transaction.finish(reply, status, content, record)
                if reply.message.status is status:
                    return reply.message
        text = "does not hold the reply: it was taken over or has ended"
        raise FailedPrecondition(f"lease_id {text}", reason="LEASE_LOST", fields={"lease_id": text})


def limit_of(check: Violations, limit: int) -> int:
    """How many to list to jobs: 0 means 100; anything else must be 1 to 1000."""
    if limit == 0:
        return _LIMIT
    check.range("limit", limit, 1, _MOST)
    return limit


def _seconds(check: Violations, field: str, value: float) -> None:
    if not (math.isfinite(value) and 0 <= value <= _LONGEST_SECONDS):
        check.add(field, f"is {value:g}; give a number of seconds from 0 to {_LONGEST_SECONDS:,.0f}")
