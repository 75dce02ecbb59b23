"""What becomes of a novel whose ingestion loses a process, and what an ingestion costs those who talk meanwhile."""

import asyncio
import random
import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from benchmarks.faults.killing import Killer
from benchmarks.faults.reader import Reader
from benchmarks.faults.running import Replica, Stack
from benchmarks.faults.scenarios import Fact
from benchmarks.faults.world import Client, World

REPLICAS = "gateway=2,generation=2,library=2,worker-low=2"
SPREAD = "embedding-worker=2"
SIZE = 150_000
"""Characters of the novel that loses a process."""
LONG = 4
"""How much longer the one is that is taken in while others talk."""
TALKS = 10
_PERCENT = 30  # of the ingestion, when the process is killed
_SENTENCES = (
    "On day {n} the keeper Marta Venn counted the waves below the quay and wrote the number in a grey book.",
    'Edwin Sloane asked her why, and Marta answered, "Because somebody must know how often the sea has tried."',
    "The boat that nobody had built lay on the sand for its night number {n} and did not rot.",
    "Behind the ninety steps the lamp hummed, and the gulls of Hollow Quay kept well away from its glass.",
    'In the evening Captain Oriel Brandt came with news of ship {n}; "She saw no light," said Oriel, "none at all."',
)
_PER_CHAPTER = 60


@dataclass(frozen=True, slots=True)
class _Taken:
    """A novel that was taken in: its passages in search, how long it took, who was killed and who finished it."""

    passages: int
    seconds: float
    victims: list[str]
    by: list[str]

    def __str__(self) -> str:
        killed = f"{' and '.join(self.victims)} killed; " if self.victims else ""
        return f"{killed}{self.passages} passages in {self.seconds:.1f} s by {' and '.join(self.by)}"


def novel(size: int) -> str:
    """A text of about so many characters, the same each time."""
    parts, length, number = [], 0, 0
    while length < size:
        if number % _PER_CHAPTER == 0:
            parts.append(f"\n\nChapter {number // _PER_CHAPTER + 1}\n")
        number += 1
        parts.append(" ".join(_SENTENCES).format(n=number) + "\n\n")
        length += len(parts[-1])
    return "".join(parts)


async def killed(stack: Stack, chance: random.Random) -> list[Fact]:
    """The workers, then the library replica that has it, are killed while a novel is being taken in."""

    def workers(_novel_id: str) -> list[Replica]:
        return stack.replicas("worker-low")

    def driver(novel_id: str) -> list[Replica]:
        return stack.logged("library", ("ingestion begins", novel_id))

    async with Client(stack.gateways) as client, Killer(stack, chance) as killer:
        await World(client).make()  # loads what is lazy
        whole = await _ingested(stack, client)
        facts = [Fact("ingestion, undisturbed", str(whole), whole.passages > 0)]
        for name, whom in (("its workers killed", workers), ("its library replica killed", driver)):
            taken = await _ingested(stack, client, killer, whom)
            same = taken.passages == whole.passages
            facts.append(Fact(f"ingestion, {name}", f"{taken}{', none twice' * same}", same))
            await stack.settled()
        return facts


async def spread(stack: Stack, chance: random.Random) -> list[Fact]:
    """One worker that reads passages, then both, are killed while a novel is being taken in."""

    def one(_novel_id: str) -> list[Replica]:
        return stack.replicas("embedding-worker")[:1]

    def both(_novel_id: str) -> list[Replica]:
        return stack.replicas("embedding-worker")

    async with Client(stack.gateways) as client, Killer(stack, chance) as killer:
        await World(client).make()  # loads what is lazy
        whole = await _ingested(stack, client)
        facts = [Fact("ingestion by two embedding workers, undisturbed", str(whole), whole.passages > 0)]
        for name, whom in (("one of them killed", one), ("both killed", both)):
            taken = await _ingested(stack, client, killer, whom)
            facts.append(Fact(f"the same, {name}", str(taken), taken.passages == whole.passages))
            await stack.settled()
        return facts


async def beside(stack: Stack, chance: random.Random) -> list[Fact]:
    """Conversations begin, first alone, then while a novel is being taken in."""
    async with Client(stack.gateways) as client:
        world = await World(client).make()
        await _first_tokens(world, chance)  # warms up what is lazy
        alone = await _first_tokens(world, chance)
        novel_id = await client.add_novel("The Waves, Counted", novel(LONG * SIZE))
        await _reached(client, novel_id, "INGESTION_STATUS_RUNNING")
        with_novel = await _first_tokens(world, chance)
        status = (await client.ask("GET", f"/api/novels/{novel_id}"))["status"]
        running = status == "INGESTION_STATUS_RUNNING"
        note = "" if running else f" (the ingestion was over before the last: {status})"
        await client.ingested(novel_id)
        return [
            Fact(f"first token of {TALKS} openings at once, alone", _spread(alone)),
            Fact("the same while a novel is taken in", _spread(with_novel) + note, running),
        ]


async def _ingested(
    stack: Stack, client: Client, killer: Killer | None = None, whom: Callable[[str], list[Replica]] | None = None
) -> _Taken:
    """Has the novel ingested, with or without a kill.

    Raises:
        RuntimeError: what the novel says of its passages, the rows and the different rows are not one number.
    """
    began = time.monotonic()
    novel_id = await client.add_novel("The Waves, Counted", novel(SIZE))
    victims: list[str] = []
    if killer is not None and whom is not None:
        await client.ingested_to(novel_id, _PERCENT)
        killed_ = [await killer.kill(replica, group=True) for replica in whom(novel_id)]
        victims = [replica.name for replica in killed_ if replica is not None]
    done = await client.ingested(novel_id)
    seconds = time.monotonic() - began
    rows = await asyncio.to_thread(_rows, stack, novel_id)
    if len(rows) != done["passages"] or len(set(rows)) != len(rows):
        text = f"{done['passages']} passages told, {len(rows)} rows, {len(set(rows))} of them different"
        raise RuntimeError(f"novel {novel_id}: {text}")
    if killer is not None and not victims:
        raise RuntimeError(f"novel {novel_id}: nobody was killed")
    by = stack.logged("library", ("ingestion ends", novel_id, "complete"))
    return _Taken(len(rows), seconds, victims, [replica.name for replica in by])


async def _reached(client: Client, novel_id: str, status: str) -> None:
    async with asyncio.timeout(60):
        while (await client.ask("GET", f"/api/novels/{novel_id}"))["status"] != status:  # noqa: ASYNC110 - it asks
            await asyncio.sleep(0.05)


async def _first_tokens(world: World, chance: random.Random) -> list[float]:
    """Milliseconds from the request of an opening to its first token; all begin at once and are read to the end."""

    async def one() -> float:
        reader = Reader(world.client.gateways, world.opening(), world.client.token, chance)
        began = time.monotonic()
        await reader.run()
        assert reader.seen.first is not None
        return (reader.seen.first - began) * 1000

    return await asyncio.wait_for(asyncio.gather(*(one() for _ in range(TALKS))), 120.0)


def _spread(milliseconds: list[float]) -> str:
    return f"median {statistics.median(milliseconds):.0f} ms, longest {max(milliseconds):.0f} ms"


def _rows(stack: Stack, novel_id: str) -> list[str]:
    """The passages that the vector store holds for a novel, of whatever generation."""
    database = stack.data_dir / "chroma" / "chroma.sqlite3"
    query = """
        SELECT passage.string_value FROM embedding_metadata AS novel
        JOIN embedding_metadata AS passage ON passage.id = novel.id AND passage.key = 'passage_id'
        WHERE novel.key = 'novel_id' AND novel.string_value = ?
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return [row[0] for row in connection.execute(query, (novel_id,))]
