"""How far readers have come in novels, which may be a scenario's spoiler limit."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = (
    """
    CREATE TABLE reading_progress (
        user_id    uuid NOT NULL CONSTRAINT reading_progress_user REFERENCES users ON DELETE CASCADE,
        novel_id   uuid NOT NULL CONSTRAINT reading_progress_novel REFERENCES novels ON DELETE CASCADE,
        chapter    integer NOT NULL CHECK (chapter >= 0),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, novel_id)
    )
    """,
    "CREATE INDEX reading_progress_of_novel ON reading_progress (novel_id)",
    "ALTER TABLE scenarios ADD COLUMN until_read boolean NOT NULL DEFAULT false",
)

# The release before knows no such limit: what it may not tell a reader who has said nothing, it may not tell at all.
REVERSED = (
    "UPDATE scenarios SET until_chapter = 0 WHERE until_read",
    "ALTER TABLE scenarios DROP COLUMN until_read",
    "DROP TABLE reading_progress",
)


def upgrade() -> None:
    """Makes the table and adds the column."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops them."""
    for statement in REVERSED:
        op.execute(statement)
