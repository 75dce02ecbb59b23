"""What several stores do with the tree of a conversation's messages, within a transaction of theirs."""

from uuid import UUID

from services.library.models import Conversation
from services.library.stores import rows
from services.library.stores.database import Connection

PREVIEW = 200
"""How much of its last message is kept beside a conversation."""


def placed(source: str = "messages") -> str:
    """Messages with their reader, the age of their lease and their place among their alternatives; a WHERE follows.

    Args:
        source: where the messages are: the table, or rows of it that the same statement has just changed.
    """
    return f"""
SELECT message.*, owner.user_id, place.alternatives, place.alternative,
       extract(epoch FROM clock_timestamp() - coalesce(message.leased_at, message.created_at))::float8 AS lease_age
FROM {source} AS message
JOIN conversations AS owner USING (conversation_id)
CROSS JOIN LATERAL (
    SELECT count(*)::int AS alternatives,
           (count(*) FILTER (WHERE sibling.position <= message.position))::int AS alternative
    FROM (
        SELECT position, role FROM messages WHERE parent_id = message.parent_id
        UNION ALL
        SELECT position, role FROM messages
        WHERE message.parent_id IS NULL AND parent_id IS NULL AND conversation_id = message.conversation_id
    ) AS sibling
    WHERE sibling.role = message.role
) AS place
"""  # noqa: S608 - a part of a statement of ours


PLACED = placed()


async def lock(connection: Connection, conversation_id: UUID, user_id: UUID) -> Conversation | None:
    """The user's conversation, which nobody else changes until the transaction ends.

    Whoever changes messages locks their conversation first: two orders of locking would be a deadlock.
    """
    row = await connection.fetchrow(
        """
        SELECT conversations.*, scenarios.title FROM conversations JOIN scenarios USING (scenario_id)
        WHERE conversation_id = $1 AND user_id = $2 FOR UPDATE OF conversations
        """,
        conversation_id,
        user_id,
    )
    return rows.conversation(row) if row else None


async def newest_leaf(connection: Connection, message_id: UUID) -> UUID:
    """The last message beneath a message, always following the newest child down; itself when it has none."""
    leaf: UUID = await connection.fetchval(
        """
        WITH RECURSIVE path AS (
            SELECT message_id, position FROM messages WHERE message_id = $1
            UNION ALL
            SELECT child.message_id, child.position FROM path CROSS JOIN LATERAL (
                SELECT message_id, position FROM messages WHERE parent_id = path.message_id
                ORDER BY position DESC LIMIT 1
            ) AS child
        )
        SELECT message_id FROM path ORDER BY position DESC LIMIT 1
        """,
        message_id,
    )
    return leaf


async def settle(connection: Connection, conversation_id: UUID, head_id: UUID | None) -> None:
    """Sets a conversation's head, and what follows from its messages: their number, the preview and the status."""
    await connection.execute(
        """
        WITH RECURSIVE branch AS (
            SELECT parent_id, content FROM messages WHERE message_id = $2
            UNION ALL
            SELECT messages.parent_id, messages.content
            FROM messages JOIN branch ON messages.message_id = branch.parent_id
            WHERE branch.content = ''
        )
        UPDATE conversations
        SET head_id = $2, updated_at = clock_timestamp(),
            message_count = (SELECT count(*) FROM messages WHERE conversation_id = $1),
            last_message = coalesce((SELECT left(content, $3) FROM branch WHERE content <> ''), ''),
            status = CASE WHEN EXISTS (
                SELECT FROM messages
                WHERE conversation_id = $1 AND (role = 'reader' OR status IN ('complete', 'stopped'))
            ) THEN 'open' ELSE 'pending' END
        WHERE conversation_id = $1
        """,
        conversation_id,
        head_id,
        PREVIEW,
    )
