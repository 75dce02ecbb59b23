"""Messages become a tree, replies and ingestions get epochs."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    # Who follows whom. `position` stays the ordinal of making: a message's is larger than those of all before it.
    """
    ALTER TABLE messages
        ADD COLUMN parent_id uuid CONSTRAINT messages_parent REFERENCES messages ON DELETE CASCADE,
        ADD COLUMN epoch bigint NOT NULL DEFAULT 0,
        DROP CONSTRAINT messages_status_check,
        ADD CONSTRAINT messages_status_check CHECK (status IN ('pending', 'complete', 'failed', 'stopped'))
    """,
    """
    UPDATE messages SET parent_id = line.previous, epoch = CASE WHEN messages.lease_id IS NULL THEN 0 ELSE 1 END
    FROM (
        SELECT message_id, lag(message_id) OVER (PARTITION BY conversation_id ORDER BY position) AS previous
        FROM messages
    ) AS line
    WHERE line.message_id = messages.message_id
    """,
    "CREATE INDEX messages_children ON messages (parent_id, position)",
    # What waits to be written; a reservation that nobody has taken up has a time as well.
    "CREATE INDEX messages_pending ON messages (leased_at) WHERE status = 'pending'",
    # The head is the last message of the chosen branch. What a fork was made of, its message included, is kept beside
    # it, so that the same request can be told from another one with its id.
    """
    ALTER TABLE conversations
        ADD COLUMN head_id uuid CONSTRAINT conversations_head REFERENCES messages ON DELETE SET NULL,
        ADD COLUMN forked_from_id uuid
            CONSTRAINT conversations_forked_from REFERENCES conversations ON DELETE SET NULL,
        ADD COLUMN forked_message_id uuid
    """,
    """
    UPDATE conversations SET head_id = (
        SELECT message_id FROM messages
        WHERE messages.conversation_id = conversations.conversation_id ORDER BY position DESC LIMIT 1
    )
    """,
    "CREATE INDEX conversations_head_message ON conversations (head_id)",
    "CREATE INDEX conversations_forks ON conversations (forked_from_id) WHERE forked_from_id IS NOT NULL",
    # `last_sequence` is that of the last event of an ingestion that has ended.
    """
    ALTER TABLE novels
        ADD COLUMN epoch bigint NOT NULL DEFAULT 0,
        ADD COLUMN last_sequence bigint NOT NULL DEFAULT 0
    """,
    "UPDATE novels SET epoch = 1, last_sequence = 1 WHERE status IN ('complete', 'failed')",
)

# What the release before does not know becomes what it knows, and of the branches only the order of making is left.
REVERSED = (
    "ALTER TABLE novels DROP COLUMN epoch, DROP COLUMN last_sequence",
    "ALTER TABLE conversations DROP COLUMN head_id, DROP COLUMN forked_from_id, DROP COLUMN forked_message_id",
    "DROP INDEX messages_pending, messages_children",
    "UPDATE messages SET status = 'failed' WHERE status = 'stopped'",
    "UPDATE messages SET lease_id = gen_random_uuid() WHERE status = 'pending' AND lease_id IS NULL",
    # There, the next position is the number of messages.
    """
    UPDATE messages SET position = -line.position
    FROM (
        SELECT message_id, row_number() OVER (PARTITION BY conversation_id ORDER BY position) AS position FROM messages
    ) AS line
    WHERE line.message_id = messages.message_id
    """,
    "UPDATE messages SET position = -position - 1",
    """
    ALTER TABLE messages
        DROP COLUMN parent_id,
        DROP COLUMN epoch,
        DROP CONSTRAINT messages_status_check,
        ADD CONSTRAINT messages_status_check CHECK (status IN ('pending', 'complete', 'failed'))
    """,
)


def upgrade() -> None:
    """Adds the columns and makes one branch of each conversation's messages."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops them."""
    for statement in REVERSED:
        op.execute(statement)
