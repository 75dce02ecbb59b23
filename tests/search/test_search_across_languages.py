"""Readers ask in their own language, whatever the novel's, over real gRPC with the real models."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gaji.search.v1 import search_service_pb2 as pb

from services.search.config import SearchSettings
from tests.search.bilingual import QUERIES, Asked, found_at
from tests.search.conftest import Stub, ingested, opened
from tests.search.stories import KOREAN_STORY, STORY, novel

PATIENCE = 60.0
IN_KOREAN = {
    "nalgae": [
        Asked("nalgae", "ko", "백화점 지붕 위에서 금붕어를 구경한다", (5543,)),
        Asked("nalgae", "ko", "다시 한 번 날개가 돋아 날기를 바란다", (5800,)),
        Asked("nalgae", "ko", "기차역 찻집에서 커피를 마신다", (4197,)),
        Asked("nalgae", "ko", "은전이 가득한 저금통을 화장실에 버린다", (2206,)),
    ],
    "unsu-joeun-nal": [
        Asked("unsu-joeun-nal", "ko", "아픈 아내가 오늘은 나가지 말라고 부탁한다", (524,)),
        Asked("unsu-joeun-nal", "ko", "술에 취해 돈을 벽에 던지며 욕한다", (1865,)),
        Asked("unsu-joeun-nal", "ko", "조용한 집에서 아기가 빈 젖을 빤다", (2337,)),
        Asked("unsu-joeun-nal", "ko", "학생이 남대문 역까지 삯을 묻는다", (410,)),
    ],
}


@pytest.fixture(scope="module")
async def patient(tmp_path_factory: pytest.TempPathFactory, jwt_keys: Any) -> AsyncIterator[Stub]:
    """A server whose queries wait for the index of their language."""
    settings = SearchSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        cache_target="127.0.0.1:1",
        chroma_path=tmp_path_factory.mktemp("languages"),
        jwt_public_key_file=jwt_keys.public,
        drain_seconds=0.5,
        default_timeout=2 * PATIENCE,
        foreign_patience=PATIENCE,
        sentences="foreign",
    )
    async with opened(settings) as stub:
        yield stub


async def found(stub: Stub, novel_id: str, query: str, **fields: Any) -> list[pb.Passage]:
    request = pb.SearchPassagesRequest(novel_id=novel_id, query=query, **fields)
    return list((await stub.SearchPassages(request)).passages)


def plain(passage: pb.Passage) -> str:
    return " ".join(passage.content.split())


async def test_an_english_story(patient: Stub) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(patient, novel_id, STORY)
    (best, *_) = await found(patient, novel_id, "해초 속에서 검은 보석 반지를 줍는다")
    assert "picked it out of the weed" in plain(best)
    assert 0 <= best.distance <= 2
    assert 0 < best.score <= 1
    # what lies beyond a limit is not found in any language
    within = await found(patient, novel_id, "해초 속에서 검은 보석 반지를 줍는다", until_chapter=2)
    assert within
    assert all(passage.chapter <= 2 for passage in within)


async def test_a_korean_story(patient: Stub) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(patient, novel_id, KOREAN_STORY)
    for query in ("오래전에 떠났던 아버지가 돌아온다", "the father who left long ago comes back"):
        (best, *_) = await found(patient, novel_id, query)
        assert "배에는 오래전에 떠난 아버지" in plain(best)


def where(words: list[str], passage: pb.Passage) -> tuple[int, int]:
    """The words of a novel from which to which a passage goes."""
    inside = passage.content.split()
    start = next(at for at in range(len(words)) if words[at : at + len(inside)] == inside)
    return start, start + len(inside)


@pytest.mark.parametrize("name", list(IN_KOREAN))
async def test_korean_novels_are_found_in_by_both_languages(patient: Stub, name: str) -> None:
    text, korean = novel(name), IN_KOREAN[name]
    english = [one for one in QUERIES if one.novel == name]
    if text is None:
        text, at = KOREAN_STORY, (KOREAN_STORY.split().index("오래전에"),)
        korean = [Asked(name, "ko", "오래전에 떠났던 아버지", at)]
        english = [Asked(name, "en", "the father who left long ago comes back on a boat", at)]
    novel_id, words = str(uuid.uuid4()), text.split()
    (*_, end) = await ingested(patient, novel_id, text)
    assert end.complete.language == "ko"
    for asked, count in ((korean, 5), (english, 10)):
        hits = 0
        for one in asked:
            passages = await found(patient, novel_id, one.query, top_k=count)
            hits += found_at(one, [where(words, passage) for passage in passages])
        assert hits >= 0.75 * len(asked)


async def test_until_there_is_an_index_there_are_answers(search_settings: Callable[..., SearchSettings]) -> None:
    novel_id = str(uuid.uuid4())
    for changes in ({"foreign_patience": 0.0}, {"foreign_bytes": 0}):
        async with opened(search_settings(**changes)) as stub:
            if changes == {"foreign_patience": 0.0}:
                await ingested(stub, novel_id, STORY)
            assert len(await found(stub, novel_id, "해초 속에서 검은 보석 반지를 줍는다")) > 3
