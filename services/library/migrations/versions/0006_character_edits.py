"""What a novel's owner changes about its characters, and characters' own lines."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    """
    CREATE TABLE character_edits (
        character_id uuid PRIMARY KEY,
        novel_id     uuid NOT NULL REFERENCES novels ON DELETE CASCADE,
        name         text,
        aliases      text[],
        description  text,
        hidden       boolean NOT NULL,
        merged_into  uuid,
        updated_at   timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX character_edits_novel ON character_edits (novel_id)",
    # What search has to be told: told < revision.
    """
    CREATE TABLE character_edit_news (
        novel_id        uuid PRIMARY KEY REFERENCES novels ON DELETE CASCADE,
        revision        bigint NOT NULL,
        told            bigint NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX character_edit_news_queue ON character_edit_news (next_attempt_at) WHERE told < revision",
    "ALTER TABLE novel_characters ADD COLUMN samples jsonb NOT NULL DEFAULT '[]'",
)


def upgrade() -> None:
    """Makes the tables and the column; lines of characters come with a novel's next ingestion."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops them."""
    op.execute("ALTER TABLE novel_characters DROP COLUMN samples")
    op.execute("DROP TABLE character_edit_news, character_edits")
