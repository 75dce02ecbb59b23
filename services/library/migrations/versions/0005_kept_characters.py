"""A novel's characters are kept, for conversations that begin while search does not answer."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    """
    CREATE TABLE novel_characters (
        character_id  uuid PRIMARY KEY,
        novel_id      uuid NOT NULL REFERENCES novels ON DELETE CASCADE,
        name          text NOT NULL,
        description   text NOT NULL,
        first_chapter integer NOT NULL
    )
    """,
    "CREATE INDEX novel_characters_novel ON novel_characters (novel_id)",
)


def upgrade() -> None:
    """Makes the table; for novels of before it fills as they are used."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops it."""
    op.execute("DROP TABLE novel_characters")
