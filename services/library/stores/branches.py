"""The tree of a conversation's messages, of which one branch is the chosen one: from a first message to the head."""

from collections.abc import Sequence
from uuid import UUID

from mesh.errors import Aborted
from services.library.models import Conversation, Message, NewFork, Tree
from services.library.stores import rows
from services.library.stores.database import Connection, Database
from services.library.stores.tree import PLACED, lock, newest_leaf, settle

EXCERPT = 160
"""How many characters of a message are shown in a tree."""


class PostgresBranches:
    """The port `BranchStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def message(self, conversation_id: UUID, message_id: UUID) -> Message | None:
        """A message of a conversation."""
        async with self._database.connection("branches.message") as connection:
            row = await connection.fetchrow(
                PLACED + " WHERE message.message_id = $1 AND message.conversation_id = $2", message_id, conversation_id
            )
        return rows.message(row) if row else None

    async def page(self, conversation_id: UUID, after: int, limit: int) -> Sequence[Message]:
        """The messages of the chosen branch after a position, oldest first."""
        async with self._database.connection("branches.page") as connection:
            # From the head upwards, and no further than is asked for: positions fall on the way up.
            found = await connection.fetch(
                """
                WITH RECURSIVE branch AS (
                    SELECT message_id, parent_id, position FROM messages
                    WHERE message_id = (SELECT head_id FROM conversations WHERE conversation_id = $1) AND position > $2
                    UNION ALL
                    SELECT messages.message_id, messages.parent_id, messages.position
                    FROM messages JOIN branch ON messages.message_id = branch.parent_id
                    WHERE messages.position > $2
                )
                SELECT message_id FROM branch ORDER BY position LIMIT $3
                """,
                conversation_id,
                after,
                limit,
            )
            placed = await connection.fetch(
                PLACED + " WHERE message.message_id = ANY($1) ORDER BY message.position",
                [row["message_id"] for row in found],
            )
        return [rows.message(row) for row in placed]

    async def tree(self, conversation_id: UUID, user_id: UUID, limit: int) -> Tree | None:
        """All messages of the user's conversation, the chosen branch first where there are more than the limit."""
        async with self._database.connection("branches.tree") as connection:
            found = await connection.fetch(
                """
                WITH RECURSIVE own AS (
                    SELECT conversation_id, head_id FROM conversations WHERE conversation_id = $1 AND user_id = $2
                ), chosen AS (
                    SELECT message_id, parent_id FROM messages WHERE message_id = (SELECT head_id FROM own)
                    UNION ALL
                    SELECT messages.message_id, messages.parent_id FROM messages
                    JOIN chosen ON messages.message_id = chosen.parent_id
                ), kept AS (
                    SELECT message.message_id, message.parent_id, position, role, status,
                           left(content, $4) AS excerpt, created_at, chosen.message_id IS NOT NULL AS chosen,
                           count(*) OVER () AS messages
                    FROM messages AS message LEFT JOIN chosen USING (message_id)
                    WHERE conversation_id = (SELECT conversation_id FROM own)
                    ORDER BY chosen.message_id IS NULL, position LIMIT $3
                )
                SELECT own.head_id, kept.* FROM own LEFT JOIN kept ON true ORDER BY kept.position
                """,
                conversation_id,
                user_id,
                limit,
                EXCERPT,
            )
        if not found:
            return None
        nodes = [rows.node(row) for row in found if row["message_id"] is not None]
        return Tree(nodes, found[0]["head_id"], truncated=bool(nodes) and found[0]["messages"] > len(nodes))

    async def alternatives(self, message: Message) -> Sequence[Message]:
        """A message and those that stand in its place on other branches, oldest first."""
        async with self._database.connection("branches.alternatives") as connection:
            found = await connection.fetch(
                PLACED
                + """
                WHERE message.conversation_id = $1 AND message.role = $3
                  AND (message.parent_id = $2 OR ($2::uuid IS NULL AND message.parent_id IS NULL))
                ORDER BY message.position
                """,
                message.conversation_id,
                message.parent_id,
                message.role,
            )
        return [rows.message(row) for row in found]

    async def choose(self, conversation_id: UUID, user_id: UUID, message_id: UUID) -> Conversation | None:
        """Makes the newest branch with a message the chosen one."""
        async with self._database.transaction("branches.choose") as connection:
            conversation = await lock(connection, conversation_id, user_id)
            if conversation is None or not await _has(connection, conversation_id, message_id):
                return None
            if not await _is_chosen(connection, conversation_id, message_id):
                await settle(connection, conversation_id, await newest_leaf(connection, message_id))
            return await lock(connection, conversation_id, user_id)

    async def delete(self, conversation_id: UUID, user_id: UUID, message_id: UUID) -> Sequence[UUID] | None:
        """Deletes a message with all beneath it; returns those of it that were being written."""
        async with self._database.transaction("branches.delete") as connection:
            conversation = await lock(connection, conversation_id, user_id)
            if conversation is None or not await _has(connection, conversation_id, message_id):
                return None
            parent_id = await connection.fetchval("SELECT parent_id FROM messages WHERE message_id = $1", message_id)
            deleted = await connection.fetch(
                """
                WITH RECURSIVE beneath AS (
                    SELECT message_id FROM messages WHERE message_id = $1
                    UNION ALL
                    SELECT messages.message_id FROM messages JOIN beneath ON messages.parent_id = beneath.message_id
                )
                DELETE FROM messages USING beneath WHERE messages.message_id = beneath.message_id
                RETURNING messages.message_id, messages.status
                """,
                message_id,
            )
            # The database takes back a head that is gone.
            head_id: UUID | None = await connection.fetchval(
                "SELECT head_id FROM conversations WHERE conversation_id = $1", conversation_id
            )
            if head_id is None:
                head_id = await _nearest(connection, conversation_id, parent_id)
            await settle(connection, conversation_id, head_id)
        return [row["message_id"] for row in deleted if row["status"] == "pending"]

    async def fork(self, new: NewFork) -> Conversation:
        """Stores a conversation with copies of a branch, or returns the one that the user's request_id made before."""
        async with self._database.transaction("branches.fork") as connection:
            made = await connection.fetchval(
                """
                INSERT INTO conversations
                    (conversation_id, user_id, scenario_id, novel_id, character_id, character_name,
                     character_description, request_id, forked_from_id, forked_message_id)
                SELECT $1, user_id, scenario_id, novel_id, character_id, character_name,
                       character_description, $2, conversation_id, $3
                FROM conversations WHERE conversation_id = $4 AND user_id = $5
                ON CONFLICT (user_id, request_id) WHERE request_id IS NOT NULL DO NOTHING
                RETURNING conversation_id
                """,
                new.conversation_id,
                new.request_id,
                new.message_id,
                new.source_id,
                new.user_id,
            )
            if made is not None:
                await settle(connection, made, await _copy(connection, new))
            else:
                made = await connection.fetchval(
                    "SELECT conversation_id FROM conversations WHERE user_id = $1 AND request_id = $2",
                    new.user_id,
                    new.request_id,
                )
            conversation = await lock(connection, made, new.user_id) if made else None
        if conversation is None:
            raise Aborted("the conversation was just deleted; try again", reason="CONCURRENT_CHANGE")
        return conversation


async def _has(connection: Connection, conversation_id: UUID, message_id: UUID) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT true FROM messages WHERE message_id = $1 AND conversation_id = $2", message_id, conversation_id
        )
    )


async def _nearest(connection: Connection, conversation_id: UUID, parent_id: UUID | None) -> UUID | None:
    """Where a conversation goes on when a message after ``parent_id`` is gone; None: no message is left."""
    if parent_id is None:
        parent_id = await connection.fetchval(
            """
            SELECT message_id FROM messages WHERE conversation_id = $1 AND parent_id IS NULL
            ORDER BY position DESC LIMIT 1
            """,
            conversation_id,
        )
    return await newest_leaf(connection, parent_id) if parent_id else None


async def _copy(connection: Connection, new: NewFork) -> UUID:
    """Copies a branch up to a message; returns the last copy's id.

    What is being written elsewhere stays there: its copy is one that was given up. A copy has no log.
    """
    await connection.execute(
        """
        WITH RECURSIVE branch AS (
            SELECT * FROM messages WHERE message_id = $2
            UNION ALL
            SELECT messages.* FROM messages JOIN branch ON messages.message_id = branch.parent_id
        ), copies AS MATERIALIZED (
            SELECT *, gen_random_uuid() AS copy_id FROM branch
        )
        INSERT INTO messages
            (message_id, conversation_id, parent_id, position, role, content, status, record, created_at)
        SELECT copy_id, $1, lag(copy_id) OVER line, row_number() OVER line - 1, role, content,
               CASE status WHEN 'pending' THEN 'failed' ELSE status END, record - 'last_sequence', created_at
        FROM copies WINDOW line AS (ORDER BY position)
        """,
        new.conversation_id,
        new.message_id,
    )
    last: UUID | None = await connection.fetchval(
        "SELECT message_id FROM messages WHERE conversation_id = $1 ORDER BY position DESC LIMIT 1",
        new.conversation_id,
    )
    if last is None:
        raise Aborted("the message was just deleted; try again", reason="CONCURRENT_CHANGE")
    return last


async def _is_chosen(connection: Connection, conversation_id: UUID, message_id: UUID) -> bool:
    """Whether a message is on the chosen branch already."""
    return bool(
        await connection.fetchval(
            """
            WITH RECURSIVE chosen AS (
                SELECT message_id, parent_id FROM messages
                WHERE message_id = (SELECT head_id FROM conversations WHERE conversation_id = $1)
                UNION ALL
                SELECT messages.message_id, messages.parent_id FROM messages
                JOIN chosen ON messages.message_id = chosen.parent_id
            )
            SELECT true FROM chosen WHERE message_id = $2
            """,
            conversation_id,
            message_id,
        )
    )
