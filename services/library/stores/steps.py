"""A reply's beginning and its end, each as one statement: one round trip, which is its own transaction.

Whoever changes messages locks their conversation first. So does each of these, but what else it reads is as old as its
beginning, from before the lock. Each is therefore written so that it changes nothing where that would matter; then a
transaction does the same step by step.
"""

from uuid import UUID, uuid4

from services.library.models import Conversation, Line, Message, MessageStatus, Reply, ReplyRecord, Role, Said
from services.library.stores import rows, scenes
from services.library.stores.database import Connection
from services.library.stores.tree import PREVIEW, placed

# A row's xmin is the transaction that wrote it. In `own` it is that of the row which is locked, in `seen` that of the
# row as it was when the statement began: are they one, nobody has changed the conversation meanwhile.
_SAY = f"""
WITH RECURSIVE own AS MATERIALIZED (
    SELECT *, xmin AS version FROM conversations WHERE conversation_id = $1 AND user_id = $2 FOR UPDATE
), talk AS MATERIALIZED (
    SELECT own.*, scenarios.title
    FROM own JOIN conversations AS seen USING (conversation_id)
    JOIN scenarios ON scenarios.scenario_id = own.scenario_id
    WHERE seen.xmin = own.version AND NOT EXISTS (
        SELECT FROM messages WHERE conversation_id = $1 AND request_id = $3 AND role = 'character'
    )
), said AS (
    INSERT INTO messages
        (conversation_id, request_id, message_id, parent_id, position, role, content, status, lease_id, epoch,
         leased_at)
    SELECT $1, $3, line.message_id, line.parent_id, place.last + line.step, line.role, line.content, line.status,
           line.lease_id, line.epoch, line.leased_at
    FROM talk
    CROSS JOIN (SELECT coalesce(max(position), -1) AS last FROM messages WHERE conversation_id = $1) AS place
    CROSS JOIN LATERAL (VALUES
        ($4::uuid, talk.head_id, 1, 'reader', $5::text, 'complete', NULL::uuid, 0, NULL::timestamptz),
        ($6::uuid, $4::uuid, 2, 'character', '', 'pending', $7::uuid, 1, clock_timestamp())
    ) AS line (message_id, parent_id, step, role, content, status, lease_id, epoch, leased_at)
    RETURNING message_id, position, created_at
), settled AS (
    UPDATE conversations SET head_id = $6, updated_at = clock_timestamp(),
        message_count = conversations.message_count + 2, last_message = left($5, {PREVIEW}), status = 'open'
    FROM talk WHERE conversations.conversation_id = talk.conversation_id
), {scenes.branch("(SELECT head_id FROM talk)", "$8 - 1")}
SELECT {rows.columns(Conversation, "talk", "")}, said.position, said.created_at AS said_at, {scenes.COLUMNS}
FROM talk JOIN said ON said.message_id = $6 {scenes.JOINED}
"""  # noqa: S608 - parts of statements of ours

# A row is changed if its newest state is as the statement says, even where the lock was waited for; and while the reply
# is the head, all that follows for the conversation is in the reply itself.
_END = f"""
WITH own AS MATERIALIZED (
    SELECT conversation_id, head_id FROM conversations
    WHERE conversation_id = (SELECT conversation_id FROM messages WHERE message_id = $1 AND role = 'character')
    FOR UPDATE
), ended AS (
    UPDATE messages SET status = $3::text, content = $4::text, record = $5
    FROM own
    WHERE messages.message_id = $1 AND messages.conversation_id = own.conversation_id
      AND messages.lease_id = $2 AND messages.status = 'pending' AND own.head_id = $1
    RETURNING messages.*
), settled AS (
    UPDATE conversations SET updated_at = clock_timestamp(), last_message = left($4, {PREVIEW}),
        status = CASE WHEN $3 = 'failed' THEN conversations.status ELSE 'open' END
    FROM ended WHERE conversations.conversation_id = ended.conversation_id
)
{placed("ended")}
"""  # noqa: S608 - likewise


async def say(
    connection: Connection, conversation_id: UUID, user_id: UUID, request_id: str | None, content: str, *, most: int
) -> Said | None:
    """See `services.library.ports.ReplyStore.say`."""
    said_id, reply_id, lease_id = uuid4(), uuid4(), uuid4()
    row = await connection.fetchrow(
        _SAY, conversation_id, user_id, request_id, said_id, content, reply_id, lease_id, most
    )
    if row is None:
        return None
    message = Message(
        reply_id,
        conversation_id,
        row["position"],
        Role.CHARACTER,
        content="",
        status=MessageStatus.PENDING,
        record=None,
        created_at=row["said_at"],
        parent_id=said_id,
        alternatives=1,
        alternative=1,
    )
    scene = scenes.scene(row, Line(said_id, Role.READER, content))
    return Said(Reply(message, user_id, lease_id, 1, 0.0), rows.conversation(row), scene)


async def end(
    connection: Connection,
    message_id: UUID,
    lease_id: UUID,
    status: MessageStatus,
    *,
    content: str,
    record: ReplyRecord,
) -> Message | None:
    """See `services.library.ports.ReplyStore.end`."""
    row = await connection.fetchrow(_END, message_id, lease_id, status, content, rows.record_json(record))
    return rows.message(row) if row else None
