"""Kinds of values and the grammar of their keys."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.cache.ports import GroupPrefix, Place

MAX_KEY_BYTES = 512
MAX_TOP_K = 50
_REMEMBERED = 4_096

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HASH = r"[0-9A-Za-z_-]{8,128}"
_TOP_K = r"[1-9][0-9]?"


class KeyRefusedError(ValueError):
    """The key breaks the grammar; the message reads on from the field's name."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Attributes:
        name: the first segment of its keys.
        ttl_seconds: time to live, before jitter.
        fresh_seconds: how long a value is fresh, before jitter; afterwards it is still found, and computed anew.
        absent_seconds: how long it is remembered that there is no such thing, before jitter.
        shape: its keys, for people.
        pattern: what follows ``name:`` in its keys.
        grouped: whether keys have parts below the id, so that a prefix can name many.
    """

    name: str
    ttl_seconds: int
    fresh_seconds: int
    absent_seconds: int
    shape: str
    pattern: re.Pattern[str]
    grouped: bool = False


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("character", 30 * 60, 24 * 60, 10, "character:{character_id}", re.compile(_UUID)),
        Kind("novel", 60 * 60, 48 * 60, 10, "novel:{novel_id}", re.compile(_UUID)),
        Kind(
            "passages",
            10 * 60,
            8 * 60,
            10,
            "passages:{novel_id}:{hash}:{top_k}",
            re.compile(f"{_UUID}:{_HASH}:{_TOP_K}"),
            grouped=True,
        ),
        Kind("scenario", 5 * 60, 4 * 60, 10, "scenario:{scenario_id}", re.compile(_UUID)),
        Kind("user", 5 * 60, 4 * 60, 5, "user:{user_id}", re.compile(_UUID)),
    )
}
"""Conversations are not among them, and never will be: they are private, and read back as soon as they are written."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the right grammar.

    Attributes:
        text: the key.
        kind: what it is of.
        place: where the store keeps it.
    """

    text: str
    kind: Kind
    place: Place


@dataclass(frozen=True, slots=True)
class Prefix:
    """The start of keys of a grouped kind, up to the id at least."""

    text: str
    kind: Kind

    @property
    def in_group(self) -> GroupPrefix:
        """The prefix and the group that it selects from."""
        return GroupPrefix(self.text, _group(self.text))


@lru_cache(maxsize=_REMEMBERED)
def parse_key(text: str) -> Key:
    """Reads a key; what is asked for again and again is read once.

    Raises:
        KeyRefusedError: unknown kind, wrong grammar, or too long.
    """
    kind, rest = _split(text)
    if not kind.pattern.fullmatch(rest) or (kind.grouped and int(rest.rpartition(":")[2]) > MAX_TOP_K):
        raise KeyRefusedError(f"is not of the form {_help(kind)}")
    if not kind.grouped:
        return Key(text, kind, Place(text))
    return Key(text, kind, Place(text, _group(text), 2 * 1000 * kind.ttl_seconds))


def parse_prefix(text: str) -> Key | Prefix:
    """Reads a prefix; that of a kind without parts below the id is the key itself.

    Raises:
        KeyRefusedError: unknown kind, no complete id, or too long.
    """
    kind, rest = _split(text)
    if not kind.grouped:
        return parse_key(text)
    if not re.fullmatch(rf"{_UUID}(:[0-9A-Za-z_:-]*)?", rest):
        raise KeyRefusedError(f"must hold two segments at least of {_help(kind)}")
    return Prefix(text, kind)


def _split(text: str) -> tuple[Kind, str]:
    if not text:
        raise KeyRefusedError(f"is empty; give one of {_shapes()}")
    if len(text.encode()) > MAX_KEY_BYTES:
        raise KeyRefusedError(f"has {len(text.encode()):,} bytes; give at most {MAX_KEY_BYTES}")
    name, _, rest = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        why = "conversations are never cached" if name.startswith("conversation") else f"no kind is named {name[:32]!r}"
        raise KeyRefusedError(f"is refused: {why}; the kinds are {', '.join(sorted(KINDS))}")
    return kind, rest


def _help(kind: Kind) -> str:
    parts = f", a hash of 8 to 128 letters and digits, and a top_k from 1 to {MAX_TOP_K}" if kind.grouped else ""
    return f"{kind.shape}, with a UUID in lower case{parts}"


def _shapes() -> str:
    return ", ".join(kind.shape for kind in KINDS.values())


def _group(text: str) -> str:
    name, ident, *_ = text.split(":")
    return f"{name}:{ident}"
