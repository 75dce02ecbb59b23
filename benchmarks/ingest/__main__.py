"""How fast a novel is taken in, what each stage takes of that, and how much of it is not the model.

Usage: python -m benchmarks.ingest [--novel NAME] [--rounds N] [--quick] [--json FILE]. Linux only; nothing is sent
anywhere; ends by itself in about five minutes. Rounds take turns with the bare model, which is given the same passages
in the same batches in as many threads. All runs in this process, so that its processor time is that of the stages.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import uvloop

from benchmarks.ingest.stages import (
    BARE,
    CHAPTERS,
    CHARACTERS,
    CUTTING,
    EMBEDDING,
    INDEX,
    READING,
    STORING,
    SWITCHING,
    WHOLE,
    Book,
    Taken,
    bare,
    ingestion,
    settings_of,
)
from benchmarks.novels import novel
from benchmarks.results import Results, Spread, machine, options, turns
from services.library.intake.reading import read_book
from services.search.domain.chapters import split_chapters
from services.search.domain.passages import split_passages
from services.search.providers.minilm import MiniLM

NOVEL, QUICK_NOVEL = "frankenstein", "alice-in-wonderland"
_SHOWN = (READING, CHAPTERS, CUTTING, CHARACTERS, EMBEDDING, STORING, SWITCHING, WHOLE, BARE, INDEX)
_BEFORE = (CHAPTERS, CUTTING, CHARACTERS)


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--novel", default=NOVEL, help="an English one: a file of the novels' folder, without .txt")
    arguments = parser.parse_args()
    name, rounds = (QUICK_NOVEL, 1) if arguments.quick else (arguments.novel, arguments.rounds)
    text, real = novel(name)
    results = Results("ingest", machine("chromadb", "onnxruntime", "tokenizers"))
    books, count = uvloop.run(measure(text, rounds))
    report(results, name, text, books, count)
    if not real:
        results.notes.append("The text is invented: GAJI_NOVELS names a folder of novels.")
    results.finish(arguments.json)


async def measure(text: str, rounds: int) -> tuple[list[Book], int]:
    """What each stage took in each round; and how many passages there are."""
    with tempfile.TemporaryDirectory(prefix="gaji-bench-") as folder:
        provider = MiniLM(settings_of(Path(folder) / "none"))
        as_taken_in = read_book(text.encode(), "novel.txt").text
        passages = [one.content for one in split_passages(str(uuid4()), split_chapters(as_taken_in))]
        await asyncio.to_thread(bare, provider, passages[:: max(1, len(passages) // 40)], Book())
        books = [Book() for _ in range(rounds)]
        for turn, way in turns((WHOLE, BARE), rounds, warm_up=0):
            if way == BARE:
                bare(provider, passages, books[turn])
            else:
                await ingestion(Path(folder) / str(turn), text.encode(), books[turn])
        return books, len(passages)


def report(results: Results, name: str, text: str, books: Sequence[Book], count: int) -> None:
    """Makes the tables."""
    words = len(text.split())
    taken = {stage: [book.taken[stage] for book in books] for stage in _SHOWN}
    rows = [
        [
            stage,
            Spread.of([one.seconds for one in taken[stage]]).text(2),
            Spread.of([one.cpu * 1000 / count for one in taken[stage]]).text(2),
            "" if stage in {READING, BARE, INDEX} else f"{_share(taken[stage], taken[WHOLE]):.1%}",
        ]
        for stage in _SHOWN
    ]
    results.table(
        f"an ingestion of {words:,} words, {count:,} passages: medians of {len(books)} rounds (least-most)",
        ("stage", "seconds", "CPU ms a passage", "of the whole's CPU"),
        rows,
    )
    speeds = [
        [
            way,
            *(
                Spread.of([of / one.seconds for one in taken[way]]).text(digits)
                for of, digits in ((words, 0), (count, 1))
            ),
        ]
        for way in (WHOLE, BARE)
    ]
    results.table("how fast", ("", "words a second", "passages a second"), speeds)
    pairs = list(zip(taken[WHOLE], taken[BARE], strict=True))
    clock = Spread.of([1 - model.seconds / whole.seconds for whole, model in pairs])
    cpu = Spread.of([1 - model.cpu / whole.cpu for whole, model in pairs])
    results.notes.append(
        f"What is not the model: {clock.median:.1%} of the time ({clock.low:.1%} to {clock.high:.1%}), "
        f"{cpu.median:.1%} of the CPU ({cpu.low:.1%} to {cpu.high:.1%}). The file is read by library, before; the "
        f"index is built when the novel is first searched; {', '.join(_BEFORE)} are measured apart, beside the whole."
    )
    results.raw |= {"words": words, "passages": count, "novel": name, "stages": taken}


def _share(stage: Sequence[Taken], whole: Sequence[Taken]) -> float:
    return Spread.of_ratios([one.cpu for one in stage], [one.cpu for one in whole]).median


if __name__ == "__main__":
    main()
