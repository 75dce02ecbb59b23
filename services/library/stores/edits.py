"""What novels' owners have changed about characters, and which of it search has been told."""

from collections.abc import Callable, Mapping
from uuid import UUID

from services.library.models import CharacterEdit, CharacterEdits
from services.library.stores import rows
from services.library.stores.database import Connection, Database

MAX_EDITS = 1_000
"""Edits of a novel that search is told, the newest; a novel has at most 100 characters at a time."""
# How long who has made a change, or has taken one over, has for telling search before another does.
_TELLING_SECONDS = 10.0


class PostgresEdits:
    """The port `EditStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, character_id: UUID) -> CharacterEdit | None:
        """What is changed about a character."""
        async with self._database.connection("edits.get") as connection:
            row = await connection.fetchrow("SELECT * FROM character_edits WHERE character_id = $1", character_id)
        return rows.character_edit(row) if row else None

    async def change(
        self, novel_id: UUID, change: Callable[[Mapping[UUID, CharacterEdit]], CharacterEdit]
    ) -> CharacterEdits | None:
        """Stores what a function makes of all that is changed in a novel, while nobody else changes it."""
        async with self._database.transaction("edits.change") as connection:
            found = await connection.fetchval(
                "SELECT novel_id FROM novels WHERE novel_id = $1 FOR NO KEY UPDATE", novel_id
            )
            if found is None:
                return None
            edits = await _of_novel(connection, novel_id)
            edit = change(edits)
            await connection.execute(
                """
                INSERT INTO character_edits (character_id, novel_id, name, aliases, description, hidden, merged_into)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (character_id) DO UPDATE
                SET name = EXCLUDED.name, aliases = EXCLUDED.aliases, description = EXCLUDED.description,
                    hidden = EXCLUDED.hidden, merged_into = EXCLUDED.merged_into, updated_at = now()
                """,
                edit.character_id,
                novel_id,
                edit.name,
                None if edit.aliases is None else list(edit.aliases),
                edit.description,
                edit.hidden,
                edit.merged_into,
            )
            revision = await connection.fetchval(
                """
                INSERT INTO character_edit_news (novel_id, revision, next_attempt_at)
                VALUES ($1, 1, now() + make_interval(secs => $2))
                ON CONFLICT (novel_id) DO UPDATE
                SET revision = character_edit_news.revision + 1, next_attempt_at = EXCLUDED.next_attempt_at
                RETURNING revision
                """,
                novel_id,
                _TELLING_SECONDS,
            )
        return CharacterEdits(novel_id, revision, [*(edits | {edit.character_id: edit}).values()][-MAX_EDITS:])

    async def told(self, novel_id: UUID, revision: int) -> None:
        """Notes what search has been told."""
        async with self._database.connection("edits.told") as connection:
            await connection.execute(
                "UPDATE character_edit_news SET told = greatest(told, $2) WHERE novel_id = $1", novel_id, revision
            )

    async def claim(self) -> CharacterEdits | None:
        """Takes a novel whose changes search has not been told; nobody else gets it for a while."""
        async with self._database.transaction("edits.claim") as connection:
            row = await connection.fetchrow(
                """
                UPDATE character_edit_news SET next_attempt_at = now() + make_interval(secs => $1)
                WHERE novel_id = (
                    SELECT novel_id FROM character_edit_news
                    WHERE told < revision AND next_attempt_at <= now()
                    ORDER BY next_attempt_at FOR UPDATE SKIP LOCKED LIMIT 1
                )
                RETURNING novel_id, revision
                """,
                _TELLING_SECONDS,
            )
            if row is None:
                return None
            edits = await _of_novel(connection, row["novel_id"])
        return CharacterEdits(row["novel_id"], row["revision"], [*edits.values()][-MAX_EDITS:])


async def tell_again(connection: Connection, novel_id: UUID) -> None:
    """Within a transaction: has search told all that is changed in a novel."""
    await connection.execute(
        "UPDATE character_edit_news SET told = 0, next_attempt_at = now() WHERE novel_id = $1", novel_id
    )


async def _of_novel(connection: Connection, novel_id: UUID) -> dict[UUID, CharacterEdit]:
    found = await connection.fetch("SELECT * FROM character_edits WHERE novel_id = $1 ORDER BY updated_at", novel_id)
    return {row["character_id"]: rows.character_edit(row) for row in found}
