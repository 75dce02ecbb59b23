"""Fills a store of its own with invented novels and looks at them through the code that search uses.

Usage: python -m benchmarks.shelf [--novels N] [--passages N]. By default 100 novels of 1,000 passages: some minutes
and gigabytes of a temporary folder. Vectors and tokens are random: what is measured does not depend on what they say.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from services.search.config import SearchSettings
from services.search.domain.indexes import Indexes
from services.search.models import Novel, Passage
from services.search.ports import Question, Reading, Tokens
from services.search.stores.chroma import ChromaStore, open_chroma

CHAPTERS = 40
DIMENSION, NUMBERS, TOKENS, WORDS = 384, 128, 90, 150
BATCH = 500
QUERY = "w17 w230"
LOOKS = 20
_chance = np.random.default_rng(1)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--novels", type=int, default=100)
    parser.add_argument("--passages", type=int, default=1000, help="of each novel")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gaji-shelf-") as folder:
        uvloop.run(measure(Path(folder), arguments.novels, arguments.passages))


async def measure(folder: Path, novels: int, passages: int) -> None:
    """At a tenth of the shelf, and at all of it."""
    table = Table(title=f"novels of {passages:,} passages in one embedded store")
    headings = ("novels", "passages", "added/s", "record ms", "index into memory ms", "search ms")
    for heading in (*headings, "MiB on disk", "MiB in memory"):
        table.add_column(heading, justify="right")
    settings = SearchSettings(chroma_path=folder / "chroma", listen="127.0.0.1:0", admin_listen="127.0.0.1:0")
    async with open_chroma(settings) as store:
        shelf: list[Novel] = []
        for upto in (max(1, novels // 10), novels):
            began = time.perf_counter()
            added = upto - len(shelf)
            while len(shelf) < upto:
                shelf.append(await shelved(store, passages))
            rate = added * passages / (time.perf_counter() - began)
            table.add_row(
                f"{upto:,}", f"{upto * passages:,}", f"{rate:,.0f}", *await looked(store, shelf), *sizes(folder)
            )
    Console(width=130).print(table)


async def shelved(store: ChromaStore, count: int) -> Novel:
    """Puts an invented novel into the store, as an ingestion does."""
    novel = Novel(
        str(uuid4()), str(uuid4()), public=True, generation=1, language="en", chapters=CHAPTERS, passages=count
    )
    for start in range(0, count, BATCH):
        part = [invented(at, count) for at in range(start, min(start + BATCH, count))]
        await store.add_passages(novel.id, novel.generation, part, reading(len(part)))
    await store.put_novel(novel)
    return novel


def invented(at: int, count: int) -> Passage:
    """A passage of numbered words."""
    content = " ".join(f"w{number}" for number in _chance.zipf(1.3, WORDS) % 20_000)
    return Passage(str(uuid4()), content, 1 + at * CHAPTERS // count, "A chapter", at)


def reading(count: int) -> Reading:
    """What a model might say of passages."""
    vectors = _chance.standard_normal((count, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Reading(vectors, [tokens(TOKENS) for _ in range(count)])


def tokens(count: int) -> Tokens:
    """What it might say of tokens."""
    ids = _chance.integers(0, 30_000, count, dtype=np.uint16)
    return Tokens(ids, _chance.integers(-40, 40, (count, NUMBERS), dtype=np.int8))


async def looked(store: ChromaStore, shelf: Sequence[Novel]) -> tuple[str, str, str]:
    """Medians of reading a record, loading an index, and searching in it, in milliseconds."""
    question = Question(reading(1).vectors[0], tokens(8))
    records, loads, searches = [], [], []
    for at in _chance.integers(0, len(shelf), LOOKS):
        indexes = Indexes(store, 1)
        began = time.perf_counter()
        novel = await store.novel(shelf[int(at)].id)
        known = time.perf_counter()
        index = await indexes.get(novel or shelf[int(at)])
        loaded = time.perf_counter()
        await indexes.run(partial(index.search, QUERY, question, 10, None))
        records.append(known - began)
        loads.append(loaded - known)
        searches.append(time.perf_counter() - loaded)
        await indexes.close()
    record, load, search = (f"{statistics.median(times) * 1000:.1f}" for times in (records, loads, searches))
    return record, load, search


def sizes(folder: Path) -> tuple[str, str]:
    """The store on disk, and the most memory that this process had, in MiB."""
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{disk / 1024**2:,.0f}", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f}"


if __name__ == "__main__":
    main()
