"""Replies, within one transaction each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from services.library.models import (
    Conversation,
    Message,
    MessageStatus,
    NewConversation,
    Novel,
    Reply,
    ReplyRecord,
    Role,
    Scenario,
)
from services.library.stores import rows
from services.library.stores.conversations import insert
from services.library.stores.database import Connection, Database

_PREVIEW = 200


class PostgresReplies:
    """The port `ReplyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresReplyTransaction"]:
        """All or nothing."""
        async with self._database.transaction("replies") as connection:
            yield PostgresReplyTransaction(connection)


class PostgresReplyTransaction:
    """The port `ReplyTransaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create_conversation(self, conversation: NewConversation) -> Conversation:
        """Stores a conversation, or returns the one that the user's request_id made before."""
        return await insert(self._connection, conversation)

    async def lock(self, conversation_id: UUID, user_id: UUID) -> Conversation | None:
        """The user's conversation, which nobody else changes until the transaction ends."""
        row = await self._connection.fetchrow(
            """
            SELECT conversations.*, scenarios.title FROM conversations JOIN scenarios USING (scenario_id)
            WHERE conversation_id = $1 AND user_id = $2 FOR UPDATE OF conversations
            """,
            conversation_id,
            user_id,
        )
        return rows.conversation(row) if row else None

    async def reader_message(self, conversation_id: UUID, request_id: str) -> Message | None:
        """What the reader said in a request."""
        row = await self._connection.fetchrow(
            "SELECT * FROM messages WHERE conversation_id = $1 AND request_id = $2 AND role = 'reader'",
            conversation_id,
            request_id,
        )
        return rows.message(row) if row else None

    async def reply(self, conversation_id: UUID, request_id: str) -> Reply | None:
        """The reply of a request."""
        row = await self._connection.fetchrow(
            """
            SELECT *, extract(epoch FROM clock_timestamp() - leased_at)::float8 AS lease_age FROM messages
            WHERE conversation_id = $1 AND request_id = $2 AND role = 'character'
            """,
            conversation_id,
            request_id,
        )
        return rows.reply(row) if row else None

    async def add(
        self, conversation: Conversation, request_id: str | None, content: str | None, lease_id: UUID
    ) -> Message:
        """Stores the reader's message, if there is one, and a pending reply after it; returns the reply."""
        position = conversation.message_count
        reply_id = uuid4()
        said = [] if content is None else [(uuid4(), position, Role.READER, content, MessageStatus.COMPLETE, None)]
        reply = (reply_id, position + len(said), Role.CHARACTER, "", MessageStatus.PENDING, lease_id)
        await self._connection.executemany(
            """
            INSERT INTO messages
                (conversation_id, request_id, message_id, position, role, content, status, lease_id, leased_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8::uuid,
                    CASE WHEN $8::uuid IS NULL THEN NULL ELSE clock_timestamp() END)
            """,
            [(conversation.conversation_id, request_id, *values) for values in (*said, reply)],
        )
        await self._connection.execute(
            """
            UPDATE conversations
            SET message_count = $2, last_message = coalesce($3, last_message), updated_at = clock_timestamp(),
                status = CASE WHEN $3 IS NULL THEN status ELSE 'open' END
            WHERE conversation_id = $1
            """,
            conversation.conversation_id,
            position + len(said) + 1,
            None if content is None else content[:_PREVIEW],
        )
        row = await self._connection.fetchrow("SELECT * FROM messages WHERE message_id = $1", reply_id)
        return rows.message(rows.given(row))

    async def restart(self, message_id: UUID, lease_id: UUID) -> Message:
        """Makes a reply pending and empty again, under a new lease."""
        row = await self._connection.fetchrow(
            """
            UPDATE messages SET status = 'pending', content = '', record = NULL, lease_id = $2,
                leased_at = clock_timestamp()
            WHERE message_id = $1 RETURNING *
            """,
            message_id,
            lease_id,
        )
        return rows.message(rows.given(row))

    async def history(self, conversation_id: UUID, before: int, limit: int) -> Sequence[Message]:
        """The last whole messages before a position, oldest first."""
        found = await self._connection.fetch(
            """
            SELECT * FROM messages WHERE conversation_id = $1 AND position < $2 AND status = 'complete'
            ORDER BY position DESC LIMIT $3
            """,
            conversation_id,
            before,
            limit,
        )
        return [rows.message(row) for row in reversed(found)]

    async def context(self, conversation: Conversation) -> tuple[Novel, Scenario]:
        """The novel and the scenario that a conversation plays in."""
        novel = await self._connection.fetchrow("SELECT * FROM novels WHERE novel_id = $1", conversation.novel_id)
        scenario = await self._connection.fetchrow(
            "SELECT * FROM scenarios WHERE scenario_id = $1", conversation.scenario_id
        )
        return rows.novel(rows.given(novel)), rows.scenario(rows.given(scenario))

    async def lock_reply(self, message_id: UUID) -> Reply | None:
        """A reply, which nobody else changes until the transaction ends."""
        # Always the conversation first, as in `lock`: two orders of locking would be a deadlock.
        await self._connection.execute(
            """
            SELECT FROM conversations
            WHERE conversation_id = (SELECT conversation_id FROM messages WHERE message_id = $1) FOR UPDATE
            """,
            message_id,
        )
        row = await self._connection.fetchrow(
            """
            SELECT *, extract(epoch FROM clock_timestamp() - leased_at)::float8 AS lease_age
            FROM messages WHERE message_id = $1 AND role = 'character'
            """,
            message_id,
        )
        return rows.reply(row) if row else None

    async def finish(self, reply: Reply, status: MessageStatus, content: str, record: ReplyRecord) -> Message:
        """Ends a reply, whole or given up."""
        row = rows.given(
            await self._connection.fetchrow(
                "UPDATE messages SET status = $2, content = $3, record = $4 WHERE message_id = $1 RETURNING *",
                reply.message.message_id,
                status,
                content,
                rows.record_json(record),
            )
        )
        # A reply that is not the last message must not become the preview of the conversation.
        await self._connection.execute(
            """
            UPDATE conversations
            SET status = CASE WHEN $2 THEN 'open' ELSE status END, updated_at = clock_timestamp(),
                last_message = CASE WHEN message_count = $3 + 1 AND $4 <> '' THEN $4 ELSE last_message END
            WHERE conversation_id = $1
            """,
            reply.message.conversation_id,
            status is MessageStatus.COMPLETE,
            reply.message.position,
            content[:_PREVIEW],
        )
        return rows.message(row)
