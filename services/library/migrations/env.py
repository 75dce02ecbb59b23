"""Alembic's entry: writes the revisions as one SQL script, which `services.library.stores.migrate` runs."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    # The runner has its own transaction, so that the advisory lock and all revisions stand or fall together.
    transactional_ddl=False,
)
context.run_migrations()
