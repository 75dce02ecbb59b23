"""What a language model may cost: time, calls a minute, and nothing while it is in trouble."""

import asyncio
from typing import Any

import pytest

from mesh.errors import FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from mesh.telemetry.metrics import REGISTRY
from services.search.domain.asking import AT_ONCE, LONGEST_REST, MOST_POOR, REST_SECONDS, Asking
from services.search.ports import MODEL_REFUSED, Inquiry

INQUIRY = Inquiry("", "", {}, 1)
DOWN = Unavailable("no", reason="MODEL_UNREACHABLE")
REFUSED = FailedPrecondition("no", reason=MODEL_REFUSED)


class Scripted:
    """Answers as told: a value, an error, or not at all."""

    name = "scripted/one"

    def __init__(self) -> None:
        self.says: Any = "yes"
        self.calls = 0

    async def answer(self, inquiry: Inquiry) -> object:
        self.calls += 1
        if isinstance(self.says, asyncio.Event):
            await self.says.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def aclose(self) -> None:
        pass


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def model() -> Scripted:
    return Scripted()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def asking(model: Scripted, time: Time) -> Asking:
    return Asking(model, 600, time)


def count(result: str) -> float:
    labels = {"task": "rerank", "result": result}
    return REGISTRY.get_sample_value("gaji_search_model_calls_total", labels) or 0.0


async def ask(asking: Asking, seconds: float = 5.0) -> object:
    return await asking.ask("rerank", INQUIRY, _told, seconds)


def _told(answer: object) -> object:
    if answer == "garbage":
        raise ValueError("is garbage")
    return answer


async def test_an_answer(asking: Asking, model: Scripted) -> None:
    before = count("answered")
    assert await ask(asking) == "yes"
    assert (model.calls, count("answered") - before, asking.name) == (1, 1, "scripted/one")


@pytest.mark.parametrize(
    ("error", "result", "seconds"),
    [
        (DOWN, "unreachable", REST_SECONDS),
        (ResourceExhausted("no", retry_after=5), "quota", REST_SECONDS),
        (ResourceExhausted("no", retry_after=100), "quota", 100),
        (ResourceExhausted("no", retry_after=100_000), "quota", LONGEST_REST),
        (FailedPrecondition("no", reason="MODEL_MISCONFIGURED"), "misconfigured", REST_SECONDS),
    ],
)
async def test_a_model_in_trouble_is_left_alone_for_a_while(  # noqa: PLR0917 - pytest gives them by name
    asking: Asking, model: Scripted, time: Time, error: MeshError, result: str, seconds: float
) -> None:
    before, resting = count(result), count("resting")
    model.says = error
    assert await ask(asking) is None
    model.says = "yes"
    assert not asking.ready()
    assert await ask(asking) is None
    time.now += seconds - 1
    assert await ask(asking) is None
    assert (model.calls, count(result) - before, count("resting") - resting) == (1, 1, 2)
    time.now += 2
    assert asking.ready()
    assert [await ask(asking), await ask(asking)] == ["yes", "yes"]


async def test_one_tries_while_the_others_wait(asking: Asking, model: Scripted, time: Time) -> None:
    model.says = DOWN
    await ask(asking)
    time.now += REST_SECONDS + 1
    model.says = asyncio.Event()
    trying = asyncio.create_task(ask(asking))
    await asyncio.sleep(0)
    assert not asking.ready()
    assert model.calls == 2
    trying.cancel()  # it leaves: nobody knows how the model is, so the next one tries
    with pytest.raises(asyncio.CancelledError):
        await trying
    model.says = "yes"
    assert await ask(asking) == "yes"


async def test_who_leaves_says_nothing_of_the_model(asking: Asking, model: Scripted) -> None:
    before = count("left")
    model.says = asyncio.Event()
    leaving = asyncio.create_task(ask(asking))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert asking.ready()
    assert count("left") - before == 1


async def test_a_late_caller_does_not_end_the_rest(asking: Asking, model: Scripted) -> None:
    model.says = asyncio.Event()
    leaving = asyncio.create_task(ask(asking))
    await asyncio.sleep(0)
    model.says = DOWN
    assert await ask(asking) is None
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not asking.ready()


async def test_nobody_waits_longer_than_they_say(asking: Asking, model: Scripted) -> None:
    before = count("too_slow")
    model.says = asyncio.Event()
    assert await ask(asking, 0.2) is None
    assert (count("too_slow") - before, asking.ready()) == (1, True)
    for _ in range(MOST_POOR - 1):
        await ask(asking, 0.2)
    assert not asking.ready()  # nobody had time for it


async def test_who_waits_long_enough_says_that_it_is_in_trouble(
    asking: Asking, model: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.search.domain.asking.FAIR_SECONDS", 0.2)
    model.says = asyncio.Event()
    assert await ask(asking, 0.2) is None
    assert not asking.ready()


async def test_whatever_a_client_does_wrong_is_no_error(asking: Asking, model: Scripted) -> None:
    model.says = RuntimeError("a library's own")
    assert await ask(asking) is None
    assert not asking.ready()


async def test_without_time_it_is_not_asked(asking: Asking, model: Scripted) -> None:
    before = count("late")
    assert await ask(asking, 0.1) is None
    assert await ask(asking, -1) is None
    assert (model.calls, count("late") - before) == (0, 2)
    assert asking.ready()


@pytest.mark.parametrize("poor", ["garbage", REFUSED])
async def test_poor_answers_in_a_row_are_trouble(asking: Asking, model: Scripted, poor: Any) -> None:
    for answers in ([poor] * (MOST_POOR - 1) + ["yes"], [poor] * MOST_POOR):
        for says in answers:
            assert asking.ready()
            model.says = says
            assert await ask(asking) == (says if says == "yes" else None)
    assert not asking.ready()


async def test_so_many_calls_a_minute(model: Scripted, time: Time) -> None:
    asking = Asking(model, 3, time)
    before = count("over_budget")
    assert [await ask(asking) for _ in range(5)] == ["yes", "yes", "yes", None, None]
    assert count("over_budget") - before == 2
    time.now += 20
    assert [await ask(asking) for _ in range(2)] == ["yes", None]
    time.now += 10_000
    assert [await ask(asking) for _ in range(4)] == ["yes", "yes", "yes", None]


async def test_so_many_at_once(asking: Asking, model: Scripted) -> None:
    go = model.says = asyncio.Event()
    asked = [asyncio.create_task(ask(asking)) for _ in range(AT_ONCE + 3)]
    await asyncio.sleep(0)
    assert not asking.ready()
    go.set()
    answers = await asyncio.gather(*asked)
    assert answers.count(None) == 3
    assert model.calls == AT_ONCE
    assert asking.ready()
