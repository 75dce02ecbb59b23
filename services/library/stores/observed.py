"""Spans of statements."""

from asyncpg import Connection, Record
from asyncpg.connection import LoggedQuery

from mesh.telemetry.spans.stores import queried


async def observed(connection: "Connection[Record]") -> None:
    """Has each statement of a connection recorded, below the span of the call that makes it."""
    connection.add_query_logger(_tell)


def _tell(told: LoggedQuery) -> None:
    # A moment after the statement, since asyncpg has the loop call it: the span is as long as the statement took.
    queried(told.query, told.elapsed, told.exception, told.conn_params.database)
