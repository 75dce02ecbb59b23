"""Ranking: each part against its plain formula, and nothing beyond a chapter limit has a part in it."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.search.domain import late_interaction, ranking
from services.search.domain.late_interaction import SHARPNESS, LateInteraction
from services.search.domain.novel_index import NovelIndex
from services.search.domain.products import Products
from services.search.domain.second_reading import Asked, SecondReading, kept_of
from services.search.models import Passage
from services.search.ports import Contents, Question, Reading, Tokens
from services.search.stores import rows, sentence_rows

WIDTH = 8
NUMBERS = st.integers(0, 2**32 - 1)
WORDS = ("lamp", "sea", "ring", "goat", "storm", "captain")


def tokens(random: np.random.Generator, count: int) -> Tokens:
    states = random.normal(size=(count, WIDTH))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    return Tokens(random.integers(0, 12, count).astype(np.uint16), np.rint(states * 127).astype(np.int8))


def contents(random: np.random.Generator, chapters: list[int]) -> Contents:
    texts = [" ".join(random.choice(WORDS, 6)) for _ in chapters]
    passages = [Passage(f"id-{at}", texts[at], chapter, "", at) for at, chapter in enumerate(chapters)]
    vectors = random.normal(size=(len(chapters), WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Contents(passages, Reading(vectors, [tokens(random, int(random.integers(0, 5))) for _ in chapters]))


def plain(passages: list[Tokens], query: Tokens, first: int) -> list[float]:
    """What late interaction computes, as its formula stands."""
    number = [sum(int(one in passage.ids) for passage in passages[:first]) for one in query.ids]
    weights = [np.log(1 + (first - n + 0.5) / (n + 0.5)) for n in number]
    scores = []
    for passage in passages[:first]:
        likeness = query.states.astype(float) @ passage.states.T.astype(float) / 127**2
        soft = [np.log(np.mean(np.exp(SHARPNESS * row))) / SHARPNESS for row in likeness] if len(passage.ids) else []
        scores.append(np.average(soft, weights=weights) if soft else -1.0)
    return scores


@given(NUMBERS, st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 4), st.data())
@settings(max_examples=60, deadline=None)
def test_late_interaction_is_its_formula(seed: int, lengths: list[int], asked: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    passages = [tokens(random, length) for length in lengths]
    query, first = tokens(random, asked), data.draw(st.integers(0, len(passages)))
    scores = LateInteraction(passages).scores(query, first)
    if asked:
        assert np.allclose(scores, plain(passages, query, first), atol=1e-4)
    else:
        assert scores.tolist() == [-1.0] * first


@pytest.mark.parametrize("block", [1, 30, 1_000])
def test_late_interaction_over_many_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(late_interaction, "BLOCK", block)
    random = np.random.default_rng(7)
    passages = [tokens(random, length) for length in [12] * 10 + [0, 80, 0, 0, 3]]
    query = tokens(random, 5)
    index = LateInteraction(passages)
    for first in range(len(passages) + 1):
        assert np.allclose(index.scores(query, first), plain(passages, query, first), atol=1e-4)


@given(NUMBERS, st.integers(1, 70), st.integers(1, 5), st.integers(1, 130), st.data())
@settings(max_examples=40, deadline=None)
def test_products_are_exact(seed: int, rows: int, vectors: int, numbers: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    many = random.choice(np.asarray([-128, -127, -1, 0, 1, 127], dtype=np.int8), (rows, numbers))
    few = random.choice(np.asarray([-128, -127, 0, 5, 127], dtype=np.int8), (vectors, numbers))
    start = data.draw(st.integers(0, rows - 1))
    end = data.draw(st.integers(start + 1, rows))
    exact = many[start:end].astype(int) @ few.T.astype(int)
    assert np.array_equal(Products(many).of(few, start, end), exact)


def sentences(random: np.random.Generator, passages: int) -> tuple[list[list[str]], npt.NDArray[np.float32]]:
    """Of each passage one to three, and their vectors."""
    texts = [["x" * length for length in random.integers(1, 90, count)] for count in random.integers(1, 4, passages)]
    vectors = random.normal(size=(sum(map(len, texts)), WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return texts, vectors


@given(
    NUMBERS,
    st.lists(st.integers(0, 4), min_size=1, max_size=14).map(sorted),
    st.integers(0, 5),
    st.sampled_from([None, False, True]),
)
@settings(max_examples=60, deadline=None)
def test_what_lies_beyond_the_limit_has_no_part(
    seed: int, chapters: list[int], limit: int, foreign: bool | None
) -> None:
    random = np.random.default_rng(seed)
    whole = contents(random, chapters)
    texts, vectors = sentences(random, len(chapters))

    def second(passages: int) -> Asked | None:
        rows = sum(map(len, texts[:passages]))
        kept = None if foreign is None else SecondReading(kept_of(texts[:passages], vectors[:rows]))
        return None if kept is None else Asked(kept, vectors[0], foreign=bool(foreign))

    seen = sum(chapter <= limit for chapter in chapters)
    reading = Reading(whole.reading.vectors[:seen], (whole.reading.tokens or [])[:seen])
    question = Question(whole.reading.vectors[0], tokens(random, 3))
    found = NovelIndex(whole, "en").search("lamp and storm", question, 50, limit, second(len(chapters)))
    assert len(found) == seen
    assert all(one.passage.chapter <= limit for one in found)
    if seen:
        short = NovelIndex(Contents(whole.passages[:seen], reading), "en")
        alone = short.search("lamp and storm", question, 50, None, second(seen))
        assert [(one.passage.id, one.score) for one in found] == [(one.passage.id, one.score) for one in alone]


def test_an_unsorted_novel_fails_closed() -> None:
    whole = contents(np.random.default_rng(1), [1, 1, 3, 2])
    found = NovelIndex(whole, "en").search("lamp", Question(whole.reading.vectors[0]), 10, 2)
    assert {one.passage.position for one in found} == {0, 1}


def test_scores_fall_and_lie_between_0_and_1() -> None:
    random = np.random.default_rng(2)
    whole = contents(random, [1] * 40)
    found = NovelIndex(whole, "en").search("lamp", Question(whole.reading.vectors[3], tokens(random, 4)), 40, None)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert all(0 <= one.distance <= 2 for one in found)


def test_neighbours_count_within_a_chapter_only() -> None:
    scores = np.asarray([0, 0, 0, 9, 0, 0], dtype=np.float32)
    one = ranking.smoothed(scores, np.asarray([1] * 6, dtype=np.int32))
    assert one[3] > one[2] == one[4] > one[1] == one[5] > one[0] == 0
    two = ranking.smoothed(scores, np.asarray([1, 1, 1, 2, 2, 2], dtype=np.int32))
    assert two[2] == two[1] == 0
    assert two[4] > two[5] > 0
    assert two[3] == pytest.approx(9 * (1 + sum(ranking.NEIGHBOURS)) / (1 + 2 * sum(ranking.NEIGHBOURS)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_passages(count: int) -> None:
    same = np.ones(count, dtype=np.float32)
    fit = ranking.fused({"meaning": same, "words": same}, np.ones(count, dtype=np.int32))
    assert fit.tolist() == [0.0] * count


@given(NUMBERS, st.lists(st.integers(0, 5), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_tokens_survive_the_store(seed: int, lengths: list[int]) -> None:
    random = np.random.default_rng(seed)
    given_tokens = [tokens(random, length) for length in lengths]
    passages = [Passage(f"id-{at}", "text", 1, "", at) for at in range(len(lengths))]
    metadatas = [rows.passage_row("n", 1, *pair) for pair in zip(passages, given_tokens, strict=True)]
    order = random.permutation(len(lengths))
    vectors = np.eye(len(lengths), dtype=np.float32)
    kept = rows.contents_of([passages[at].content for at in order], [metadatas[at] for at in order], vectors[order])
    assert kept.passages == passages
    assert np.array_equal(kept.reading.vectors, vectors)
    assert kept.reading.tokens is not None
    for before, after in zip(given_tokens, kept.reading.tokens, strict=True):
        assert np.array_equal(before.ids, after.ids)
        assert after.states.shape == before.states.shape
        likeness = (before.states.astype(float) * after.states.astype(float)).sum(axis=1) / 127**2
        assert (likeness > 0.97).all()


@given(NUMBERS, st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_sentences_survive_the_store(seed: int, passages: int) -> None:
    random = np.random.default_rng(seed)
    given_sentences = kept_of(*sentences(random, passages))
    metadatas = sentence_rows.sentence_rows("n", 1, given_sentences)
    assert len(metadatas) == -(-passages // sentence_rows.PASSAGES_A_ROW)
    kept = sentence_rows.sentences_of([metadatas[at] for at in random.permutation(len(metadatas))])
    assert kept is not None
    assert np.array_equal(kept.counts, given_sentences.counts)
    assert np.array_equal(kept.lengths, given_sentences.lengths)
    assert np.array_equal(kept.rows, given_sentences.rows)
    assert sentence_rows.sentences_of(metadatas[1:]) is None  # the first is written last


def test_passages_of_earlier_releases_have_no_tokens() -> None:
    passages = [Passage(f"id-{at}", "text", 1, "", at) for at in range(2)]
    old, new = (
        rows.passage_row("n", 1, passages[0], None),
        rows.passage_row("n", 1, passages[1], tokens(np.random.default_rng(0), 2)),
    )
    assert rows.contents_of(["text"] * 2, [old, new], np.eye(2, dtype=np.float32)).reading.tokens is None
