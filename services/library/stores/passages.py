"""Passages that are kept for when search does not answer."""

from collections.abc import Sequence
from uuid import UUID

from services.library.models import StoredPassage
from services.library.stores import rows
from services.library.stores.database import Connection, Database

OF_SCENARIO = """
    INSERT INTO scenario_passages (scenario_id, passages)
    SELECT scenario_id, $2 FROM scenarios WHERE scenario_id = $1
    ON CONFLICT (scenario_id) DO UPDATE SET passages = EXCLUDED.passages
"""
OF_NOVEL = """
    INSERT INTO novel_passages (novel_id, passages)
    SELECT novel_id, $2 FROM novels WHERE novel_id = $1
    ON CONFLICT (novel_id) DO UPDATE SET passages = EXCLUDED.passages
"""


class PostgresPassages:
    """The port `PassageStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep_of_scenario(self, scenario_id: UUID, passages: Sequence[StoredPassage]) -> None:
        """Keeps those that a scenario was built on; does nothing where the scenario is gone."""
        async with self._database.connection("passages.of_scenario") as connection:
            await keep(connection, OF_SCENARIO, scenario_id, passages)

    async def keep_of_novel(self, novel_id: UUID, passages: Sequence[StoredPassage]) -> None:
        """Keeps those that stand for a novel; does nothing where the novel is gone."""
        async with self._database.connection("passages.of_novel") as connection:
            await keep(connection, OF_NOVEL, novel_id, passages)


async def keep(connection: Connection, statement: str, of: UUID, passages: Sequence[StoredPassage]) -> None:
    """Keeps passages by one of the statements above."""
    await connection.execute(statement, of, rows.passages_json(passages))
