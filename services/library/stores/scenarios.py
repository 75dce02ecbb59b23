"""Scenarios."""

from collections.abc import Sequence
from uuid import UUID

from services.library.domain.errors import not_found, unknown_user
from services.library.models import NewScenario, Scenario
from services.library.ports import Key
from services.library.stores import passages, rows
from services.library.stores.database import Database


class PostgresScenarios:
    """The port `ScenarioStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, scenario: NewScenario) -> Scenario:
        """Stores a scenario."""
        gone = not_found("novel_id", scenario.novel_id, "novel")
        with rows.parents({"scenarios_owner": unknown_user(), "scenarios_novel": gone}):
            async with self._database.transaction("scenarios.create") as connection:
                row = await connection.fetchrow(
                    """
                    INSERT INTO scenarios
                        (scenario_id, owner_id, novel_id, title, description, passage_ids, visibility, until_chapter,
                         until_read)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *
                    """,
                    scenario.scenario_id,
                    scenario.owner_id,
                    scenario.novel_id,
                    scenario.title,
                    scenario.description,
                    scenario.passage_ids,
                    scenario.visibility,
                    scenario.until_chapter,
                    scenario.until_read,
                )
                if scenario.passages is not None:
                    await passages.keep(connection, passages.OF_SCENARIO, scenario.scenario_id, scenario.passages)
        return rows.scenario(rows.given(row))

    async def get(self, scenario_id: UUID) -> Scenario | None:
        """A scenario."""
        async with self._database.connection("scenarios.get") as connection:
            row = await connection.fetchrow("SELECT * FROM scenarios WHERE scenario_id = $1", scenario_id)
        return rows.scenario(row) if row else None

    async def page(self, novel_id: UUID, user_id: UUID, after: Key | None, limit: int) -> Sequence[Scenario]:
        """The user's and the public scenarios of a novel, newest first."""
        async with self._database.connection("scenarios.page") as connection:
            found = await connection.fetch(
                """
                SELECT * FROM scenarios
                WHERE novel_id = $1 AND (owner_id = $2 OR visibility = 'public')
                  AND ($3::timestamptz IS NULL OR (created_at, scenario_id) < ($3::timestamptz, $4::uuid))
                ORDER BY created_at DESC, scenario_id DESC LIMIT $5
                """,
                novel_id,
                user_id,
                *(after or (None, None)),
                limit,
            )
        return [rows.scenario(row) for row in found]

    async def update(
        self,
        scenario_id: UUID,
        *,
        title: str | None,
        description: str | None,
        until_chapter: int | None,
        until_read: bool | None,
        clear_until_chapter: bool,
    ) -> Scenario | None:
        """Changes what is not None; a lower limit takes the passages beyond it from the scenario.

        Of which chapter a passage is, is known of those that are kept; one that is not goes too.
        """
        async with self._database.connection("scenarios.update") as connection:
            row = await connection.fetchrow(
                """
                UPDATE scenarios
                SET title = coalesce($2, title), description = coalesce($3, description),
                    until_chapter = CASE WHEN NOT $6 THEN coalesce($4, until_chapter) END,
                    until_read = coalesce($5, until_read),
                    passage_ids = CASE WHEN $4::int IS NULL OR $4 >= until_chapter THEN passage_ids ELSE ARRAY(
                        SELECT given.id
                        FROM unnest(passage_ids) WITH ORDINALITY AS given (id, place)
                        JOIN scenario_passages AS kept ON kept.scenario_id = scenarios.scenario_id
                        JOIN jsonb_to_recordset(kept.passages) AS passage (passage_id uuid, chapter int)
                          ON passage.passage_id = given.id AND passage.chapter <= $4
                        ORDER BY given.place
                    ) END,
                    updated_at = now()
                WHERE scenario_id = $1 RETURNING *
                """,
                scenario_id,
                title,
                description,
                until_chapter,
                until_read,
                clear_until_chapter,
            )
        return rows.scenario(row) if row else None

    async def delete(self, scenario_id: UUID) -> None:
        """Deletes a scenario with its conversations."""
        async with self._database.connection("scenarios.delete") as connection:
            await connection.execute("DELETE FROM scenarios WHERE scenario_id = $1", scenario_id)
