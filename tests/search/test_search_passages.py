"""Passages: even, cut at sentences, complete, and named the same every time."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.search.domain.chapters import split_chapters
from services.search.domain.passages import passage_texts, split_passages
from services.search.domain.sentences import pieces, sentences, weight
from services.search.models import Chapter, Passage
from tests.search.stories import KOREAN_STORY, STORY, long_story, novel

NOVEL_ID = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"

WORDS = st.lists(st.text(alphabet="abcXYZ09.,;:!?'\"-—…가나다。、é", min_size=1, max_size=14), min_size=1, max_size=900)
GAPS = st.sampled_from([" ", " ", " ", " ", "\n", "\n\n", "\n \n", "\t", "  "])


@st.composite
def texts(draw: st.DrawFn) -> str:
    return "".join(word + draw(GAPS) for word in draw(WORDS))


def solid(text: str) -> str:
    return "".join(text.split())


@given(texts())
def test_all_words_once_and_in_order(text: str) -> None:
    passages = list(passage_texts(text))
    assert solid("".join(passages)) == solid(text)
    assert all(passage.strip() for passage in passages)


@given(st.text(max_size=400))
def test_any_text_at_all(text: str) -> None:
    assert solid("".join(passage_texts(text))) == solid(text)


@given(st.lists(st.sampled_from(["word", "Mr.", "end.", '"quoted"', "(so)", "long-joined--words"]), max_size=700))
def test_words_stay_whole(words: list[str]) -> None:
    assert " ".join(passage_texts(" ".join(words))).split() == words


@given(texts())
def test_no_piece_is_too_long(text: str) -> None:
    assert all(weight(text[piece.start : piece.end]) <= 300 for piece in pieces(text, 60))


def test_a_word_without_end_is_cut() -> None:
    passages = list(passage_texts("x" * 100_000))
    assert "".join(passages) == "x" * 100_000
    assert max(map(len, passages)) <= 2_400


@pytest.mark.parametrize("name", ["pride-and-prejudice", "jane-eyre", "alice-in-wonderland", "nalgae"])
def test_novels(name: str) -> None:
    text = novel(name) or long_story(400)
    chapters = split_chapters(text)
    passages = split_passages(NOVEL_ID, chapters)
    for chapter in chapters:
        cut = [passage.content for passage in passages if passage.chapter == chapter.number]
        assert " ".join(cut).split() == chapter.text.split()
    sizes = [weight(passage.content) for passage in passages]
    assert 128 <= sum(sizes) / len(sizes) <= 146
    assert min(sizes) >= 40
    assert max(sizes) <= 150


def test_short_chapters_are_a_passage_each() -> None:
    passages = split_passages(
        NOVEL_ID, [Chapter(1, "One", "Hello there."), Chapter(2, "Two", " \n"), Chapter(3, "", "Bye.")]
    )
    assert [(p.chapter, p.chapter_title, p.content) for p in passages] == [(1, "One", "Hello there."), (3, "", "Bye.")]


def test_neighbours_and_positions() -> None:
    passages = split_passages(NOVEL_ID, split_chapters(STORY))
    assert [passage.position for passage in passages] == list(range(len(passages)))
    assert passages[0].previous_id == passages[-1].next_id == ""
    for before, after in pairwise(passages):
        assert (before.next_id, after.previous_id) == (after.id, before.id)


def test_ids_depend_on_novel_position_and_text_alone() -> None:
    def ids(novel_id: str, text: str) -> list[str]:
        return [passage.id for passage in split_passages(novel_id, [Chapter(1, "", text)])]

    text = long_story(5)
    assert ids(NOVEL_ID, text) == ids(NOVEL_ID, text)
    assert len(set(ids(NOVEL_ID, "Same.\n\n" * 400))) == len(ids(NOVEL_ID, "Same.\n\n" * 400))
    assert not set(ids(NOVEL_ID, text)) & set(ids(str(uuid.uuid4()), text))
    assert all(str(uuid.UUID(passage_id)) == passage_id for passage_id in ids(NOVEL_ID, text))


def test_cuts_are_at_sentence_ends() -> None:
    passages: list[Passage] = split_passages(NOVEL_ID, split_chapters(novel("pride-and-prejudice") or STORY))
    marks = (".", "!", "?", '"', "\u201d", "\u2019", "_", ")", ":", "*")
    ends = sum(passage.content.rstrip().endswith(marks) for passage in passages)
    assert ends >= 0.96 * len(passages)


def test_sentences() -> None:
    assert sentences('Mr. Bennet said so. "Did he?" asked St. John at 8 P.M. sharp. No! I. B. Smith did') == [
        "Mr. Bennet said so.",
        '"Did he?" asked St. John at 8 P.M. sharp.',
        "No!",
        "I. B. Smith did",
    ]
    assert sentences("비가 왔다. 그는 갔다.") == ["비가 왔다.", "그는 갔다."]
    assert sentences("下雨了。他走了。") == ["下雨了。", "他走了。"]


def test_lines_are_joined_and_paragraphs_kept() -> None:
    assert list(passage_texts("One\nline.\n\nAnother\nline.")) == ["One line.\n\nAnother line."]


def test_korean_passages_are_as_long_by_meaning() -> None:
    text = "\n\n".join([KOREAN_STORY.split("\n\n")[1]] * 30)
    lengths = [len(passage) for passage in passage_texts(text)]
    assert 250 <= sum(lengths) / len(lengths) <= 550
