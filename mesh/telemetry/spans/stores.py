"""Spans of what is asked of stores (https://opentelemetry.io/docs/specs/semconv/database/database-spans/).

Statements are summarized: an operation and what it works on. Their texts and their values stay here.
"""

import re
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from time import time_ns

from mesh.telemetry import trace
from mesh.telemetry.spans.encode import encoded
from mesh.telemetry.spans.record import Kind, Span

POSTGRESQL, REDIS, CHROMA = "postgresql", "redis", "chroma"

_NOTHING: AbstractContextManager[Span | None] = nullcontext()
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.$]*|[(),;]")
_HOW = re.compile(r"\bAS\s+(?:NOT\s+)?MATERIALIZED\b", re.IGNORECASE)
_OPERATIONS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})
_BEFORE_TABLE = frozenset({"FROM", "INTO", "UPDATE", "JOIN"})
_NO_TABLE = frozenset({"SELECT", "LATERAL", "ONLY", "SET", "SKIP", "OF"})
_LOCKS = (["FOR"], ["DO"], ["KEY"], ["DISTINCT"])
"""After these a word is no operation and leads to no table: FOR UPDATE, ON CONFLICT DO UPDATE, IS DISTINCT FROM."""
_MOST_PARTS = 8
_LONGEST = 255
"""Parts and characters of a summary; the conventions have the latter."""


def asked(system: str, operation: str, collection: str = "") -> AbstractContextManager[Span | None]:
    """The block is an operation of a store.

    Args:
        system: `REDIS`, `CHROMA`.
        operation: what is done, one of few: a script, a method.
        collection: what it is done to; empty: the operation says.
    """
    if trace.span() is None:
        return _NOTHING
    name = f"{operation} {collection}" if collection else f"{system} {operation}"
    return trace.within(name, Kind.CLIENT, _fixed(system, operation, collection))


def queried(text: str, seconds: float, error: BaseException | None, namespace: str) -> None:
    """Records a statement of SQL that has just ended, below the span of the running work.

    Args:
        text: the statement, whose values are parameters.
        seconds: how long it took.
        error: how it has failed.
        namespace: the database.
    """
    above = trace.span()
    if above is None:
        return
    summary, operation = summary_of(text)
    span = Span(
        above.recorder, above.trace_id, above.span_id, summary, Kind.CLIENT, _sql(summary, operation, namespace)
    )
    span.started = time_ns() - int(seconds * 1e9)
    if error is not None:
        trace.fail(span, error)
        state = getattr(error, "sqlstate", None)
        if isinstance(state, str):
            span.attributes["db.response.status_code"] = state
    span.end()


@lru_cache(maxsize=1024)
def summary_of(text: str) -> tuple[str, str]:
    """The summary of a statement, e.g. ``UPDATE novels``, and its operation, its first of those that change rows.

    Of a statement that touches none (``BEGIN``, ``SET``) its first word is both. Names of common table expressions are
    no tables, and are left out.
    """
    tokens = [token for token in _TOKEN.findall(_COMMENT.sub(" ", _HOW.sub("AS ", text))) if token[0] != "'"]
    words = [token.upper() for token in tokens]
    named = {words[at - 1] for at, word in enumerate(words) if word == "AS" and at and words[at + 1 : at + 2] == ["("]}
    parts: list[str] = []
    tables: set[str] = set()
    operation = changing = ""
    for at, word in enumerate(words):
        if words[at - 1 : at] in _LOCKS:
            continue
        if word in _OPERATIONS and (word != "SELECT" or not operation):  # of queries within one nobody wants to know
            operation = operation or word
            changing = changing or (word if word != "SELECT" else "")
            parts.append(word)
            tables.clear()
        table = _table(words, at) if word in _BEFORE_TABLE else ""
        if table and table not in named | tables:
            tables.add(table)
            parts.append(tokens[at + 1])
    if not parts:
        first = words[0] if words else "QUERY"
        return first, first
    return " ".join(parts[:_MOST_PARTS])[:_LONGEST], changing or operation or words[0]


def _table(words: list[str], at: int) -> str:
    """The table that a word leads to; empty: to none."""
    after = words[at + 1] if at + 1 < len(words) else ""
    if not after[:1].isalpha() or after in _NO_TABLE:
        return ""
    called = words[at + 2 : at + 3] == ["("] and words[at] != "INTO"  # it is a function
    return "" if called else after


@lru_cache(maxsize=1024)
def _fixed(system: str, operation: str, collection: str) -> bytes:
    known = {"db.collection.name": collection} if collection else {}
    return encoded({"db.system.name": system, "db.operation.name": operation, **known})


@lru_cache(maxsize=1024)
def _sql(summary: str, operation: str, namespace: str) -> bytes:
    return encoded(
        {
            "db.system.name": POSTGRESQL,
            "db.namespace": namespace,
            "db.operation.name": operation,
            "db.query.summary": summary,
        }
    )
