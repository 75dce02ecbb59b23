"""Any sequence of calls, on either of two replicas, does what a dictionary would."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.errors import Aborted
from tests.cache.conftest import OpenRoom, Room, refusal

# Two passages of one novel, one of another, and a novel: enough for prefixes to hit and to miss.
KEYS = 4
PREFIXES = 4

key = st.integers(0, KEYS - 1)
lease = st.integers(0, 5)  # the n-th most recent lease of whatever key, so that the wrong one is tried as well
operation = st.one_of(
    st.tuples(st.just("lookup"), key),
    st.tuples(st.just("store"), key, lease, st.none() | st.binary(max_size=3)),
    st.tuples(st.just("release"), key, lease),
    st.tuples(st.just("invalidate"), st.lists(key, max_size=3), st.lists(st.integers(0, PREFIXES - 1), max_size=2)),
)


@dataclass
class Model:
    """What must hold of the cache. Names are new for each example, so that none needs an empty store."""

    values: dict[str, bytes | None] = field(default_factory=dict)
    leases: dict[str, str] = field(default_factory=dict)
    granted: list[str] = field(default_factory=lambda: ["made-up"])
    keys: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        one, other = uuid.uuid4(), uuid.uuid4()
        digests = [uuid.uuid4().hex for _ in range(2)]
        self.keys = [
            f"passages:{one}:{digests[0]}:5",
            f"passages:{one}:{digests[1]}:50",
            f"passages:{other}:{digests[0]}:5",
            f"novel:{one}",
        ]
        self.prefixes = [f"passages:{one}:", f"passages:{other}", f"passages:{one}:{digests[1]}:5", f"novel:{one}"]

    def lease(self, back: int) -> str:
        return self.granted[max(0, len(self.granted) - 1 - back)]

    async def lookup(self, room: Room, which: int) -> None:
        name = self.keys[which]
        found = await room.lookup(name)
        if name in self.values and self.values[name] is None:
            assert found.HasField("absent")
        elif name in self.values:
            assert found.hit.value == self.values[name]
            assert found.HasField("hit")
        elif name in self.leases:
            assert found.HasField("contended")
        else:
            assert found.lease.lease_id not in self.granted
            self.leases[name] = found.lease.lease_id
            self.granted.append(found.lease.lease_id)

    async def store(self, room: Room, which: int, back: int, value: bytes | None) -> None:
        name, held = self.keys[which], self.lease(back)
        storing = room.store_absent(name, held) if value is None else room.store(name, held, value)
        if self.leases.get(name) == held:
            await storing
            self.values[name] = value
            del self.leases[name]
        else:
            assert isinstance(await refusal(storing), Aborted)

    async def release(self, room: Room, which: int, back: int) -> None:
        name, held = self.keys[which], self.lease(back)
        assert await room.release(name, held) == (self.leases.get(name) == held)
        if self.leases.get(name) == held:
            del self.leases[name]

    async def invalidate(self, room: Room, which: list[int], starts: list[int]) -> None:
        names, prefixes = [self.keys[n] for n in which], tuple(self.prefixes[n] for n in starts)
        gone = {name for name in self.keys if name in names or (prefixes and name.startswith(prefixes))}
        values = {name for name in gone if self.values.get(name) is not None}
        assert await room.invalidate(*names, prefixes=prefixes) == len(values)
        for name in gone:
            self.values.pop(name, None)
            self.leases.pop(name, None)


@pytest.fixture
async def replicas(open_room: OpenRoom, redis_url: str) -> AsyncIterator[tuple[Room, Room]]:
    async with open_room(redis_url) as one, open_room(redis_url) as other:
        yield one, other


@given(calls=st.lists(st.tuples(st.booleans(), operation), min_size=1, max_size=40))
@settings(
    deadline=None,
    max_examples=60,
    # Each example has names of its own; the servers may be shared.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_the_cache_is_a_dictionary_with_leases(
    replicas: tuple[Room, Room], calls: list[tuple[bool, tuple[Any, ...]]]
) -> None:
    model = Model()
    for replica, (name, *arguments) in calls:
        await getattr(model, name)(replicas[replica], *arguments)
    for which in range(KEYS):
        await model.lookup(replicas[0], which)
