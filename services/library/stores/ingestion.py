"""The queue of ingestions, and of removals of deleted novels from search."""

from uuid import UUID, uuid4

import asyncpg

from services.library.models import (
    Failure,
    IngestionJob,
    IngestionState,
    IngestionSummary,
    Progress,
)
from services.library.stores import rows
from services.library.stores.database import Connection, Database
from services.library.stores.notify import NOVEL_CHANNEL, QUEUE_CHANNEL, news

# How long a removal that was taken and never ended stays with its taker.
_REMOVAL_SECONDS = 30.0


class PostgresIngestion:
    """The port `IngestionStore`.

    Args:
        database: where the queue is.
        lease_seconds: how long a driver may be silent before another takes its novel.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    async def claim(self) -> IngestionJob | None:
        """Leases the oldest novel that waits, or whose driver has fallen silent."""
        lease_id = uuid4()
        async with self._database.transaction("ingestion.claim") as connection:
            row = await connection.fetchrow(
                """
                UPDATE novels
                SET status = 'running', attempts = attempts + 1, lease_id = $1,
                    lease_expires_at = now() + make_interval(secs => $2), updated_at = now()
                WHERE novel_id = (
                    SELECT novel_id FROM novels
                    WHERE (status = 'pending' AND next_attempt_at <= now())
                       OR (status = 'running' AND lease_expires_at < now())
                    ORDER BY created_at FOR UPDATE SKIP LOCKED LIMIT 1
                )
                RETURNING *
                """,
                lease_id,
                self._lease_seconds,
            )
            if row is None:
                return None
            text = await connection.fetchval("SELECT content FROM novel_texts WHERE novel_id = $1", row["novel_id"])
            await _tell(connection, row)
        return IngestionJob(rows.novel(row), text, lease_id, row["attempts"])

    async def heartbeat(self, job: IngestionJob) -> bool:
        """Renews the lease."""
        async with self._database.connection("ingestion.heartbeat") as connection:
            row = await connection.fetchrow(
                """
                UPDATE novels SET lease_expires_at = now() + make_interval(secs => $3)
                WHERE novel_id = $1 AND lease_id = $2 RETURNING novel_id
                """,
                job.novel.novel_id,
                job.lease_id,
                self._lease_seconds,
            )
        return row is not None

    async def progress(self, job: IngestionJob, progress: Progress) -> bool:
        """Stores progress, which never falls, and renews the lease."""
        return await self._change(
            "ingestion.progress",
            """
            UPDATE novels
            SET progress = greatest(progress, $3), stage = $4, stage_message = $5,
                lease_expires_at = now() + make_interval(secs => $6)
            WHERE novel_id = $1 AND lease_id = $2 RETURNING *
            """,
            job,
            progress.percent,
            progress.stage,
            progress.message,
            self._lease_seconds,
        )

    async def complete(self, job: IngestionJob, summary: IngestionSummary) -> bool:
        """Ends the ingestion well."""
        return await self._change(
            "ingestion.complete",
            """
            UPDATE novels
            SET status = 'complete', language = $3, words = $4, chapters = $5, passages = $6, characters = $7,
                progress = 100, stage = 'complete', stage_message = 'Ready', failure = NULL,
                lease_id = NULL, lease_expires_at = NULL, updated_at = now()
            WHERE novel_id = $1 AND lease_id = $2 RETURNING *
            """,
            job,
            summary.language or job.novel.language,
            summary.words,
            summary.chapters,
            summary.passages,
            summary.characters,
        )

    async def fail(self, job: IngestionJob, failure: Failure) -> bool:
        """Ends the ingestion without an index."""
        return await self._change(
            "ingestion.fail",
            """
            UPDATE novels
            SET status = 'failed', failure = $3, lease_id = NULL, lease_expires_at = NULL, updated_at = now()
            WHERE novel_id = $1 AND lease_id = $2 RETURNING *
            """,
            job,
            rows.failure_json(failure),
        )

    async def postpone(self, job: IngestionJob, seconds: float, *, counted: bool) -> bool:
        """Puts the novel back into the queue."""
        return await self._change(
            "ingestion.postpone",
            """
            UPDATE novels
            SET status = 'pending', next_attempt_at = now() + make_interval(secs => $3), attempts = attempts - $4,
                stage = 'queued', stage_message = 'Waiting for its turn',
                lease_id = NULL, lease_expires_at = NULL, updated_at = now()
            WHERE novel_id = $1 AND lease_id = $2 RETURNING *
            """,
            job,
            seconds,
            0 if counted else 1,
            wake=True,
        )

    async def state(self, novel_id: UUID) -> IngestionState | None:
        """How an ingestion stands."""
        async with self._database.connection("ingestion.state") as connection:
            row = await connection.fetchrow(
                "SELECT status, progress, stage, stage_message FROM novels WHERE novel_id = $1", novel_id
            )
        return rows.ingestion(row) if row else None

    async def claim_removal(self) -> UUID | None:
        """Takes a deleted novel whose passages may still be in search."""
        async with self._database.connection("ingestion.claim_removal") as connection:
            novel_id: UUID | None = await connection.fetchval(
                """
                UPDATE search_removals SET next_attempt_at = now() + make_interval(secs => $1)
                WHERE novel_id = (
                    SELECT novel_id FROM search_removals
                    WHERE next_attempt_at <= now() ORDER BY next_attempt_at FOR UPDATE SKIP LOCKED LIMIT 1
                )
                RETURNING novel_id
                """,
                _REMOVAL_SECONDS,
            )
        return novel_id

    async def removed(self, novel_id: UUID) -> None:
        """Ends a removal, unless the novel's ingestion may still be running somewhere: then once more, later."""
        async with self._database.connection("ingestion.removed") as connection:
            await connection.execute(
                """
                WITH ended AS (DELETE FROM search_removals WHERE novel_id = $1 AND settles_at <= now())
                UPDATE search_removals SET next_attempt_at = settles_at WHERE novel_id = $1 AND settles_at > now()
                """,
                novel_id,
            )

    async def _change(
        self, purpose: str, statement: str, job: IngestionJob, *values: object, wake: bool = False
    ) -> bool:
        async with self._database.transaction(purpose) as connection:
            row = await connection.fetchrow(statement, job.novel.novel_id, job.lease_id, *values)
            if row is None:
                return False
            await _tell(connection, row)
            if wake:
                await connection.execute("SELECT pg_notify($1, '')", QUEUE_CHANNEL)
        return True


async def _tell(connection: Connection, row: asyncpg.Record) -> None:
    state = rows.ingestion(row)
    await connection.execute("SELECT pg_notify($1, $2)", NOVEL_CHANNEL, news(row["novel_id"], state))
