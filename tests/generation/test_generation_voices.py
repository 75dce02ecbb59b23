"""Few replies at once are told word by word; many in fewer events, without a word lost."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from services.generation.domain import voices as voices_module
from services.generation.domain.voices import FEW, Voices
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.rooms import open_rooms
from tests.generation.test_generation_servicer import all_of, reply_request, text_of

MANY = 2 * FEW


async def until(told: list[str], number: int) -> None:
    async with asyncio.timeout(5):
        while len(told) < number:
            await asyncio.sleep(0.005)


async def test_few_replies_are_told_word_by_word() -> None:
    voices = Voices()
    told: list[str] = []
    with ExitStack() as others:
        for _ in range(FEW - 1):
            others.enter_context(voices.voice(lambda _: None))
        with voices.voice(told.append) as voice:
            for piece in "abc":
                voice.say(piece)
            assert told == ["a", "b", "c"]


async def test_with_many_the_first_word_is_told_at_once_and_the_rest_together(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = Voices()
    told: list[str] = []
    with ExitStack() as others:
        for _ in range(MANY):
            others.enter_context(voices.voice(lambda _: None))
        with voices.voice(told.append) as voice:
            with monkeypatch.context() as standing:
                now = voices.now()
                standing.setattr(voices, "now", lambda: now)  # however slow the machine
                for piece in "abc":
                    voice.say(piece)
            assert told == ["a"]
            await until(told, 2)  # no further word comes: nothing is kept back
            assert told == ["a", "bc"]
        with pytest.raises(asyncio.CancelledError), voices.voice(told.append) as voice:
            for piece in "def":
                voice.say(piece)
            raise asyncio.CancelledError  # as by a stop: what was heard is told
        assert "".join(told) == "abcdef"


async def test_many_replies_at_once_are_whole_and_of_fewer_events(
    jwt_keys: JwtKeys, redis_url: str, as_reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices_module, "FEW", 2)  # however slowly they begin, more than that are written at once
    monkeypatch.setattr(voices_module, "MOST_SECONDS", 0.5)  # and words come sooner
    monkeypatch.setattr(voices_module, "_REPLY_SECONDS", 0.5)
    settings = make_settings(jwt_public_key_file=jwt_keys.public, redis_url=redis_url)
    words = 60

    async def read(rooms: Any, number: int) -> list[Any]:
        call = rooms.stub.StreamReply(reply_request(f"r-{number}"), metadata=as_reader)
        return await all_of(call)

    async with open_rooms(settings, ScriptedModel(words, 100)) as rooms:
        alone = await read(rooms, 0)
        replies = await asyncio.gather(*(read(rooms, number) for number in range(1, MANY + 1)))
    for events in (alone, *replies):
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert text_of(events) == events[-1].complete.content == text_of(alone)
    tokens = [sum(event.WhichOneof("event") == "token" for event in events) for events in (alone, *replies)]
    assert tokens[0] >= words
    assert sum(tokens[1:]) < words * MANY / 2
