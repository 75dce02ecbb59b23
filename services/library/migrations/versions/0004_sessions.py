"""A refresh token may be exchanged again for a moment, and sessions that were ended can be listed."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    # What the next token of the family was made with, beside this one, which only its bearer has.
    "ALTER TABLE refresh_tokens ADD COLUMN next_nonce bytea",
    "CREATE INDEX sessions_revoked ON sessions (revoked_at, session_id) WHERE revoked_at IS NOT NULL",
)

REVERSED = (
    "DROP INDEX sessions_revoked",
    "ALTER TABLE refresh_tokens DROP COLUMN next_nonce",
)


def upgrade() -> None:
    """Adds the column and the index."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops them."""
    for statement in REVERSED:
        op.execute(statement)
