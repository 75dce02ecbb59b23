"""What the stages of an ingestion take: the real one, with a clock around what it calls."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

from services.library.intake.reading import read_book
from services.search.config import SearchSettings
from services.search.domain.chapters import split_chapters
from services.search.domain.characters import find_characters
from services.search.domain.indexes import Indexes
from services.search.domain.ingestion import Ingestions
from services.search.domain.languages import detect
from services.search.domain.passages import split_passages
from services.search.models import Ingested, Manuscript
from services.search.ports import Embedder, EmbeddingProvider, NovelStore, TokenProvider
from services.search.providers import PROVIDERS
from services.search.providers.pool import batches_of, open_embedder
from services.search.stores.chroma import open_chroma

READING, CHAPTERS, CUTTING, CHARACTERS = "the file", "language and chapters", "passages", "characters"
EMBEDDING, STORING, SWITCHING = "the model", "rows of the store", "the switch"
WHOLE, INDEX, BARE = "the whole", "the index into memory", "the bare model"
_STORE_STAGES = {
    "add_passages": STORING,
    "add_characters": STORING,
    "put_novel": SWITCHING,
    "drop_before": SWITCHING,
    "characters": SWITCHING,
}

T = TypeVar("T")


@dataclass(slots=True)
class Taken:
    """What something took: seconds of the clock, and of this process's processors."""

    seconds: float = 0.0
    cpu: float = 0.0


class Book:
    """Adds up what stages take."""

    def __init__(self) -> None:
        self.taken: dict[str, Taken] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The block is of that stage. Nothing else must run in the process meanwhile."""
        taken = self.taken.setdefault(name, Taken())
        began, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            taken.seconds += time.perf_counter() - began
            taken.cpu += time.process_time() - cpu

    def call(self, name: str, call: Callable[[], T]) -> T:
        """What a call returns."""
        with self.stage(name):
            return call()


class Clocked:
    """Passes everything on to an object, and notes what some of its coroutines take."""

    def __init__(self, inner: object, book: Book, stages: Mapping[str, str]) -> None:
        self._inner, self._book, self._stages = inner, book, stages

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name not in self._stages:
            return call

        async def clocked(*args: Any, **kwargs: Any) -> Any:
            with self._book.stage(self._stages[name]):
                return await call(*args, **kwargs)

        return clocked


class NoCache:
    """An `AnswerCache` that has nothing to forget."""

    async def forget(self, novel_id: str, character_ids: Sequence[str]) -> None:
        """Does nothing."""


async def ingestion(folder: Path, data: bytes, book: Book) -> Ingested:
    """Takes a file in as library and search do, into a store of its own.

    The stages before the model, which an ingestion runs one by one in threads, are run once more by themselves, since
    nothing can be put around them; `WHOLE` is without that.

    Args:
        folder: for the store; must be new.
        data: the file.
        book: is told what each stage takes.
    """
    text = book.call(READING, lambda: read_book(data, "novel.txt")).text
    language, chapters = book.call(CHAPTERS, lambda: (detect(text), split_chapters(text)))
    passages = book.call(CUTTING, lambda: split_passages(str(uuid4()), chapters))
    book.call(CHARACTERS, lambda: find_characters(str(uuid4()), language, passages))
    settings = settings_of(folder)
    async with open_chroma(settings) as store, open_embedder(settings, PROVIDERS) as embedder:
        await embedder.ask("minilm", "a query, so that the model is loaded")
        clocked = cast(NovelStore, Clocked(store, book, _STORE_STAGES))
        indexes = Indexes(store, 1 << 30)
        reader = cast(Embedder, Clocked(embedder, book, {"read": EMBEDDING}))
        ingestions = Ingestions(clocked, reader, NoCache(), indexes)
        manuscript = Manuscript(str(uuid4()), str(uuid4()), public=True, language="", text=text)
        done: Ingested | None = None
        with book.stage(WHOLE):
            async for event in ingestions.ingest(manuscript):
                if isinstance(event, Ingested):
                    done = event
        assert done is not None
        with book.stage(INDEX):
            await indexes.get(done.novel)
        await ingestions.close()
        await indexes.close()
    return done


def bare(provider: EmbeddingProvider, texts: Sequence[str], book: Book) -> None:
    """Has the model read the same passages in the same batches in as many threads, and does nothing else."""
    assert isinstance(provider, TokenProvider)
    batches = [[texts[at] for at in batch] for batch in batches_of(texts, provider.batch_size)]
    with ThreadPoolExecutor(provider.parallel) as threads, book.stage(BARE):
        for _ in threads.map(provider.read_passages, batches):
            pass


def settings_of(folder: Path) -> SearchSettings:
    """Settings with a store in a folder."""
    return SearchSettings(chroma_path=folder, listen="127.0.0.1:0", admin_listen="127.0.0.1:0")
