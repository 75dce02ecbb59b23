"""Conversations in PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

SCHEMA = """
CREATE TABLE conversations (
    conversation_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    novel_id uuid NOT NULL,
    character_name text NOT NULL,
    scenario text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    position bigint GENERATED ALWAYS AS IDENTITY,
    role text NOT NULL,
    content text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_of_conversation ON messages (conversation_id, position);
"""
_HISTORY = 50


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a prompt needs, and the last messages, oldest first, as role and content."""

    novel_id: UUID
    character_name: str
    scenario: str
    history: Sequence[tuple[str, str]]


class Conversations:
    """Reads and writes them."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def say(self, conversation_id: UUID, user_id: UUID, content: str) -> Conversation | None:
        """Stores what a reader says; None: the reader has no such conversation."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "UPDATE conversations SET updated_at = now() WHERE conversation_id = $1 AND user_id = $2 "
                "RETURNING novel_id, character_name, scenario",
                conversation_id,
                user_id,
            )
            if row is None:
                return None
            await _add(connection, conversation_id, "user", content)
            last = await connection.fetch(
                "SELECT role, content FROM messages WHERE conversation_id = $1 ORDER BY position DESC LIMIT $2",
                conversation_id,
                _HISTORY,
            )
        history = [(each["role"], each["content"]) for each in reversed(last)]
        return Conversation(row["novel_id"], row["character_name"], row["scenario"], history)

    async def answer(self, conversation_id: UUID, content: str) -> UUID:
        """Stores a reply; returns its id."""
        async with self._pool.acquire() as connection:
            return await _add(connection, conversation_id, "assistant", content)

    async def begin(self, user_ids: Sequence[UUID], novel_id: UUID, character: str, scenario: str) -> list[UUID]:
        """A new conversation for each of the users."""
        rows = [(uuid4(), user_id, novel_id, character, scenario) for user_id in user_ids]
        async with self._pool.acquire() as connection:
            await connection.executemany(
                "INSERT INTO conversations (conversation_id, user_id, novel_id, character_name, scenario) "
                "VALUES ($1, $2, $3, $4, $5)",
                rows,
            )
        return [row[0] for row in rows]


async def _add(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", conversation_id: UUID, role: str, content: str
) -> UUID:
    message_id = uuid4()
    await connection.execute(
        "INSERT INTO messages (message_id, conversation_id, role, content) VALUES ($1, $2, $3, $4)",
        message_id,
        conversation_id,
        role,
        content,
    )
    return message_id


@asynccontextmanager
async def open_conversations(url: str) -> AsyncIterator[Conversations]:
    """A pool of as many connections as the stack of today has."""
    async with asyncpg.create_pool(url, min_size=10, max_size=20) as pool:
        yield Conversations(pool)
