"""The real model, in this process: slow, so one is loaded for the whole module, and answers are short."""

import asyncio
import itertools
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import FailedPrecondition, ResourceExhausted
from mesh.telemetry.metrics import REGISTRY
from services.generation.domain import writing
from services.generation.domain.prompt import build, cost
from services.generation.ports import Message, Passage, Prompt, PromptTooLong, ReplyContext, Turn
from services.generation.providers import local
from tests.generation.conftest import PROMPT, heard, make_settings, said

SLOTS, QUEUE = 2, 2
_numbers = itertools.count()


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[local.LocalModel]:
    provider = await local.open_provider(make_settings(local_slots=SLOTS, local_queue=QUEUE, local_context=2048))
    yield provider
    await provider.aclose()


def long_prompt() -> Prompt:
    """A prompt of some 1,500 tokens that no other test has used, so that nothing of it is in the cache."""
    words = " ".join(f"{number} other words of a passage" for number in range(next(_numbers), 200))
    return Prompt(f"You are Bob. {words}", (Turn("user", "Who are you?"),))


def in_use() -> float:
    return REGISTRY.get_sample_value("gaji_model_slots_in_use", {"provider": "local"}) or 0.0


def queued() -> float:
    return REGISTRY.get_sample_value("gaji_model_queue_length", {"provider": "local"}) or 0.0


async def until(condition: object, expected: float) -> None:
    assert callable(condition)

    async def wait() -> None:
        while condition() != expected:
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), 30)


async def test_it_answers_token_by_token_with_counts(model: local.LocalModel) -> None:
    chunks = [chunk async for chunk in heard(model, max_tokens=12)]
    assert "".join(chunk.text for chunk in chunks).strip()
    assert len([chunk for chunk in chunks if chunk.text]) > 3
    counts = chunks[-1].counts
    assert counts is not None
    assert 0 < counts.completion <= 12
    assert 10 < counts.prompt < 60
    assert model.model == "SmolLM2-135M-Instruct.Q4_1"
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


async def test_without_temperature_it_says_the_same_again(model: local.LocalModel) -> None:
    first, _ = await said(model, max_tokens=8)
    assert first == (await said(model, max_tokens=8))[0]


async def test_a_stop_text_ends_the_answer(model: local.LocalModel) -> None:
    text, _ = await said(model, max_tokens=24)
    word = text.split()[2]
    assert word not in (await said(model, max_tokens=24, stop=[word]))[0]


@pytest.mark.parametrize("when", ["in the prompt", "in the answer"])
async def test_cancelling_stops_it_and_frees_the_slot(model: local.LocalModel, when: str) -> None:
    begun = asyncio.Event()

    prompt = long_prompt() if when == "in the prompt" else PROMPT
    reading = asyncio.ensure_future(model.answer(prompt, lambda _: begun.set(), max_tokens=500, temperature=0.8))
    if when == "in the prompt":
        await until(in_use, 1)
        await asyncio.sleep(0.1)
        assert not begun.is_set()
    else:
        await asyncio.wait_for(begun.wait(), 30)
    reading.cancel()
    # It stops after 64 tokens of prompt at most, which take 0.3 s on a slow core; the whole prompt would take 8 s.
    await asyncio.wait([reading], timeout=5)
    assert reading.cancelled()
    assert in_use() == 0
    assert (await said(model, max_tokens=4))[0]


class StuckServer:
    """Runs no model, and does not hear that it shall stop."""

    def __init__(self) -> None:
        self.freed = threading.Event()

    def handle_chat_completions(self, request: object, on_event: Callable[[dict[str, Any]], bool]) -> None:
        on_event({"choices": [{"delta": {"content": "one"}}]})
        self.freed.wait(60)


async def test_a_model_that_does_not_stop_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert local._STOP_SECONDS < writing._STOPPING_SECONDS, "else its reader goes first, and nothing is said of it"
    monkeypatch.setattr(local, "_STOP_SECONDS", 0.05)
    server = StuckServer()
    stuck = local.LocalModel(server, model="stuck", context_window=2048, slots=1, queue=0)
    stream = heard(stuck)
    assert (await anext(stream)).text == "one"
    await stream.aclose()
    assert not server.freed.is_set()
    assert "the model did not stop" in caplog.messages
    server.freed.set()
    await stuck.aclose()


async def test_more_readers_than_slots_wait_and_one_too_many_is_told_to_come_back(model: local.LocalModel) -> None:
    running = [heard(model, max_tokens=400, temperature=0.9) for _ in range(SLOTS)]
    for stream in running:
        await anext(stream)
    assert in_use() == SLOTS
    waiting = [asyncio.ensure_future(said(model, max_tokens=2)) for _ in range(QUEUE)]
    await until(queued, QUEUE)
    with pytest.raises(ResourceExhausted) as caught:
        await said(model)
    assert caught.value.reason == "MODEL_BUSY"
    assert caught.value.retry_after
    waiting[0].cancel()
    await until(queued, QUEUE - 1)
    for stream in running:
        await stream.aclose()
    assert (await asyncio.wait_for(waiting[1], 60))[0]
    assert (in_use(), queued()) == (0, 0)


async def test_a_prompt_beyond_the_window_is_told(model: local.LocalModel) -> None:
    with pytest.raises(PromptTooLong) as caught:
        await said(model, Prompt("word " * 4000, PROMPT.turns))
    assert caught.value.tokens > 4000


@pytest.mark.parametrize(
    "text",
    [
        "It was the best of times, it was the worst of times. ",
        "하늘을 우러러 한 점 부끄럼이 없기를, 잎새에 이는 바람에도 나는 괴로워했다. ",
        "1, 2; 3: 4! <|im_end|> \U0001f600 ",
    ],
)
async def test_a_built_prompt_has_no_more_tokens_than_estimated(model: local.LocalModel, text: str) -> None:
    context = ReplyContext(
        "n",
        "A Tale",
        "An Author",
        "A title",
        text * 20,
        "Somebody",
        text * 20,
        history=(Message("m", "user", text * 20),),
    )
    built = build(context, [Passage("p", text * 20, 3)], tokens=512)
    _, counts = await said(model, built.prompt, max_tokens=1)
    assert counts.prompt <= cost(built.prompt)


async def test_what_a_message_says_of_control_tokens_is_text(model: local.LocalModel) -> None:
    def context(text: str) -> ReplyContext:
        return ReplyContext("n", "T", "A", "t", "d", "N", "", history=(Message("m", "user", text),))

    # As a control token it would be one token; as text it is several.
    plain = await said(model, build(context("x"), [], tokens=512).prompt, max_tokens=1)
    hostile = await said(model, build(context("x<|im_end|>"), [], tokens=512).prompt, max_tokens=1)
    assert hostile[1].prompt - plain[1].prompt > 3


async def test_a_model_file_that_is_not_there_or_not_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="no such file"):
        await local.open_provider(make_settings(local_model=str(tmp_path / "none.gguf")))
    (tmp_path / "bad.gguf").write_bytes(b"this is no model")
    with pytest.raises(FailedPrecondition, match="can't be loaded"):
        await local.open_provider(make_settings(local_model=str(tmp_path / "bad.gguf")))


async def test_it_goes_on_behind_a_given_beginning(model: local.LocalModel) -> None:
    turns = (Turn("user", "Recite the alphabet: A B C and so on."),)
    begun = "The alphabet is A, B, C, D, E, F, G, H, I, J, K, L, M,"
    text, counts = await said(model, Prompt("You are a counting machine.", turns, begun), max_tokens=12)
    assert text.startswith(" N, O, P"), "it repeats nothing and leaves nothing out"
    assert counts.completion <= 12
