"""Terms and BM25: what finds what, by which formula, in how many threads."""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.search.domain.chapters import split_chapters
from services.search.domain.lexical import Bm25, analyzer, analyzers
from services.search.domain.lexical.korean import Morphemes, Syllables
from services.search.domain.passages import passage_texts
from tests.search.stories import KOREAN_STORY, STORY, novel

LANGUAGES = ["en", "en-GB", "ko", "fr", "de", "ru", "ja", "zh-Hant", "th", "xx"]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Kiwi's model, loaded outside of what hypothesis times."""
    analyzer("ko")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Kiwi and Snowball."""
    for name in ("kiwipiepy", "Stemmer"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("_analyzer", "_has_snowball"):  # without forgetting what the others have loaded
        monkeypatch.setattr(analyzers, name, cache(getattr(analyzers, name).__wrapped__))


def test_english() -> None:
    terms = analyzer("en")
    assert terms("She WALKED; Darcy\u2019s walking-stick, the _walks_") == ["walk", "darci", "walk", "stick", "walk"]
    assert terms("What if I hadn\u2019t been to the Brontës\u2019?") == terms("bronte")
    assert terms("Café № 5") == terms("cafe no 5")
    assert terms("") == terms("?! …") == []
    assert terms("Darcy가 쓴 편지") == ["darci", "가", "쓴", "편지"]


@pytest.mark.parametrize(
    ("language", "text", "same"),
    [
        ("fr", "Il marchait", "ils marchaient"),
        ("de", "die Häuser", "des Hauses"),
        ("ru", "старый дом", "старого дома"),
        ("es", "las casas", "la casa"),
    ],
)
def test_other_languages_have_stems(language: str, text: str, same: str) -> None:
    assert analyzer(language)(text)[-1] == analyzer(language)(same)[-1]


def test_words_that_are_not_set_apart_are_pairs() -> None:
    assert analyzer("zh")("紅樓夢 Dream") == ["紅樓", "樓夢", "dream"]
    assert analyzer("ja")("雨。") == ["雨"]
    assert analyzer("en")("the Tao 道德經") == ["tao", "道德", "德經"]


def test_korean_particles_and_endings_are_no_terms() -> None:
    terms = analyzer("ko")
    assert isinstance(terms, Morphemes)
    assert terms("아내에게 설렁탕을 사다 주었다") == terms("아내가 설렁탕도 사다 줬습니다")
    assert {"인력거", "타다"} <= set(terms("인력거를 탔다"))
    assert set(terms("인력거")) <= set(terms("인력거꾼이"))
    assert "aspirin" in terms("ASPIRIN을 먹었다")


@pytest.mark.usefixtures("bare")
def test_without_what_can_be_installed() -> None:
    korean = analyzer("ko")
    assert isinstance(korean, Syllables)
    assert korean("설렁탕을 산 A") == ["설렁", "렁탕", "탕을", "산", "a"]
    assert set(korean("설렁탕")) <= set(korean("설렁탕을"))
    assert set(korean("집")) <= set(korean("집에"))
    assert analyzer("en")("The walks") == ["walks"]


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=st.text(max_size=200))
def test_any_text_has_terms_or_none(language: str, text: str) -> None:
    terms = analyzer(language)(text)
    assert all(term and term == term.strip() for term in terms)
    assert terms == analyzer(language)(text)


@pytest.mark.parametrize(("language", "text"), [("en", STORY), ("ko", KOREAN_STORY)])
def test_threads_share_an_analyzer(language: str, text: str) -> None:
    terms = analyzer(language)
    expected = terms(text)
    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(terms, [text] * 64))


def by_the_formula(documents: Sequence[Sequence[str]], query: Sequence[str], k1: float, b: float) -> list[float]:
    n = len(documents)
    mean = sum(map(len, documents)) / max(n, 1)
    counts = [Counter(document) for document in documents]
    scores = [0.0] * n
    for term in query:
        df = sum(term in count for count in counts)
        idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
        for at, count in enumerate(counts):
            if term in count:
                damping = k1 * (1 - b + b * len(documents[at]) / mean)
                scores[at] += idf * count[term] / (count[term] + damping)
    return scores


TERMS = st.lists(st.sampled_from("abcdefgh"), max_size=12)
K1 = st.floats(0, 3, allow_subnormal=False)


@given(st.lists(TERMS, max_size=12), TERMS, K1, st.floats(0, 1), st.integers(0, 14))
def test_bm25_is_its_formula(documents: list[list[str]], query: list[str], k1: float, b: float, first: int) -> None:
    index = Bm25(iter(documents), k1=k1, b=b)
    assert len(index) == len(documents)
    scores = index.scores(query)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(by_the_formula(documents, query, k1, b), rel=1e-5)
    # A limit gives what an index of the first documents alone would.
    assert np.array_equal(index.scores(query, first), Bm25(documents[:first], k1=k1, b=b).scores(query))


def test_bm25_tells_what_it_takes() -> None:
    for wrong in ({"k1": -1.0}, {"b": 1.5}, {"b": -0.1}):
        with pytest.raises(ValueError, match="give a k1"):
            Bm25([["a"]], **wrong)
    assert not len(Bm25([]).scores(["a"]))
    assert not Bm25([[], []]).scores(["a"]).any()


@pytest.mark.parametrize(
    ("name", "language", "query", "wanted"),
    [
        ("pride-and-prejudice", "en", "the shades of Pemberley polluted", "thus polluted"),
        ("jane-eyre", "en", "tongue of flame darting around a bed, the curtain on fire", "Tongues of flame"),
        ("unsu-joeun-nal", "ko", "설렁탕을 사 왔는데 왜 먹지 못하니", "설렁탕을 사다 놓았는데"),
        ("nalgae", "ko", "옥상에서 금붕어를 들여다보았다", "금붕어나 들여다보고"),
    ],
)
def test_novels_are_found_in(name: str, language: str, query: str, wanted: str) -> None:
    text = novel(name)
    if text is None and language == "en":
        text, query, wanted = STORY, "rings of black stones", "ring with a black stone"
    elif text is None:
        text, query, wanted = KOREAN_STORY, "절하는 아버지", "절을 했다"
    passages = [passage for chapter in split_chapters(text) for passage in passage_texts(chapter.text)]
    terms = analyzer(language)
    best = np.argsort(-Bm25(map(terms, passages)).scores(terms(query)), kind="stable")[:3]
    assert any(wanted in passages[at].replace("\n", " ") for at in best)
