"""How far readers have come in novels."""

from uuid import UUID

from services.library.domain.errors import not_found, unknown_user
from services.library.models import ReadingProgress
from services.library.stores import rows
from services.library.stores.database import Database


class PostgresReadings:
    """The port `ReadingStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UUID, novel_id: UUID) -> ReadingProgress:
        """A reader's progress in a novel, said or not."""
        async with self._database.connection("readings.get") as connection:
            row = await connection.fetchrow(
                "SELECT * FROM reading_progress WHERE user_id = $1 AND novel_id = $2", user_id, novel_id
            )
        return rows.reading(row) if row else ReadingProgress(novel_id)

    async def set(self, user_id: UUID, novel_id: UUID, chapter: int) -> ReadingProgress:
        """Notes the last chapter that a reader has read."""
        gone = not_found("novel_id", novel_id, "novel")
        with rows.parents({"reading_progress_user": unknown_user(), "reading_progress_novel": gone}):
            async with self._database.connection("readings.set") as connection:
                row = await connection.fetchrow(
                    """
                    INSERT INTO reading_progress (user_id, novel_id, chapter) VALUES ($1, $2, $3)
                    ON CONFLICT (user_id, novel_id) DO UPDATE SET chapter = EXCLUDED.chapter, updated_at = now()
                    RETURNING *
                    """,
                    user_id,
                    novel_id,
                    chapter,
                )
        return rows.reading(rows.given(row))
