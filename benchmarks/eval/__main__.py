"""How well and how fast passages are found through the real service, against BM25, dense vectors and their fusion.

Usage: python -m benchmarks.eval --novels DIR --queries FILE [--out FILE]. FILE has a line of JSON for each query: id,
novel (a file DIR/novel.txt), query, answers (quotes, any of which is right), kind. The novels that are named are
ingested and searched over gRPC; the others of DIR are left alone. Ends by itself in some minutes.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.eval.advised import advised
from benchmarks.eval.house import Room, search_room
from benchmarks.eval.rankings import NAMES, baselines
from benchmarks.eval.scoring import DEPTH, Query, rank, scored
from services.search.domain.calm import Calm
from services.search.domain.indexes import Indexes
from services.search.domain.languages import primary
from services.search.domain.searching import Searching
from services.search.domain.second_readings import OWN_LANGUAGES
from services.search.providers import PROVIDERS
from services.search.providers.pool import open_embedder
from services.search.second import open_second
from services.search.stores.chroma import open_chroma

OURS = "gaji"
DEEP = 50
ROUNDS = 8
"""Searches of each query in a measurement, each worded a little differently, so that none of them is cached."""

out = Console(highlight=False)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--novels", type=Path, required=True, help="folder of DIR/NOVEL.txt")
    parser.add_argument("--queries", type=Path, required=True, help="lines of JSON")
    parser.add_argument("--out", type=Path, help="write our rankings to it, a line of JSON for each query")
    arguments = parser.parse_args()
    queries = read_queries(arguments.queries)
    with tempfile.TemporaryDirectory(prefix="gaji-eval-") as folder:
        uvloop.run(evaluate(Path(folder), arguments.novels, queries, arguments.out))


def read_queries(path: Path) -> list[Query]:
    """The queries of a file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Query(row["id"], row["novel"], row["query"], row.get("kind", ""), row["answers"]) for row in rows]


async def evaluate(folder: Path, novels: Path, queries: Sequence[Query], saved: Path | None) -> None:
    """Ingests, searches, measures and prints."""
    async with search_room(folder) as room:
        ids = await _ingested(room, novels, queries)
        if room.settings.sentences == "all":
            await _read_again(room, ids)
        first = max(ids, key=lambda name: sum(query.novel == name for query in queries))
        one = [query for query in queries if query.novel == first]
        await _speed(room, ids, one, f"uncached, one novel ({first})")
        await _speed(room, ids, queries, f"uncached, {len(ids)} novels loaded")
        await _speed(room, ids, queries, "cached", worded=False)
        found, deep = dict[str, list[str]](), 0
        for query in queries:
            shown, _ = await room.search(ids[query.novel], query.text, DEEP)
            found[query.id] = [passage.content for passage in shown]
            deep += rank(found[query.id], query.answers) > 0
        rankings = {name: dict[str, list[str]]() for name in NAMES} | {OURS: found}
        async with open_chroma(room.settings) as store, open_embedder(room.settings, PROVIDERS) as embedder:
            indexes = Indexes(store, room.settings.index_bytes)
            for query in queries:
                novel = await store.novel(ids[query.novel])
                assert novel is not None
                for name, passages in (await baselines(indexes, embedder, novel, query.text)).items():
                    rankings[name][query.id] = passages
            async with open_second(room.settings, store, embedder, embedder, Calm()) as second:
                searching = Searching(store, embedder, indexes, second)
                rankings |= await advised(searching, store, ids, queries)
            await indexes.close()
    _print_scores(queries, rankings)
    out.print(f"{OURS}: within {DEEP} passages {deep / len(queries):.3f}")
    if saved is not None:
        await asyncio.to_thread(_save, saved, queries, found)


async def _ingested(room: Room, novels: Path, queries: Sequence[Query]) -> dict[str, str]:
    ids = {}
    for name in dict.fromkeys(query.novel for query in queries):
        text = (novels / f"{name}.txt").read_text(encoding="utf-8")
        ids[name], seconds = await room.ingest(text)
        words = len(text.split())
        out.print(f"ingested {name}: {words:,} words in {seconds:.1f} s, {words / seconds:,.0f} a second")
        _, cold = await room.search(ids[name], "a first search")
        out.print(f"  its first search, which loads the index: {cold * 1000:.0f} ms")
    return ids


async def _read_again(room: Room, ids: Mapping[str, str]) -> None:
    """Waits for the second readings, which come after the ingestions: what is measured is with them."""
    began = time.perf_counter()
    async with open_chroma(room.settings) as store:
        for novel_id in ids.values():
            novel = await store.novel(novel_id)
            assert novel is not None
            while primary(novel.language) in OWN_LANGUAGES and not await store.has_sentences(novel):  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.5)
    out.print(f"read a second time {time.perf_counter() - began:.1f} s after the last ingestion")
    for novel_id in ids.values():
        await room.search(novel_id, "a search that has the model loaded")
    await asyncio.sleep(2)
    for novel_id in ids.values():
        await room.search(novel_id, "a first search of sentences")


async def _speed(
    room: Room, ids: Mapping[str, str], queries: Sequence[Query], what: str, *, worded: bool = True
) -> None:
    seconds = []
    for number in range(ROUNDS):
        for query in queries:
            # What is added says nothing, but spaces alone would be cut off.
            text = f"{query.text} {'.' * (number + 1)}{what[-8:-1]}" if worded else query.text
            seconds.append((await room.search(ids[query.novel], text))[1])
    measured = sorted(seconds if worded else seconds[len(queries) :])
    p95 = statistics.quantiles(measured, n=20)[-1]
    out.print(
        f"{what}: p50 {statistics.median(measured) * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms, {len(measured)} searches"
    )


def _save(path: Path, queries: Sequence[Query], found: Mapping[str, Sequence[str]]) -> None:
    lines = [{"id": query.id, "passages": found[query.id][:DEPTH]} for query in queries]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _print_scores(queries: Sequence[Query], rankings: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    ranks = {
        name: {query.id: rank(found[query.id][:DEPTH], query.answers) for query in queries}
        for name, found in rankings.items()
    }
    table = Table(title="recall@10 / MRR@10")
    for column in ("kind", "queries", *rankings):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind in [*sorted({query.kind for query in queries}), "all"]:
        chosen = [query for query in queries if kind in {query.kind, "all"}]
        scores = [scored([ranks[name][query.id] for query in chosen]) for name in rankings]
        cells = [f"{score.recall:.3f} / {score.mrr:.3f}" for score in scores]
        table.add_row(kind, str(len(chosen)), *cells, end_section=kind == "all")
    out.print(table)


if __name__ == "__main__":
    main()
