"""What a revision of the schema may do while the release before it serves. The rules: docs/operations.md."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

_NAME = r'(?:"[^"]+"|[\w.]+)'
_MADE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?({_NAME})", re.IGNORECASE)
_COLUMN = re.compile(r"ADD COLUMN (?:IF NOT EXISTS )?(\w+) ([^,]*)", re.IGNORECASE)
_LITERAL = re.compile(r"'[^']*'")


class Broken(NamedTuple):
    """A rule that a statement breaks.

    Attributes:
        rule: its name.
        statement: the statement, in one line.
    """

    rule: str
    statement: str


_NEVER: Mapping[str, str] = {
    "drops what the release before reads": r"\bDROP (TABLE|COLUMN|VIEW|TYPE|FUNCTION)\b",
    "renames what the release before reads": r"\bRENAME\b",
    "changes a type, which writes the table anew": r"\bALTER (COLUMN )?\w+ (SET DATA )?TYPE\b",
    "forbids what the release before writes": r"\bSET NOT NULL\b|\bDROP DEFAULT\b",
    "checks all rows under a lock; say NOT VALID, and validate in another revision": (
        r"\bADD (CONSTRAINT \w+ )?(CHECK|FOREIGN KEY)\b(?!.*NOT VALID)"
    ),
    "makes an index under a lock; say ADD CONSTRAINT ... USING INDEX": (
        r"\bADD (CONSTRAINT \w+ )?(UNIQUE|PRIMARY KEY)\b(?!.*USING INDEX)|\bADD (CONSTRAINT \w+ )?EXCLUDE\b"
    ),
    "writes the table anew": r"\b(VACUUM FULL|CLUSTER|SET (UN)?LOGGED)\b",
    "empties a table": r"\bTRUNCATE\b",
    "takes a lock by hand": r"\bLOCK TABLE\b",
}
_VOLATILE = re.compile(r"\b(gen_random_uuid|clock_timestamp|random|nextval)\s*\(", re.IGNORECASE)


def broken(statements: tuple[str, ...]) -> Iterator[Broken]:
    """The rules that an upgrade breaks. What is done to a table that it makes itself is free.

    Args:
        statements: its SQL, in order.
    """
    made: set[str] = set()
    for raw in statements:
        statement = " ".join(_LITERAL.sub("''", raw).split())
        made |= {name.lower() for name in _MADE.findall(statement)}
        target = _target(statement)
        if target in made:
            continue
        for rule, pattern in _NEVER.items():
            if re.search(pattern, statement, re.IGNORECASE):
                yield Broken(rule, statement)
        for rule, test in _JUDGED.items():
            if test(statement):
                yield Broken(rule, statement)


def _target(statement: str) -> str:
    found = re.match(
        rf"(?:ALTER TABLE (?:ONLY )?(?:IF EXISTS )?|CREATE (?:UNIQUE )?INDEX \w+ ON |UPDATE |DELETE FROM )({_NAME})",  # noqa: S608 - it reads SQL
        statement,
        re.IGNORECASE,
    )
    return found[1].lower() if found else ""


def _bare_column(statement: str) -> bool:
    return any("NOT NULL" in rest.upper() and "DEFAULT" not in rest.upper() for _, rest in _COLUMN.findall(statement))


def _volatile_column(statement: str) -> bool:
    return any(_VOLATILE.search(rest) for _, rest in _COLUMN.findall(statement))


def _index(statement: str) -> bool:
    return re.match(r"CREATE (UNIQUE )?INDEX\b", statement, re.IGNORECASE) is not None


def _everything(statement: str) -> bool:
    return re.match(r"(UPDATE|DELETE)\b", statement, re.IGNORECASE) is not None


_JUDGED: Mapping[str, Callable[[str], bool]] = {
    "adds a column that the release before does not fill": _bare_column,
    "adds a column by a volatile default, which writes the table anew": _volatile_column,
    "makes an index of a table in use: name it in CONCURRENTLY": _index,
    "changes rows of a table in use at once: do it in batches, at run-time": _everything,
}


def statements_of(revision: ModuleType) -> tuple[str, ...]:
    """The SQL of a revision's upgrade."""
    return tuple(revision.STATEMENTS)
