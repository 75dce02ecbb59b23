"""Ingestions and who has them, and the queue of removals of deleted novels from search."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from services.library.models import (
    Failure,
    IngestionJob,
    IngestionState,
    IngestionSummary,
    Progress,
)
from services.library.stores import characters, edits, passages, rows
from services.library.stores.database import Database

# How long a removal that was taken and never ended stays with its taker.
_REMOVAL_SECONDS = 30.0


class PostgresIngestion:
    """The port `IngestionStore`.

    Args:
        database: where the novels are.
        lease_seconds: how long a driver may be silent before another takes its novel.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    async def claim(self, novel_id: UUID) -> IngestionJob | None:
        """Leases a novel that waits, or whose driver has fallen silent, under the next epoch."""
        lease_id = uuid4()
        async with self._database.transaction("ingestion.claim") as connection:
            row = await connection.fetchrow(
                """
                UPDATE novels
                SET status = 'running', attempts = attempts + 1, epoch = epoch + 1, lease_id = $2,
                    lease_expires_at = now() + make_interval(secs => $3), updated_at = now()
                WHERE novel_id = $1
                  AND (status = 'pending' OR (status = 'running' AND lease_expires_at < now()))
                RETURNING *
                """,
                novel_id,
                lease_id,
                self._lease_seconds,
            )
            if row is None:
                return None
            text = await connection.fetchval("SELECT content FROM novel_texts WHERE novel_id = $1", novel_id)
        return IngestionJob(rows.novel(row), text, lease_id, row["attempts"], row["epoch"], row["progress"])

    async def heartbeat(self, job: IngestionJob, progress: Progress) -> bool:
        """Renews the lease and stores progress, which never falls."""
        return await self._change(
            "ingestion.heartbeat",
            """
            UPDATE novels
            SET progress = greatest(progress, $3), stage = $4, stage_message = $5,
                lease_expires_at = now() + make_interval(secs => $6)
            WHERE novel_id = $1 AND lease_id = $2 RETURNING novel_id
            """,
            job,
            progress.percent,
            progress.stage,
            progress.message,
            self._lease_seconds,
        )

    async def complete(self, job: IngestionJob, summary: IngestionSummary, last_sequence: int) -> bool:
        """Ends the ingestion well and keeps the novel's default passages and its characters."""
        async with self._database.transaction("ingestion.complete") as connection:
            row = await connection.fetchrow(
                """
                UPDATE novels
                SET status = 'complete', language = $3, words = $4, chapters = $5, passages = $6, characters = $7,
                    last_sequence = $8, progress = 100, stage = 'complete', stage_message = 'Ready', failure = NULL,
                    lease_id = NULL, lease_expires_at = NULL, updated_at = now()
                WHERE novel_id = $1 AND lease_id = $2 RETURNING novel_id
                """,
                job.novel.novel_id,
                job.lease_id,
                summary.language or job.novel.language,
                summary.words,
                summary.chapters,
                summary.passages,
                summary.characters,
                last_sequence,
            )
            if row is not None and summary.defaults:  # else they are looked for when the first reply begins
                await passages.keep(connection, passages.OF_NOVEL, job.novel.novel_id, summary.defaults)
            if row is not None and summary.people:
                await characters.keep(connection, job.novel.novel_id, summary.people)
            if row is not None:  # search may have lost what it was told, or its store
                await edits.tell_again(connection, job.novel.novel_id)
        return row is not None

    async def fail(self, job: IngestionJob, failure: Failure, last_sequence: int) -> bool:
        """Ends the ingestion without an index."""
        return await self._change(
            "ingestion.fail",
            """
            UPDATE novels
            SET status = CASE WHEN passages > 0 THEN 'complete' ELSE 'failed' END, failure = $3, last_sequence = $4,
                lease_id = NULL, lease_expires_at = NULL, updated_at = now()
            WHERE novel_id = $1 AND lease_id = $2 RETURNING novel_id
            """,
            job,
            rows.failure_json(failure),
            last_sequence,
        )

    async def abandon(self, novel_id: UUID, failure: Failure) -> int | None:
        """Ends the ingestion of a novel that nobody has, under the next epoch."""
        return await self._end("ingestion.abandon", novel_id, failure, "lease_expires_at < now()")

    async def cancel(self, novel_id: UUID, failure: Failure) -> int | None:
        """Ends an ingestion whoever has it, under the next epoch."""
        return await self._end("ingestion.cancel", novel_id, failure, "true")

    async def again(self, novel_id: UUID) -> int | None:
        """Lets a novel whose ingestion has ended wait for another, under the next epoch."""
        async with self._database.connection("ingestion.again") as connection:
            epoch: int | None = await connection.fetchval(
                """
                UPDATE novels
                SET status = 'pending', failure = NULL, progress = 0, stage = 'queued',
                    stage_message = 'Waiting for its turn', attempts = 0, next_attempt_at = now(), epoch = epoch + 1,
                    last_sequence = 0, updated_at = now()
                WHERE novel_id = $1 AND status IN ('complete', 'failed') RETURNING epoch
                """,
                novel_id,
            )
        return epoch

    async def postpone(self, job: IngestionJob, seconds: float, *, counted: bool) -> bool:
        """Lets the novel wait again."""
        return await self._change(
            "ingestion.postpone",
            """
            UPDATE novels
            SET status = 'pending', next_attempt_at = now() + make_interval(secs => $3), attempts = attempts - $4,
                stage = 'queued', stage_message = 'Waiting for its turn',
                lease_id = NULL, lease_expires_at = NULL, updated_at = now()
            WHERE novel_id = $1 AND lease_id = $2 RETURNING novel_id
            """,
            job,
            seconds,
            0 if counted else 1,
        )

    async def state(self, novel_id: UUID) -> IngestionState | None:
        """How an ingestion stands."""
        async with self._database.connection("ingestion.state") as connection:
            row = await connection.fetchrow(
                """
                SELECT status, progress, stage, stage_message, epoch, last_sequence
                FROM novels WHERE novel_id = $1
                """,
                novel_id,
            )
        return rows.ingestion(row) if row else None

    async def waiting(self, limit: int) -> Sequence[UUID]:
        """Novels that nobody has though they wait, oldest first."""
        async with self._database.connection("ingestion.waiting") as connection:
            found = await connection.fetch(
                """
                SELECT novel_id FROM novels
                WHERE (status = 'pending' AND next_attempt_at <= now())
                   OR (status = 'running' AND lease_expires_at < now())
                ORDER BY created_at LIMIT $1
                """,
                limit,
            )
        return [row["novel_id"] for row in found]

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

    async def _end(self, purpose: str, novel_id: UUID, failure: Failure, running: str) -> int | None:
        """Ends what waits, and what runs where that condition holds; what was ingested before stays."""
        async with self._database.connection(purpose) as connection:
            epoch: int | None = await connection.fetchval(
                f"""
                UPDATE novels
                SET status = CASE WHEN passages > 0 THEN 'complete' ELSE 'failed' END, failure = $2,
                    epoch = epoch + 1, last_sequence = 1, lease_id = NULL, lease_expires_at = NULL, updated_at = now()
                WHERE novel_id = $1 AND (status = 'pending' OR (status = 'running' AND {running}))
                RETURNING epoch
                """,  # noqa: S608 - the condition is one of the two above
                novel_id,
                rows.failure_json(failure),
            )
        return epoch

    async def _change(self, purpose: str, statement: str, job: IngestionJob, *values: object) -> bool:
        async with self._database.connection(purpose) as connection:
            row = await connection.fetchrow(statement, job.novel.novel_id, job.lease_id, *values)
        return row is not None
