"""Replies, within one transaction each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg

from services.library.models import (
    Conversation,
    Message,
    MessageStatus,
    NewConversation,
    PendingReply,
    Reply,
    ReplyRecord,
    Role,
    Said,
    Scene,
    User,
)
from services.library.stores import rows, scenes, steps, tree
from services.library.stores.conversations import insert
from services.library.stores.database import Connection, Database
from services.library.stores.tree import PLACED

_OPENING = " WHERE message.conversation_id = $1 AND message.parent_id IS NULL AND message.role = 'character'"


class PostgresReplies:
    """The port `ReplyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresReplyTransaction"]:
        """All or nothing."""
        async with self._database.transaction("replies") as connection:
            yield PostgresReplyTransaction(connection)

    async def say(
        self, conversation_id: UUID, user_id: UUID, request_id: str | None, content: str, most: int
    ) -> Said | None:
        """Stores what the reader says at the end of the chosen branch and a pending reply after it, in one step."""
        async with self._database.connection("replies.say") as connection:
            return await steps.say(connection, conversation_id, user_id, request_id, content, most=most)

    async def end(
        self, message_id: UUID, lease_id: UUID, status: MessageStatus, content: str, record: ReplyRecord
    ) -> Message | None:
        """Ends a pending reply with a text, in one step."""
        async with self._database.connection("replies.end") as connection:
            return await steps.end(connection, message_id, lease_id, status, content=content, record=record)

    async def find(self, user_id: UUID, conversation_id: UUID | None, message_id: UUID | None) -> Reply | None:
        """A reply of the user's; without a message the conversation's opening."""
        async with self._database.connection("replies.find") as connection:
            if message_id is None:
                row = await connection.fetchrow(
                    PLACED + _OPENING + " AND owner.user_id = $2 ORDER BY message.position LIMIT 1",
                    conversation_id,
                    user_id,
                )
            else:
                row = await connection.fetchrow(
                    PLACED
                    + """
                    WHERE message.message_id = $1 AND message.role = 'character' AND owner.user_id = $2
                      AND ($3::uuid IS NULL OR message.conversation_id = $3)
                    """,
                    message_id,
                    user_id,
                    conversation_id,
                )
        return rows.reply(row) if row else None

    async def pending(self, min_age: float, limit: int) -> Sequence[PendingReply]:
        """Replies that have not ended, oldest first."""
        async with self._database.connection("replies.pending") as connection:
            found = await connection.fetch(
                """
                SELECT message_id, epoch, extract(epoch FROM clock_timestamp() - leased_at)::float8 AS lease_age
                FROM messages WHERE status = 'pending' AND leased_at <= clock_timestamp() - make_interval(secs => $1)
                ORDER BY leased_at LIMIT $2
                """,
                min_age,
                limit,
            )
        return [PendingReply(row["message_id"], row["epoch"], row["lease_age"]) for row in found]


class PostgresReplyTransaction:
    """The port `ReplyTransaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create_conversation(self, conversation: NewConversation) -> Conversation:
        """Stores a conversation, or returns the one that the user's request_id made before."""
        return await insert(self._connection, conversation)

    async def lock(self, conversation_id: UUID, user_id: UUID) -> Conversation | None:
        """The user's conversation, which nobody else changes until the transaction ends."""
        return await tree.lock(self._connection, conversation_id, user_id)

    async def message(self, conversation_id: UUID, message_id: UUID) -> Message | None:
        """A message of a conversation."""
        row = await self._connection.fetchrow(
            PLACED + " WHERE message.message_id = $1 AND message.conversation_id = $2", message_id, conversation_id
        )
        return rows.message(row) if row else None

    async def reader_message(self, conversation_id: UUID, request_id: str) -> Message | None:
        """What the reader said in a request."""
        row = await self._requested(conversation_id, request_id, Role.READER)
        return rows.message(row) if row else None

    async def reply(self, conversation_id: UUID, request_id: str) -> Reply | None:
        """The reply of a request."""
        row = await self._requested(conversation_id, request_id, Role.CHARACTER)
        return rows.reply(row) if row else None

    async def opening(self, conversation_id: UUID) -> Reply | None:
        """The first reply of a conversation that answers nothing."""
        row = await self._connection.fetchrow(PLACED + _OPENING + " ORDER BY message.position LIMIT 1", conversation_id)
        return rows.reply(row) if row else None

    async def add(
        self,
        conversation_id: UUID,
        parent_id: UUID | None,
        request_id: str | None,
        content: str | None,
        lease_id: UUID | None,
    ) -> Reply:
        """Stores the reader's message, if there is one, and a pending reply after it, which becomes the head."""
        reply_id = uuid4()
        messages = [(reply_id, parent_id, Role.CHARACTER, "", MessageStatus.PENDING, lease_id)]
        if content is not None:
            said_id = uuid4()
            messages = [
                (said_id, parent_id, Role.READER, content, MessageStatus.COMPLETE, None),
                (reply_id, said_id, Role.CHARACTER, "", MessageStatus.PENDING, lease_id),
            ]
        await self._connection.executemany(
            """
            INSERT INTO messages
                (conversation_id, request_id, message_id, parent_id, position, role, content, status, lease_id, epoch,
                 leased_at)
            VALUES ($1, $2, $3, $4,
                    (SELECT coalesce(max(position), -1) + 1 FROM messages WHERE conversation_id = $1),
                    $5, $6, $7, $8::uuid, CASE WHEN $8::uuid IS NULL THEN 0 ELSE 1 END,
                    CASE WHEN $7::text = 'pending' THEN clock_timestamp() END)
            """,
            [(conversation_id, request_id, *values) for values in messages],
        )
        await tree.settle(self._connection, conversation_id, reply_id)
        return await self._reply(reply_id)

    async def restart(self, message_id: UUID, lease_id: UUID) -> Reply:
        """Makes a reply pending and empty, under a new lease and the next epoch."""
        await self._connection.execute(
            """
            UPDATE messages SET status = 'pending', content = '', record = NULL, lease_id = $2, epoch = epoch + 1,
                leased_at = clock_timestamp()
            WHERE message_id = $1
            """,
            message_id,
            lease_id,
        )
        return await self._reply(message_id)

    async def advance(self, message_id: UUID) -> Reply:
        """Gives a reply that has ended the next epoch."""
        await self._connection.execute(
            "UPDATE messages SET epoch = epoch + 1, leased_at = clock_timestamp() WHERE message_id = $1", message_id
        )
        return await self._reply(message_id)

    async def scene(self, conversation: Conversation, last_id: UUID | None, most: int) -> Scene:
        """What a reply is written from, with at most so many whole messages up to one, or none."""
        return await scenes.read(self._connection, conversation, last_id, most)

    async def reader(self, conversation: Conversation) -> User:
        """Whose a conversation is."""
        row = await self._connection.fetchrow("SELECT * FROM users WHERE user_id = $1", conversation.user_id)
        return rows.user(rows.given(row))

    async def lock_reply(self, message_id: UUID) -> tuple[Reply, Conversation] | None:
        """A reply and its conversation, which nobody else changes until the transaction ends."""
        owner = await self._connection.fetchrow(
            """
            SELECT conversation_id, user_id FROM messages JOIN conversations USING (conversation_id)
            WHERE message_id = $1 AND role = 'character'
            """,
            message_id,
        )
        conversation = await self.lock(owner["conversation_id"], owner["user_id"]) if owner else None
        row = await self._connection.fetchrow(PLACED + " WHERE message.message_id = $1", message_id)
        return (rows.reply(row), conversation) if row and conversation else None

    async def finish(self, reply: Reply, status: MessageStatus, content: str, record: ReplyRecord) -> Message:
        """Ends a reply, whole, stopped or given up."""
        message_id, conversation_id = reply.message.message_id, reply.message.conversation_id
        await self._connection.execute(
            "UPDATE messages SET status = $2, content = $3, record = $4 WHERE message_id = $1",
            message_id,
            status,
            content,
            rows.record_json(record),
        )
        head_id = await self._connection.fetchval(
            "SELECT head_id FROM conversations WHERE conversation_id = $1", conversation_id
        )
        await tree.settle(self._connection, conversation_id, head_id)
        return (await self._reply(message_id)).message

    async def _requested(self, conversation_id: UUID, request_id: str, role: Role) -> asyncpg.Record | None:
        return await self._connection.fetchrow(
            PLACED + " WHERE message.conversation_id = $1 AND message.request_id = $2 AND message.role = $3",
            conversation_id,
            request_id,
            role,
        )

    async def _reply(self, message_id: UUID) -> Reply:
        return rows.reply(
            rows.given(await self._connection.fetchrow(PLACED + " WHERE message.message_id = $1", message_id))
        )
