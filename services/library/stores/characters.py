"""Characters that are kept for when search does not answer."""

from collections.abc import Sequence
from uuid import UUID

from services.library.models import Character
from services.library.stores import rows
from services.library.stores.database import Connection, Database


class PostgresCharacters:
    """The port `CharacterStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, novel_id: UUID, people: Sequence[Character]) -> None:
        """Keeps a novel's characters in the place of those before; does nothing where the novel is gone."""
        async with self._database.transaction("characters.keep") as connection:
            # The lock lets one of several at once be the last, and the novel not go meanwhile.
            found = await connection.fetchval(
                "SELECT novel_id FROM novels WHERE novel_id = $1 FOR NO KEY UPDATE", novel_id
            )
            if found is not None:
                await keep(connection, novel_id, people)

    async def get(self, character_id: UUID) -> Character | None:
        """A character, whoever may see it."""
        async with self._database.connection("characters.get") as connection:
            row = await connection.fetchrow("SELECT * FROM novel_characters WHERE character_id = $1", character_id)
        return rows.character(row) if row else None

    async def count(self, novel_id: UUID) -> int:
        """How many of a novel are kept."""
        async with self._database.connection("characters.count") as connection:
            count: int = await connection.fetchval(
                "SELECT count(*) FROM novel_characters WHERE novel_id = $1", novel_id
            )
        return count


async def keep(connection: Connection, novel_id: UUID, people: Sequence[Character]) -> None:
    """The same within a transaction that has locked the novel's row."""
    await connection.execute("DELETE FROM novel_characters WHERE novel_id = $1", novel_id)
    # Ids are made from novel and name; should search break that, neither this novel nor the other one is to pay.
    await connection.execute(
        """
        INSERT INTO novel_characters (character_id, novel_id, name, description, first_chapter, samples)
        SELECT character_id, $1, name, description, first_chapter, samples
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::int[], $6::jsonb[])
          AS people (character_id, name, description, first_chapter, samples)
        ON CONFLICT (character_id) DO NOTHING
        """,
        novel_id,
        [one.character_id for one in people],
        [one.name for one in people],
        [one.description for one in people],
        [one.first_chapter for one in people],
        [rows.passages_json(one.samples) for one in people],
    )
