"""What a backup says of itself: the first thing in its file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from stack.errors import StackError

FORMAT = 1
"""Grows when an older release could not read the file."""
NAME = "manifest.json"
LIBRARY = "library.sql"
VECTORS = "vectors"
KEYS = "keys"
SAMPLE = "sample.json"
CONSISTENCY = (
    "The library is of one moment (a snapshot of PostgreSQL). Search wrote nothing from before that moment until its "
    "part was copied, and search is written before the library refers to it and cleared after: nothing refers to "
    "what is not here."
)


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a backup.

    Attributes:
        bytes: how long it is.
        sha256: the digest of its content, in hex.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup, and what made it.

    Attributes:
        made_at: the moment of the library, in UTC.
        gaji: the release that made it.
        schema: the library's revision.
        postgres: the version of the server it comes from.
        chroma: the version of the vector store; empty: it is not in the backup, and is made anew from the texts.
        keys: whether the keys that sign access tokens are in it.
        counts: rows of the library by table.
        files: the parts by path.
    """

    made_at: datetime
    gaji: str
    schema: str
    postgres: str
    chroma: str
    keys: bool
    counts: Mapping[str, int]
    files: Mapping[str, Part] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.bytes for part in self.files.values())

    def to_json(self) -> bytes:
        """The manifest as it stands in the file."""
        document = {
            **asdict(self),
            "format": FORMAT,
            "made_at": self.made_at.isoformat(),
            "consistency": CONSISTENCY,
        }
        return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def parse_manifest(data: bytes) -> Manifest:
    """Reads a manifest.

    Raises:
        StackError: a newer release made it.
        ValueError: it is none.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        if int(document["format"]) > FORMAT:
            raise StackError(
                f"the backup is of format {document['format']}, and this release reads up to {FORMAT}",
                f"install the release that made it, {document.get('gaji')}, or a later one",
            )
        return Manifest(
            made_at=datetime.fromisoformat(document["made_at"]),
            gaji=str(document["gaji"]),
            schema=str(document["schema"]),
            postgres=str(document["postgres"]),
            chroma=str(document["chroma"]),
            keys=bool(document["keys"]),
            counts={str(name): int(number) for name, number in document["counts"].items()},
            files={
                str(path): Part(int(part["bytes"]), str(part["sha256"])) for path, part in document["files"].items()
            },
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no manifest: {error!r}") from error


def told(counts: Mapping[str, int]) -> str:
    """Counts for people: ``1 user, 2 novels``."""
    return ", ".join(f"{number:,} {table[:-1] if number == 1 else table}" for table, number in counts.items())
