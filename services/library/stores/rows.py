"""Rows as the library's values. Columns are found by name, so a release may add some while this one runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache, lru_cache
from typing import Any

import asyncpg
from pydantic import TypeAdapter

from mesh.errors import MeshError
from services.library.models import (
    Character,
    CharacterEdit,
    Conversation,
    ConversationStatus,
    Failure,
    IngestionState,
    IngestionStatus,
    Message,
    MessageStatus,
    Node,
    Novel,
    Progress,
    ReadingProgress,
    Reply,
    ReplyRecord,
    Role,
    Scenario,
    StoredPassage,
    User,
    Visibility,
)

_FAILURE = TypeAdapter(Failure)
_RECORD = TypeAdapter(ReplyRecord)
_PASSAGES = TypeAdapter(list[StoredPassage])


def user(row: asyncpg.Record) -> User:
    """A row of users."""
    return User(**_values(row, User))


def novel(row: asyncpg.Record, prefix: str = "") -> Novel:
    """A row of novels."""
    values = _values(row, Novel, prefix)
    values["visibility"] = Visibility(values["visibility"])
    values["status"] = IngestionStatus(values["status"])
    values["failure"] = _FAILURE.validate_json(values["failure"]) if values["failure"] else None
    return Novel(**values)


def ingestion(row: asyncpg.Record) -> IngestionState:
    """A row of novels, as the state of its ingestion."""
    return IngestionState(
        IngestionStatus(row["status"]),
        Progress(row["progress"], row["stage"], row["stage_message"]),
        row["epoch"],
        row["last_sequence"],
    )


def character(row: asyncpg.Record) -> Character:
    """A row of characters."""
    values = _values(row, Character)
    values["samples"] = _PASSAGES.validate_json(row["samples"])
    return Character(**values)


def character_edit(row: asyncpg.Record) -> CharacterEdit:
    """A row of character_edits."""
    return CharacterEdit(**_values(row, CharacterEdit))


def scenario(row: asyncpg.Record, prefix: str = "") -> Scenario:
    """A row of scenarios."""
    values = _values(row, Scenario, prefix)
    values["visibility"] = Visibility(values["visibility"])
    return Scenario(**values)


def reading(row: asyncpg.Record) -> ReadingProgress:
    """A row of reading progress."""
    return ReadingProgress(**_values(row, ReadingProgress))


def conversation(row: asyncpg.Record) -> Conversation:
    """A row of conversations with its scenario's title."""
    values = _values(row, Conversation)
    values["status"] = ConversationStatus(row["status"])
    return Conversation(**values)


def message(row: asyncpg.Record) -> Message:
    """A row of messages with its place among its alternatives."""
    values = _values(row, Message)
    values["role"] = Role(row["role"])
    values["status"] = MessageStatus(row["status"])
    values["record"] = _RECORD.validate_json(row["record"]) if row["record"] else None
    return Message(**values)


def node(row: asyncpg.Record) -> Node:
    """A row of messages as one of the tree."""
    values = _values(row, Node)
    values["role"] = Role(row["role"])
    values["status"] = MessageStatus(row["status"])
    return Node(**values)


def reply(row: asyncpg.Record) -> Reply:
    """A row of messages with its place, its reader and the age of its lease."""
    return Reply(message(row), row["user_id"], row["lease_id"], row["epoch"], row["lease_age"])


@lru_cache(maxsize=128)
def passages(value: str | None) -> Sequence[StoredPassage] | None:
    """Passages of a jsonb column, which are the same for each reply of a novel; None: there is no row."""
    return tuple(_PASSAGES.validate_json(value)) if value is not None else None


def passages_json(value: Sequence[StoredPassage]) -> str:
    """Passages for a jsonb column."""
    return _PASSAGES.dump_json(list(value)).decode()


def failure_json(failure: Failure) -> str:
    """A failure for a jsonb column."""
    return _FAILURE.dump_json(failure).decode()


def record_json(record: ReplyRecord) -> str:
    """A reply's record for a jsonb column."""
    return _RECORD.dump_json(record).decode()


def given(row: asyncpg.Record | None) -> asyncpg.Record:
    """The row of a statement that always returns one, e.g. INSERT ... RETURNING."""
    if row is None:
        raise RuntimeError("a statement that always returns a row returned none")
    return row


@contextmanager
def parents(errors: dict[str, MeshError]) -> Iterator[None]:
    """Raises the error of the foreign key that a statement violates, by the constraint's name."""
    try:
        yield
    except asyncpg.ForeignKeyViolationError as violation:
        error = errors.get(violation.constraint_name or "")
        if error is None:
            raise
        raise error from None


def columns(cls: type, table: str, prefix: str) -> str:
    """The columns of a table that a class is made of, for a statement that has those of others beside them."""
    return ", ".join(f"{table}.{name} AS {prefix}{name}" for name in _names(cls))


def _values(row: asyncpg.Record, cls: type, prefix: str = "") -> dict[str, Any]:
    return {name: row[prefix + name] for name in _names(cls)}


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))
