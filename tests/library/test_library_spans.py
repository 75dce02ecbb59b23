"""Statements as spans."""

import uuid

import asyncpg
import pytest

from mesh.errors import Aborted
from mesh.telemetry import trace
from services.library.stores.database import open_database
from tests.fixtures.otlp import Recording
from tests.library.test_library_database import Settings


async def test_statements_are_recorded_without_their_values(
    postgres_url: str, settings: Settings, recorded: Recording
) -> None:
    secret = uuid.uuid4().hex
    async with open_database(settings()) as database:
        async with database.connection("before") as connection:  # belongs to no request
            await connection.execute("CREATE TABLE secrets (secret text UNIQUE)")
        context = trace.enter(name="a test")
        async with database.transaction("within") as connection:
            await connection.execute("INSERT INTO secrets VALUES ($1)", secret)
            assert await connection.fetchval("SELECT secret FROM secrets WHERE secret = $1", secret) == secret
        with pytest.raises(asyncpg.UniqueViolationError):
            async with database.connection("again") as connection:
                await connection.execute("INSERT INTO secrets VALUES ($1)", secret)
        with pytest.raises(Aborted):
            async with database.connection("deadlock") as connection:
                await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'a secret' USING ERRCODE = '40P01'; END $$")
    spans = recorded.ended(context.trace_id)
    names = [span.name for span in spans]
    assert sorted(names) == sorted(["BEGIN", "INSERT secrets", "SELECT secrets", "COMMIT", "INSERT secrets", "DO"]), (
        names
    )
    assert {span.parent_id for span in spans} == {context.span_id}
    failed = {
        span.attributes["db.response.status_code"]: span.attributes["error.type"] for span in spans if span.failed
    }
    assert failed == {"23505": "UniqueViolationError", "40P01": "DeadlockDetectedError"}
    query = next(span for span in spans if span.name == "SELECT secrets")
    assert query.attributes == {
        "db.system.name": "postgresql",
        "db.namespace": postgres_url.rpartition("/")[2],
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT secrets",
    }
    said = str([(span.name, span.attributes) for span in spans])
    assert secret not in said
    assert "a secret" not in said
