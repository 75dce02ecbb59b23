"""Brings the schema up to date and ends: ``python -m services.library.migrations``.

For a deployment in which the library itself has no right to change the schema: run this first, with the owner's URL.
Any number of them may run at once, beside libraries of this release and of the one before.
"""

import asyncpg

from mesh.process import run
from mesh.telemetry.logs import get_logger
from services.library.config import DatabaseSettings
from services.library.stores.migrate import migrate

log = get_logger(__name__)


async def main() -> None:
    """Migrates once.

    Raises:
        OSError: the database does not answer, or refuses user, password, database or a statement.
    """
    settings = DatabaseSettings()
    try:
        revision = await migrate(settings.database_owner_url or settings.database_url)
    except asyncpg.PostgresError as error:
        said = error.args[0]  # without the details, which quote rows
        raise OSError(f"PostgreSQL refuses: {said}; does GAJI_DATABASE_OWNER_URL name the schema's owner?") from error
    log.info("the schema is up to date", extra={"revision": revision})


if __name__ == "__main__":
    run(main, name="library-migrations")
