"""Novels and their texts."""

from collections.abc import Sequence
from uuid import UUID

from mesh.errors import Aborted
from services.library.domain.errors import unknown_user
from services.library.models import NewNovel, Novel
from services.library.ports import Key
from services.library.stores import rows
from services.library.stores.database import Database

# How long after its lease a driver that has not noticed the deletion may still be heard of in search.
_SETTLE_SECONDS = 5.0


class PostgresNovels:
    """The port `NovelStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, novel: NewNovel) -> tuple[Novel, bytes]:
        """Stores a novel, which then waits for its ingestion, once per request_id."""
        with rows.parents({"novels_owner": unknown_user()}):
            async with self._database.transaction("novels.create") as connection:
                row = await connection.fetchrow(
                    """
                    INSERT INTO novels
                        (novel_id, owner_id, title, author, language, visibility, request_id, request_hash)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                    ON CONFLICT (owner_id, request_id) WHERE request_id IS NOT NULL DO NOTHING
                    RETURNING *
                    """,
                    novel.novel_id,
                    novel.owner_id,
                    novel.title,
                    novel.author,
                    novel.language,
                    novel.visibility,
                    novel.request_id,
                    novel.request_hash,
                )
                if row is not None:
                    await connection.execute(
                        "INSERT INTO novel_texts (novel_id, content) VALUES ($1, $2)", novel.novel_id, novel.text
                    )
                else:
                    row = await connection.fetchrow(
                        "SELECT * FROM novels WHERE owner_id = $1 AND request_id = $2",
                        novel.owner_id,
                        novel.request_id,
                    )
        if row is None:
            raise Aborted("the novel of this request_id was just deleted; try again", reason="CONCURRENT_CHANGE")
        return rows.novel(row), row["request_hash"]

    async def get(self, novel_id: UUID) -> Novel | None:
        """A novel."""
        async with self._database.connection("novels.get") as connection:
            row = await connection.fetchrow("SELECT * FROM novels WHERE novel_id = $1", novel_id)
        return rows.novel(row) if row else None

    async def page(self, user_id: UUID, after: Key | None, limit: int) -> Sequence[Novel]:
        """The user's and the public novels, newest first."""
        # Two ordered halves, so that each is read from its own index and no more than a page of it.
        found = await self._database.fetch_stale(
            "novels.page",
            """
            (
                SELECT * FROM novels
                WHERE owner_id = $1
                  AND ($2::timestamptz IS NULL OR (created_at, novel_id) < ($2::timestamptz, $3::uuid))
                ORDER BY created_at DESC, novel_id DESC LIMIT $4
            ) UNION ALL (
                SELECT * FROM novels
                WHERE visibility = 'public' AND owner_id <> $1
                  AND ($2::timestamptz IS NULL OR (created_at, novel_id) < ($2::timestamptz, $3::uuid))
                ORDER BY created_at DESC, novel_id DESC LIMIT $4
            )
            ORDER BY created_at DESC, novel_id DESC LIMIT $4
            """,
            user_id,
            *(after or (None, None)),
            limit,
        )
        return [rows.novel(row) for row in found]

    async def update(self, novel_id: UUID, title: str | None, author: str | None) -> Novel | None:
        """Changes what is not None."""
        async with self._database.connection("novels.update") as connection:
            row = await connection.fetchrow(
                """
                UPDATE novels SET title = coalesce($2, title), author = coalesce($3, author), updated_at = now()
                WHERE novel_id = $1 RETURNING *
                """,
                novel_id,
                title,
                author,
            )
        return rows.novel(row) if row else None

    async def delete(self, novel_id: UUID) -> Sequence[UUID]:
        """Deletes a novel with all that hangs on it, and queues its removal from search."""
        async with self._database.transaction("novels.delete") as connection:
            novel = await connection.fetchrow(
                "SELECT lease_expires_at FROM novels WHERE novel_id = $1 FOR UPDATE", novel_id
            )
            if novel is None:
                return []
            scenarios = await connection.fetch("SELECT scenario_id FROM scenarios WHERE novel_id = $1", novel_id)
            await connection.execute("DELETE FROM novels WHERE novel_id = $1", novel_id)
            await connection.execute(
                """
                INSERT INTO search_removals (novel_id, settles_at, next_attempt_at)
                VALUES ($1, coalesce($2::timestamptz + make_interval(secs => $3), now()), now())
                ON CONFLICT (novel_id) DO NOTHING
                """,
                novel_id,
                novel["lease_expires_at"],
                _SETTLE_SECONDS,
            )
        return [row["scenario_id"] for row in scenarios]
