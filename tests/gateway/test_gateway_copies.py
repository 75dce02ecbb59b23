"""Copies of answers, given where a service does not answer."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.copies import Copies
from mesh import errors
from mesh.telemetry.metrics import REGISTRY
from tests.fixtures.servers import Bearer
from tests.gateway.conftest import Gateway, error_of
from tests.gateway.probe_servicer import Probe

DOWN = errors.Unavailable("out of order", reason="DATABASE_UNAVAILABLE")


@pytest.fixture(autouse=True)
def healthy(probe: Probe) -> Iterator[None]:
    probe.calls, probe.trouble = 0, None
    probe.gate.set()
    yield
    probe.trouble = None
    probe.gate.set()


@pytest.fixture
def reader(client: httpx.AsyncClient, bearer: Bearer) -> httpx.AsyncClient:
    client.headers["authorization"] = f"Bearer {bearer()}"
    return client


async def recall(reader: httpx.AsyncClient, **options: Any) -> httpx.Response:
    return await reader.get("/probe/recall/it", **options)


@pytest.mark.parametrize(
    "trouble",
    [DOWN, errors.DeadlineExceeded("too slow"), errors.ResourceExhausted("open", reason="CIRCUIT_OPEN")],
    ids=["down", "slow", "circuit open"],
)
async def test_a_copy_is_given_and_marked_where_nobody_answers(
    reader: httpx.AsyncClient, probe: Probe, trouble: errors.MeshError
) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("gaji_edge_copies_total", {"http_route": "/probe/recall/{name}"}) or 0

    first = await recall(reader)
    assert "x-cache" not in first.headers
    before = count()
    probe.trouble = trouble
    again = await recall(reader)
    assert (again.status_code, again.json(), again.headers["x-cache"]) == (200, first.json(), "stale")
    assert int(again.headers["age"]) in range(60)
    assert again.headers["cache-control"] == "no-store"
    assert count() == before + 1
    probe.trouble = None
    fresh = await recall(reader)
    assert fresh.json() != first.json()
    assert "x-cache" not in fresh.headers


async def test_a_service_that_does_not_answer_is_not_waited_for_to_the_end(
    gateway: Gateway, probe: Probe, bearer: Bearer
) -> None:
    async with gateway(copy_after_seconds=0.2, default_timeout=60.0) as (client, _):
        client.headers["authorization"] = f"Bearer {bearer()}"
        first = await recall(client)
        probe.gate.clear()
        again = await recall(client)  # the client itself waits for 20 s
        assert (again.json(), again.headers["x-cache"]) == (first.json(), "stale")


async def test_without_a_copy_the_error_is_told(reader: httpx.AsyncClient, probe: Probe) -> None:
    probe.trouble = DOWN
    answer = await recall(reader)
    assert answer.status_code == 503
    assert error_of(answer)["reason"] == "DATABASE_UNAVAILABLE"


async def test_no_reader_is_given_anothers_copy(reader: httpx.AsyncClient, probe: Probe, bearer: Bearer) -> None:
    await recall(reader)
    probe.trouble = DOWN
    assert (await recall(reader, headers={"authorization": f"Bearer {bearer()}"})).status_code == 503
    assert (await reader.get("/probe/recall/other")).status_code == 503
    assert (await recall(reader)).status_code == 200


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (errors.NotFound("gone"), 404),
        (errors.PermissionDenied("no"), 403),
        (errors.Unauthenticated("who"), 401),
    ],
    ids=["gone", "forbidden", "unknown"],
)
async def test_what_a_reader_may_no_longer_see_is_forgotten(
    reader: httpx.AsyncClient, probe: Probe, refusal: errors.MeshError, status: int
) -> None:
    await recall(reader)
    probe.trouble = refusal
    assert (await recall(reader)).status_code == status
    probe.trouble = DOWN
    assert (await recall(reader)).status_code == 503


@pytest.mark.parametrize("error", [errors.InvalidArgument("x"), errors.ResourceExhausted("x"), errors.Internal("x")])
async def test_an_answer_that_is_a_refusal_is_told(
    reader: httpx.AsyncClient, probe: Probe, error: errors.MeshError
) -> None:
    await recall(reader)
    probe.trouble = error
    assert (await recall(reader)).status_code in {400, 429, 500}


@pytest.mark.parametrize("way", ["post", "delete", "stream", "failed", "logout"])
async def test_after_a_write_nothing_from_before_it_is_given(reader: httpx.AsyncClient, probe: Probe, way: str) -> None:
    await recall(reader)
    match way:
        case "post":
            await reader.post("/probe/make", json={})
        case "delete":
            await reader.delete("/probe/things/it")
        case "stream":
            await reader.post("/probe/watch", json={"to": 1})
        case "failed":
            await reader.post("/probe/calls", json={"name": "fail"})
        case "logout":
            await reader.post("/probe/session/close", json={})
    probe.trouble = DOWN
    assert (await recall(reader)).status_code == 503


async def test_a_read_that_a_write_overtook_is_not_kept(reader: httpx.AsyncClient, probe: Probe) -> None:
    probe.gate.clear()
    reading = asyncio.create_task(recall(reader))
    while not probe.calls:
        await asyncio.sleep(0.01)
    await reader.delete("/probe/things/it")
    probe.gate.set()
    assert (await reading).status_code == 200
    probe.trouble = DOWN
    assert (await recall(reader)).status_code == 503


async def test_another_readers_write_changes_nothing(reader: httpx.AsyncClient, probe: Probe, bearer: Bearer) -> None:
    await recall(reader)
    await reader.delete("/probe/things/it", headers={"authorization": f"Bearer {bearer(str(uuid.uuid4()))}"})
    probe.trouble = DOWN
    assert (await recall(reader)).status_code == 200


async def test_copies_can_be_switched_off(gateway: Gateway, probe: Probe, bearer: Bearer) -> None:
    async with gateway(edge_copies_bytes=0) as (client, _):
        client.headers["authorization"] = f"Bearer {bearer()}"
        await recall(client)
        probe.trouble = DOWN
        assert (await recall(client)).status_code == 503


readers = st.sampled_from("abc")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), readers, st.integers(0, 5), st.integers(0, 3000)),
        st.tuples(st.just("write"), readers, st.just(0), st.just(0)),
        st.tuples(st.just("get"), readers, st.integers(0, 5), st.just(0)),
        st.tuples(st.just("wait"), readers, st.just(0), st.integers(0, 40)),
    ),
    max_size=60,
)


@given(steps)
def test_copies_are_bounded_and_only_what_they_should_be(steps: list[tuple[str, str, int, int]]) -> None:
    now = 0.0
    copies = Copies(8_000, lambda: now)
    model: dict[tuple[str, bytes, str], tuple[bytes, float]] = {}
    written: Counter[str] = Counter()
    for what, who, number, size in steps:
        key = ("/m", bytes([number]), who)
        if what == "keep":
            raw = b"x" * size + who.encode()
            with copies.reading(who) as reading:
                copies.keep(reading, key, raw)
            model[key] = (raw, now)
        elif what == "write":
            with copies.writing(who):
                written[who] += 1
            model = {k: v for k, v in model.items() if k[2] != who}
        elif what == "get":
            found = copies.get(key, 60)
            if found is not None:
                assert (found.raw, now - found.age) == model[key]
                assert found.age <= 60
        else:
            now += size
        assert copies.size <= 8_000
    for who in "abc":
        with copies.writing(who):
            pass
    assert copies.size == 0
