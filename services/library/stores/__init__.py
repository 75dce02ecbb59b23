"""PostgreSQL behind the library's ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from services.library.config import LibrarySettings
from services.library.stores.branches import PostgresBranches
from services.library.stores.characters import PostgresCharacters
from services.library.stores.conversations import PostgresConversations
from services.library.stores.database import open_database
from services.library.stores.edits import PostgresEdits
from services.library.stores.ingestion import PostgresIngestion
from services.library.stores.migrate import migrate
from services.library.stores.novels import PostgresNovels
from services.library.stores.passages import PostgresPassages
from services.library.stores.readings import PostgresReadings
from services.library.stores.replies import PostgresReplies
from services.library.stores.scenarios import PostgresScenarios
from services.library.stores.users import PostgresUsers


@dataclass(frozen=True, slots=True)
class PostgresStores:
    """The port `Stores`."""

    users: PostgresUsers
    novels: PostgresNovels
    ingestion: PostgresIngestion
    scenarios: PostgresScenarios
    passages: PostgresPassages
    characters: PostgresCharacters
    edits: PostgresEdits
    conversations: PostgresConversations
    branches: PostgresBranches
    replies: PostgresReplies
    readings: PostgresReadings


@asynccontextmanager
async def open_stores(settings: LibrarySettings) -> AsyncIterator[PostgresStores]:
    """All stores on one database, whose schema is brought up to date first.

    Raises:
        OSError: nobody answers at the address, or the server refuses user, password, database or a migration.
    """
    async with AsyncExitStack() as stack:
        try:
            await migrate(settings.database_owner_url or settings.database_url)
            database = await stack.enter_async_context(open_database(settings))
        except asyncpg.PostgresError as error:
            raise OSError(f"PostgreSQL at GAJI_DATABASE_URL refuses: {error}") from error
        yield PostgresStores(
            PostgresUsers(database),
            PostgresNovels(database),
            PostgresIngestion(database, settings.ingestion_lease_seconds),
            PostgresScenarios(database),
            PostgresPassages(database),
            PostgresCharacters(database),
            PostgresEdits(database),
            PostgresConversations(database),
            PostgresBranches(database),
            PostgresReplies(database),
            PostgresReadings(database),
        )
