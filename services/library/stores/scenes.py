"""What a reply is written from, read in one statement: its novel, its scenario, what is kept, what was said before."""

from uuid import UUID

import asyncpg

from services.library.models import Conversation, Line, Novel, Role, Scenario, Scene, StoredPassages
from services.library.stores import rows
from services.library.stores.database import Connection


def branch(start: str, most: str) -> str:
    """A common table expression of a recursive statement: the whole messages up to one, at most so many.

    Args:
        start: whose value is the id of the last of them.
        most: likewise, how many.
    """
    line = (
        "SELECT message_id, parent_id, position, role, content,"
        " status = 'complete' OR (status = 'stopped' AND content <> '') AS whole FROM messages WHERE message_id ="
    )
    # OFFSET 0 keeps each step a look at an index: a plan that is made while there are few messages reads all of them.
    return f"""
branch AS (
    SELECT last.*, whole::int AS kept FROM ({line} {start}) AS last
    UNION ALL
    SELECT above.*, branch.kept + above.whole::int
    FROM branch CROSS JOIN LATERAL ({line} branch.parent_id OFFSET 0) AS above
    WHERE branch.kept < {most}
)
"""  # noqa: S608 - parts of statements of ours


# Columns by their names: a plan that is kept then outlives a column that a later release adds. What may be missing is
# looked up and not joined: of so many joins PostgreSQL would try the orders each time it plans.
COLUMNS = f"""
    {rows.columns(Novel, "novels", "novel_")}, {rows.columns(Scenario, "scenarios", "scenario_")},
    (SELECT chapter FROM reading_progress WHERE user_id = talk.user_id AND novel_id = talk.novel_id) AS read_chapter,
    (SELECT passages FROM scenario_passages WHERE scenario_id = talk.scenario_id) AS of_scenario,
    (SELECT passages FROM novel_passages WHERE novel_id = talk.novel_id) AS of_novel,
    (SELECT samples FROM novel_characters WHERE character_id = talk.character_id) AS of_character,
    past.ids, past.roles, past.contents
"""  # noqa: S608 - likewise
JOINED = """
JOIN novels ON novels.novel_id = talk.novel_id
JOIN scenarios ON scenarios.scenario_id = talk.scenario_id
CROSS JOIN (
    SELECT array_agg(message_id ORDER BY position) AS ids, array_agg(role ORDER BY position) AS roles,
           array_agg(content ORDER BY position) AS contents
    FROM branch WHERE whole
) AS past
"""
"""What stands behind a conversation that is called talk, in a statement with a `branch`."""
_SCENE = f"WITH RECURSIVE {branch('$2', '$3')} SELECT {COLUMNS} FROM conversations AS talk {JOINED} WHERE conversation_id = $1"  # noqa: S608, E501 - parts of ours


async def read(connection: Connection, conversation: Conversation, last_id: UUID | None, most: int) -> Scene:
    """The scene of a conversation, with at most so many whole messages up to one."""
    return scene(rows.given(await connection.fetchrow(_SCENE, conversation.conversation_id, last_id, most)))


_ROLES = {role.value: role for role in Role}  # a reply has fifty lines, and the class itself is slow to look one up


def scene(row: asyncpg.Record, *more: Line) -> Scene:
    """A row with `COLUMNS`, and lines that the statement could not see yet."""
    lines = zip(row["ids"] or (), row["roles"] or (), row["contents"] or (), strict=True)
    return Scene(
        rows.novel(row, "novel_"),
        rows.scenario(row, "scenario_"),
        row["read_chapter"],
        [*(Line(message_id, _ROLES[role], content) for message_id, role, content in lines), *more],
        StoredPassages(*(rows.passages(row[of]) for of in ("of_scenario", "of_novel", "of_character"))),
    )
