"""Passages are kept beside scenarios and novels, for when search does not answer."""

from alembic import op

revision = "0003"
down_revision = "0002"

# Apart, so that lists of novels and scenarios never touch them. No row: they were not looked for yet.
STATEMENTS = (
    """
    CREATE TABLE scenario_passages (
        scenario_id uuid PRIMARY KEY REFERENCES scenarios ON DELETE CASCADE,
        passages    jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE novel_passages (
        novel_id uuid PRIMARY KEY REFERENCES novels ON DELETE CASCADE,
        passages jsonb NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Makes the tables; they fill when replies are begun."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops them."""
    op.execute("DROP TABLE scenario_passages, novel_passages")
