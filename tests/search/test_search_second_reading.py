"""Second readings of novels: what finds them, what makes them, and what happens until they are there."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import deadlines
from mesh.errors import Unavailable
from services.search.config import SearchSettings
from services.search.domain.calm import Calm
from services.search.domain.chapters import split_chapters
from services.search.domain.passages import split_passages
from services.search.domain.second_making import MAX_WAITING, RETRY_SECONDS, Making
from services.search.domain.second_reading import SecondReading, kept_of, levels_of
from services.search.domain.second_readings import INGESTED_SECONDS, LOOK_SECONDS, SecondReadings, UnreadError
from services.search.models import Novel, Passage
from services.search.ports import Embedder, Question, Reading, Sentences
from services.search.providers import PROVIDERS
from services.search.providers.pool import EmbeddingPool
from tests.search.bilingual import QUERIES, found_at, spans
from tests.search.stories import KOREAN_STORY, STORY, novel

PATIENCE = 60.0
NIGHT = "밤"
SECONDS = 1_000_000
"""Of a generation, which is a time in microseconds."""


def passages_of(text: str) -> list[Passage]:
    return split_passages(str(uuid.uuid4()), split_chapters(text))


def a_novel(language: str, passages: Sequence[Passage] = (), generation: int = 1) -> Novel:
    shelved = Novel(str(uuid.uuid4()), str(uuid.uuid4()), public=True, generation=generation, language=language)
    return replace(shelved, passages=len(passages))


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[EmbeddingPool]:
    """The real models, each loaded once."""
    embedder = EmbeddingPool(SearchSettings(), PROVIDERS)
    yield embedder
    await embedder.close()


class Held:
    """An embedder that waits until it is let go, and fails when told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.calls = 0
        self.fails = False

    def choose(self, language: str) -> str:
        return "held"

    async def read(self, embedder: str, texts: Sequence[str], progress: Callable[[int], None]) -> Reading:
        self.calls += 1
        await self.go.wait()
        if self.fails:
            raise Unavailable("no", reason="EMBEDDER_UNREACHABLE")
        return Reading(np.full((len(texts), 4), 0.5, dtype=np.float32))

    async def ask(self, embedder: str, text: str) -> Question:
        return Question(np.full(4, 0.5, dtype=np.float32))


class Shelf:
    """A store of records and second readings, which fails when told to."""

    def __init__(self) -> None:
        self.novels: dict[str, Novel] = {}
        self.readings: dict[tuple[str, int], Sentences] = {}
        self.looks = 0
        self.fails = False

    def shelve(self, *novels: Novel) -> None:
        self.novels |= {one.id: one for one in novels}

    async def novel(self, novel_id: str) -> Novel | None:
        return self.novels.get(novel_id)

    async def add_sentences(self, novel_id: str, generation: int, sentences: Sentences) -> None:
        self.readings[novel_id, generation] = sentences

    async def has_sentences(self, novel: Novel) -> bool:
        self.looks += 1
        return (novel.id, novel.generation) in self.readings

    async def sentences(self, novel: Novel) -> Sentences | None:
        if self.fails:
            raise Unavailable("no", reason="STORE_UNAVAILABLE")
        return self.readings.get((novel.id, novel.generation))

    async def drop_generation(self, novel_id: str, generation: int) -> None:
        self.readings.pop((novel_id, generation), None)


class House:
    """Second readings and what they are made of."""

    def __init__(self, embedder: Embedder, shelf: Shelf | None = None, **changes: Any) -> None:
        self.clock = 1_000.0
        self.shelf = shelf or Shelf()
        self.calm = Calm()
        store: Any = self.shelf
        self.making = Making(store, embedder, self.calm, clock=lambda: self.clock)
        given: dict[str, Any] = {"own": True, "max_bytes": 1 << 24, "patience": PATIENCE} | changes
        now = lambda: self.clock  # noqa: E731 - a clock, as the other one
        self.second = SecondReadings(store, embedder, self.making, clock=now, now=now, **given)

    async def made(self, about: Novel, passages: Sequence[Passage]) -> bool:
        """Has a novel read and waits for it."""
        task = self.making.begin(about, in_hand(passages))
        return task is not None and await task

    async def ready(self, about: Novel) -> None:
        """Waits until a reading that is stored can be used."""
        async with asyncio.timeout(PATIENCE):
            while not await self.second.there(about):
                await asyncio.sleep(0.01)


def in_hand(passages: Sequence[Passage]) -> Callable[[], Any]:
    async def given() -> Sequence[Passage]:
        return passages

    return given


@pytest.fixture
async def held() -> AsyncIterator[tuple[House, Held]]:
    """A house whose embedder is held."""
    embedder = Held()
    house = House(embedder)
    yield house, embedder
    await house.second.close()


@pytest.mark.parametrize(
    ("text", "language", "query", "wanted"),
    [
        (STORY, "en", "폭풍우가 치는 밤에 다친 아저씨를 발견한다", "wound on his forehead"),
        (STORY, "en", "해초 속에서 검은 보석 반지를 줍는다", "picked it out of the weed"),
        (KOREAN_STORY, "ko", "the father who came back on a boat", "배에는 오래전에 떠난 아버지"),
    ],
)
async def test_the_right_passage_across_languages(
    pool: EmbeddingPool, text: str, language: str, query: str, wanted: str
) -> None:
    house, passages = House(pool), passages_of(text)
    about = a_novel(language, passages)
    house.shelf.shelve(about)
    assert house.second.concern(about, query) == "foreign"
    asked = await house.second.missed(about, passages, query)
    assert asked is not None
    views = asked.views(len(passages))
    best = int(np.argmax(views["foreign sentence"] + views["foreign passage"]))
    assert wanted in " ".join(passages[best].content.split())


async def test_the_likest_sentence_in_the_novel_s_own_language(pool: EmbeddingPool) -> None:
    house, passages = House(pool), passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    assert await house.made(about, passages)
    await house.ready(about)
    (view,) = (await house.second.asked(about, "She found a ring in the seaweed")).views(len(passages)).items()
    assert view[0] == "sentence"
    assert "picked it out of the weed" in " ".join(passages[int(np.argmax(view[1]))].content.split())


async def test_korean_stories_are_found_by_english_queries(pool: EmbeddingPool) -> None:
    """Recall over the Korean stories, where they are at hand, by what was measured less a margin."""
    house, hits, asked = House(pool), 0, 0
    for name in ("nalgae", "unsu-joeun-nal"):
        text = novel(name)
        if text is None:
            continue
        passages = passages_of(text)
        about = a_novel("ko", passages)
        house.shelf.shelve(about)
        ranges = spans(text, passages)
        for one in QUERIES:
            if one.novel == name and one.language == "en":
                found = await house.second.missed(about, passages, one.query)
                assert found is not None
                views = found.views(len(passages))
                best = np.argsort(-sum(view / view.std() for view in views.values()), kind="stable")[:10]
                hits += found_at(one, [ranges[at] for at in best])
                asked += 1
    assert hits >= 0.8 * asked


async def test_which_queries_it_is_for(pool: EmbeddingPool) -> None:
    second = House(pool).second
    assert second.concern(a_novel("en-GB"), "엘리자베스") == "foreign"
    assert second.concern(a_novel("ko"), "goldfish") == "foreign"
    assert second.concern(a_novel("en"), "Elizabeth") == "own"
    assert second.concern(a_novel("ko"), "금붕어") == "none"  # nobody has shown that it helps there
    assert second.concern(a_novel("sv"), "엘리자베스") == "none"  # the model knows no Swedish
    assert second.concern(replace(a_novel("en"), embedder="gemini"), "엘리자베스") == "none"
    assert House(pool, own=False).second.concern(a_novel("en"), "Elizabeth") == "none"
    assert House(pool, own=False).second.concern(a_novel("en"), "엘리자베스") == "foreign"
    assert House(pool, max_bytes=0).second.concern(a_novel("en"), "엘리자베스") == "none"


async def test_what_is_missing_is_made_once_for_all(held: tuple[House, Held]) -> None:
    house, embedder = held
    house.second._patience = 0.01
    passages = passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    answers = await asyncio.gather(*(house.second.missed(about, passages, NIGHT) for _ in range(100)))
    assert answers == [None] * 100
    assert embedder.calls == 1
    assert not await house.second.there(about)
    embedder.go.set()
    house.second._patience = PATIENCE
    assert await house.second.missed(about, passages, NIGHT) is not None
    assert await house.second.there(about)
    calls = embedder.calls
    # another generation is another text
    later = replace(about, generation=2)
    house.shelf.shelve(later)
    assert not await house.second.there(later)
    assert await house.second.missed(later, passages, NIGHT) is not None
    assert embedder.calls == 2 * calls
    # another replica has not to make it
    other = House(Held(), house.shelf)
    await other.ready(later)
    assert len(await other.second._reading(later)) == len(passages)


async def test_a_query_in_haste_does_not_wait(held: tuple[House, Held]) -> None:
    house, _ = held
    async with asyncio.timeout(PATIENCE / 2):
        with deadlines.scope(0.1):
            assert await house.second.missed(a_novel("en"), passages_of(STORY), NIGHT) is None


async def test_a_failure_is_no_error_and_is_not_repeated_at_once(held: tuple[House, Held]) -> None:
    house, embedder = held
    embedder.fails = True
    embedder.go.set()
    passages = passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    for _ in range(3):
        assert await house.second.missed(about, passages, NIGHT) is None
    assert embedder.calls == 1
    embedder.fails = False
    house.clock += RETRY_SECONDS
    assert await house.second.missed(about, passages, NIGHT) is not None


async def test_memory_and_work_are_bounded(held: tuple[House, Held]) -> None:
    house, embedder = held
    house.second._max_bytes, house.second._patience = 1, 0.01
    passages = passages_of(STORY)
    novels = [a_novel("en", passages) for _ in range(MAX_WAITING + 4)]
    house.shelf.shelve(*novels)
    await asyncio.gather(*(house.second.missed(one, passages, NIGHT) for one in novels))
    assert len(house.making) == MAX_WAITING
    assert embedder.calls == 1
    embedder.go.set()
    house.second._patience = PATIENCE
    for one in novels[:MAX_WAITING]:
        assert await house.second.missed(one, passages, NIGHT) is not None
    assert len(house.second._kept) == 1  # larger than the limit, but it is in use


async def test_it_gives_way_to_ingestions_unless_somebody_waits(held: tuple[House, Held]) -> None:
    house, embedder = held
    embedder.go.set()
    passages = passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    with house.calm.ingesting():
        house.second.begin(about, in_hand(passages))
        for _ in range(20):
            await asyncio.sleep(0)
        assert (embedder.calls, len(house.making)) == (0, 1)
        assert await house.second.missed(about, passages, NIGHT) is not None
    assert embedder.calls > 0


async def test_it_is_made_when_the_ingestion_is_over(held: tuple[House, Held]) -> None:
    house, embedder = held
    embedder.go.set()
    passages = passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    with house.calm.ingesting():
        house.second.begin(about, in_hand(passages))
        await asyncio.sleep(0)
    await house.ready(about)


async def test_who_has_ingested_a_novel_is_left_the_time_to_read_it(held: tuple[House, Held]) -> None:
    house, embedder = held
    embedder.go.set()
    passages = passages_of(STORY)
    about = a_novel("en", passages, generation=int(house.clock * SECONDS))
    house.shelf.shelve(about)
    assert await house.second.missed(about, passages, "a ring") is None
    assert len(house.making) == 0
    assert not await house.second.there(about)
    house.clock += INGESTED_SECONDS + 1
    assert await house.second.missed(about, passages, "a ring") is None
    await house.ready(about)


async def test_the_store_is_asked_seldom(held: tuple[House, Held]) -> None:
    house, _ = held
    about = a_novel("en", passages_of(STORY))
    house.shelf.shelve(about)
    assert not any(await asyncio.gather(*(house.second.there(about) for _ in range(100))))
    assert not await house.second.there(about)
    assert house.shelf.looks == 1
    house.shelf.readings[about.id, about.generation] = some_sentences(about.passages)  # by another replica
    house.clock += LOOK_SECONDS
    await house.ready(about)
    assert house.shelf.looks == 2


async def test_a_reading_that_cannot_be_used_is_done_without(held: tuple[House, Held]) -> None:
    house, _ = held
    about = a_novel("en", passages_of(STORY))
    house.shelf.shelve(about)
    house.shelf.readings[about.id, about.generation] = some_sentences(about.passages)
    await house.ready(about)
    house.shelf.fails = True
    with pytest.raises(UnreadError):
        await house.second.asked(about, "a ring")
    assert not await house.second.there(about)
    house.shelf.fails = False
    house.clock += RETRY_SECONDS
    assert await house.second.there(about)
    assert await house.second.asked(about, "a ring")
    # a reading of another number of passages is of another text
    other = replace(about, generation=2, passages=about.passages + 1)
    house.shelf.shelve(other)
    house.shelf.readings[other.id, 2] = some_sentences(about.passages)
    assert await house.second.there(other)
    with pytest.raises(UnreadError):
        await house.second.asked(other, "a ring")


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "replaced"])
async def test_a_novel_that_is_no_more_leaves_nothing(held: tuple[House, Held], gone: bool) -> None:
    house, embedder = held
    passages = passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    task = house.making.begin(about, in_hand(passages))
    assert task is not None
    while not embedder.calls:
        await asyncio.sleep(0)
    if gone:
        del house.shelf.novels[about.id]
    else:
        house.shelf.shelve(replace(about, generation=2))
    embedder.go.set()
    assert not await task
    assert not house.shelf.readings


async def test_a_query_outlives_its_novel(held: tuple[House, Held]) -> None:
    house, embedder = held
    passages = passages_of(STORY)
    about = a_novel("en", passages)
    house.shelf.shelve(about)
    waiting = asyncio.create_task(house.second.missed(about, passages, NIGHT))
    while not embedder.calls:
        await asyncio.sleep(0)
    house.second.forget(about.id)
    assert await waiting is None


def some_sentences(passages: int) -> Sentences:
    return kept_of([["One.", "Two."]] * passages, np.full((2 * passages, 4), 0.5, dtype=np.float32))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 2**32 - 1), st.data())
def test_views_are_the_likest_sentence_and_the_mean(counts: list[int], seed: int, data: st.DataObject) -> None:
    numbers = np.random.default_rng(seed)
    vectors = numbers.standard_normal((sum(counts), 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[-1]
    lengths = numbers.integers(1, 200, sum(counts))
    starts = np.cumsum([0, *counts])
    passages = [["x" * length for length in lengths[start:end]] for start, end in pairwise(starts)]
    reading = SecondReading(kept_of(passages, vectors))
    first = data.draw(st.integers(1, len(counts)))
    likest, wholes = reading.likest(query, first), reading.wholes(query, first)
    assert likest.shape == wholes.shape == (first,)
    exact = vectors @ query
    for at, (start, end) in islice(enumerate(pairwise(starts)), first):
        assert likest[at] == pytest.approx(exact[start:end].max(), abs=0.05)
        mean = lengths[start:end] @ vectors[start:end]
        assert wholes[at] == pytest.approx(mean @ query / np.linalg.norm(mean), abs=0.05)
    # what lies beyond has no part in it
    alone = SecondReading(kept_of(passages[:first], vectors[: starts[first]]))
    assert np.array_equal(alone.likest(query, first), likest)
    assert np.array_equal(alone.wholes(query, first), wholes)


def test_numbers_stay_within_four_bits() -> None:
    levels = levels_of(np.eye(8, dtype=np.float32))
    assert levels.dtype == np.int8
    assert (levels.min(), levels.max()) == (0, 6)
    assert levels_of(-np.eye(512, dtype=np.float32)).min() == -7
