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
    whole = "SELECT messages.status = 'complete' OR (messages.status = 'stopped' AND messages.content <> '') AS whole"
    return f"""
branch AS (
    SELECT message_id, parent_id, position, role, content, whole, whole::int AS kept
    FROM messages CROSS JOIN LATERAL ({whole}) AS judged
    WHERE message_id = {start}
    UNION ALL
    SELECT messages.message_id, messages.parent_id, messages.position, messages.role, messages.content,
           judged.whole, branch.kept + judged.whole::int
    FROM branch JOIN messages ON messages.message_id = branch.parent_id CROSS JOIN LATERAL ({whole}) AS judged
    WHERE branch.kept < {most}
)
"""  # noqa: S608 - parts of statements of ours


# Columns by their names: a plan that is kept then outlives a column that a later release adds.
COLUMNS = f"""
    {rows.columns(Novel, "novels", "novel_")}, {rows.columns(Scenario, "scenarios", "scenario_")},
    reading_progress.chapter AS read_chapter, scenario_passages.passages AS of_scenario,
    novel_passages.passages AS of_novel, novel_characters.samples AS of_character, past.ids, past.roles, past.contents
"""
JOINED = """
JOIN novels ON novels.novel_id = talk.novel_id
JOIN scenarios ON scenarios.scenario_id = talk.scenario_id
LEFT JOIN reading_progress ON reading_progress.user_id = talk.user_id AND reading_progress.novel_id = talk.novel_id
LEFT JOIN scenario_passages ON scenario_passages.scenario_id = talk.scenario_id
LEFT JOIN novel_passages ON novel_passages.novel_id = talk.novel_id
LEFT JOIN novel_characters ON novel_characters.character_id = talk.character_id
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


def scene(row: asyncpg.Record, *more: Line) -> Scene:
    """A row with `COLUMNS`, and lines that the statement could not see yet."""
    lines = zip(row["ids"] or (), row["roles"] or (), row["contents"] or (), strict=True)
    return Scene(
        rows.novel(row, "novel_"),
        rows.scenario(row, "scenario_"),
        row["read_chapter"],
        [*(Line(message_id, Role(role), content) for message_id, role, content in lines), *more],
        StoredPassages(*(rows.passages(row[of]) for of in ("of_scenario", "of_novel", "of_character"))),
    )
