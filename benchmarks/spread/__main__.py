"""Takes a novel in by search alone and by search with workers, all on this machine.

Usage: python -m benchmarks.spread NOVEL.txt [--workers N] [--rounds N]. The search room runs in this process, each
worker in one of its own, Valkey beside them; loopback only. Where one ingestion keeps all cores busy, workers cannot be
faster: what it shows there is what carrying the bytes costs.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop
from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc
from rich.console import Console
from rich.table import Table

from mesh.client import open_channel
from services.search.__main__ import SEARCH, serving
from services.search.config import SearchSettings
from services.search.fleet.wire import Batch, packed_batch, packed_reading
from services.search.providers import PROVIDERS
from services.search.providers.pool import open_embedder
from stack.embedded.valkey import open_valkey
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.probes import http_ok
from stack.processes import Program, running

STAGES = ("before", "embedding", "storing")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("novel", type=Path, help="a text")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="of each, by turns")
    arguments = parser.parse_args()
    text = arguments.novel.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="gaji-spread-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - Valkey runs as a user of its own where this one is root
        uvloop.run(measure(Path(folder), text, arguments.workers, arguments.rounds))


async def measure(folder: Path, text: str, workers: int, rounds: int) -> None:
    """By turns, since a machine has better and worse minutes."""
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(open_valkey(folder / "valkey"))
        for number in range(workers):
            await stack.enter_async_context(running(worker(folder, valkey.url, number)))
        local = settings(folder / "local")
        spread = settings(folder / "spread", embedding="workers", redis_url=valkey.url)
        times: dict[str, list[Sequence[float]]] = {"search alone": [], f"with {workers} workers": []}
        for _ in range(rounds):
            for name, chosen in zip(times, (local, spread), strict=True):
                times[name].append(await ingested(chosen, text))
        show(times)
        await show_bytes(spread, text)


def settings(folder: Path, **changes: Any) -> SearchSettings:
    """A room with a store of its own and no cache."""
    where = {"listen": f"{HOST}:0", "admin_listen": f"{HOST}:0", "cache_target": f"{HOST}:1", "chroma_path": folder}
    return SearchSettings().model_copy(update={**where, "drain_seconds": 0.0, **changes})


def worker(folder: Path, url: str, number: int) -> Program:
    """A worker."""
    admin = f"{HOST}:{Ports().free()}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GAJI_")}
    return Program(
        name=f"embedding-worker-{number}",
        argv=[sys.executable, "-P", "-m", "services.search.embedding_worker"],
        log=LogFile(folder / f"worker-{number}.log"),
        ready=http_ok(admin, "/health"),
        env={**kept, "GAJI_REDIS_URL": url, "GAJI_ADMIN_LISTEN": admin},
        folder=Path.cwd(),
    )


async def ingested(chosen: SearchSettings, text: str) -> Sequence[float]:
    """How long the stages of an ingestion took, in seconds."""
    request = pb.IngestNovelRequest(
        novel_id=str(uuid.uuid4()), owner_id=str(uuid.uuid4()), public=True, title="A novel", text=text
    )
    async with serving(chosen) as server, open_channel(server.address, chosen, [SEARCH]) as channel:
        began, ends = time.monotonic(), dict[str, float]()
        async for event in rpc.SearchServiceStub(channel).IngestNovel(request, timeout=900):
            stage = event.progress.stage if event.WhichOneof("event") == "progress" else "storing"
            ends[stage if stage in STAGES else STAGES[0]] = time.monotonic()
    marks = [began, *(ends[stage] for stage in STAGES)]
    return [after - before for before, after in pairwise(marks)]


def show(times: dict[str, list[Sequence[float]]]) -> None:
    """Medians, and ratios to the first."""
    table = Table(title="one ingestion, seconds")
    for heading in ("", *STAGES, "all", "ratio"):
        table.add_column(heading, justify="left" if not heading else "right")
    first = 0.0
    for name, rounds in times.items():
        stages = [statistics.median(one) for one in zip(*rounds, strict=True)]
        whole = statistics.median(sum(one) for one in rounds)
        first = first or whole
        table.add_row(name, *(f"{seconds:.1f}" for seconds in stages), f"{whole:.1f}", f"{whole / first:.2f}")
    Console(width=100).print(table)


async def show_bytes(chosen: SearchSettings, text: str) -> None:
    """What a batch and its reading take in Valkey."""
    words = text.split()
    size = chosen.embedding_batch
    texts = [" ".join(words[at * 150 : at * 150 + 150]) for at in range(10, 10 + size)]
    async with open_embedder(chosen, PROVIDERS) as embedder:
        reading = await embedder.read("minilm", texts, lambda _: None)
    there, back = len(packed_batch(Batch("", texts))), len(packed_reading(reading))
    print(f"a batch of {size} passages: {there:,} bytes there, {back:,} back, {back / size:,.0f} a passage")


if __name__ == "__main__":
    main()
