"""Conversations and their messages."""

from collections.abc import Sequence
from uuid import UUID

from mesh.errors import Aborted
from services.library.domain.errors import not_found, unknown_user
from services.library.models import Conversation, NewConversation
from services.library.ports import Key
from services.library.stores import rows
from services.library.stores.database import Connection, Database


class PostgresConversations:
    """The port `ConversationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, conversation_id: UUID, user_id: UUID) -> Conversation | None:
        """The user's conversation."""
        async with self._database.connection("conversations.get") as connection:
            row = await connection.fetchrow(
                """
                SELECT conversations.*, scenarios.title FROM conversations JOIN scenarios USING (scenario_id)
                WHERE conversation_id = $1 AND user_id = $2
                """,
                conversation_id,
                user_id,
            )
        return rows.conversation(row) if row else None

    async def by_request(self, user_id: UUID, request_id: str) -> Conversation | None:
        """The conversation that a request made."""
        async with self._database.connection("conversations.by_request") as connection:
            return await find_request(connection, user_id, request_id)

    async def page(self, user_id: UUID, after: Key | None, limit: int) -> Sequence[Conversation]:
        """The user's conversations, last used first."""
        async with self._database.connection("conversations.page") as connection:
            found = await connection.fetch(
                """
                SELECT conversations.*, scenarios.title FROM conversations JOIN scenarios USING (scenario_id)
                WHERE user_id = $1 AND (
                    $2::timestamptz IS NULL
                    OR (conversations.updated_at, conversation_id) < ($2::timestamptz, $3::uuid)
                )
                ORDER BY conversations.updated_at DESC, conversation_id DESC LIMIT $4
                """,
                user_id,
                *(after or (None, None)),
                limit,
            )
        return [rows.conversation(row) for row in found]

    async def delete(self, conversation_id: UUID, user_id: UUID) -> Sequence[UUID] | None:
        """Deletes the user's conversation with its messages; returns those that were being written."""
        async with self._database.transaction("conversations.delete") as connection:
            pending = await connection.fetch(
                "SELECT message_id FROM messages WHERE conversation_id = $1 AND status = 'pending'", conversation_id
            )
            row = await connection.fetchrow(
                "DELETE FROM conversations WHERE conversation_id = $1 AND user_id = $2 RETURNING conversation_id",
                conversation_id,
                user_id,
            )
        return [each["message_id"] for each in pending] if row else None


async def insert(connection: Connection, new: NewConversation) -> Conversation:
    """Stores a conversation, or returns the one that the user's request_id made before; within a transaction."""
    gone = not_found("scenario_id", new.scenario.scenario_id, "scenario")
    with rows.parents(
        {"conversations_user": unknown_user(), "conversations_scenario": gone, "conversations_novel": gone}
    ):
        row = await connection.fetchrow(
            """
            INSERT INTO conversations
                (conversation_id, user_id, scenario_id, novel_id, character_id, character_name, character_description,
                 request_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (user_id, request_id) WHERE request_id IS NOT NULL DO NOTHING
            RETURNING *, (SELECT title FROM scenarios WHERE scenarios.scenario_id = conversations.scenario_id)
            """,
            new.conversation_id,
            new.user_id,
            new.scenario.scenario_id,
            new.scenario.novel_id,
            new.character.character_id,
            new.character.name,
            new.character.description,
            new.request_id,
        )
    if row is not None:
        return rows.conversation(row)
    found = await find_request(connection, new.user_id, new.request_id or "")
    if found is None:
        raise Aborted("the conversation of this request_id was just deleted; try again", reason="CONCURRENT_CHANGE")
    return found


async def find_request(connection: Connection, user_id: UUID, request_id: str) -> Conversation | None:
    """The conversation that a request made."""
    row = await connection.fetchrow(
        """
        SELECT conversations.*, scenarios.title FROM conversations JOIN scenarios USING (scenario_id)
        WHERE user_id = $1 AND request_id = $2
        """,
        user_id,
        request_id,
    )
    return rows.conversation(row) if row else None
