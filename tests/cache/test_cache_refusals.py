"""What the cache does not take, and how it says so."""

import uuid
from typing import Any

import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh.errors import InvalidArgument
from tests.cache.conftest import Room, novel_key, passages_key, refusal

ID = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "is empty"),
        (f"conversation:{ID}", "conversations are never cached; the kinds are character, novel, passages"),
        (f"conversations:{ID}", "conversations are never cached"),
        (f"message:{ID}", "no kind is named 'message'; the kinds are character, novel, passages, scenario, user"),
        ("novel", "is not of the form novel:{novel_id}"),
        ("novel:", "is not of the form"),
        ("novel:7", "with a UUID in lower case"),
        (f"novel:{ID.upper()}x", "is not of the form"),
        (f"novel:{str(uuid.UUID(int=2**128 - 1)).upper()}", "with a UUID in lower case"),
        (f"novel:{ID}:1", "is not of the form"),
        (f"novel:{ID}\n", "is not of the form"),
        (f"passages:{ID}", "is not of the form passages:{novel_id}:{hash}:{top_k}"),
        (f"passages:{ID}:abc:10", "a hash of 8 to 128"),
        (f"passages:{ID}:{'a' * 32}:0", "a top_k from 1 to 50"),
        (f"passages:{ID}:{'a' * 32}:51", "a top_k from 1 to 50"),
        (f"passages:{ID}:{'é' * 32}:10", "is not of the form"),
        (f"novel:{'x' * 600}", "has 606 bytes; give at most 512"),
    ],
)
async def test_keys_outside_the_grammar(room: Room, key: str, says: str) -> None:
    for call in (room.lookup(key), room.store(key, "lease", b""), room.release(key, "lease")):
        error = await refusal(call)
        assert isinstance(error, InvalidArgument)
        assert says in error.fields["key"]
    error = await refusal(room.invalidate(novel_key(), key))
    assert isinstance(error, InvalidArgument)
    assert says in error.fields["keys[1]"]


@pytest.mark.parametrize("prefix", ["", "passages", "passages:", f"passages:{ID[:-1]}", f"novel:{ID}:", "novel:*"])
async def test_prefixes_without_a_whole_id(room: Room, prefix: str) -> None:
    error = await refusal(room.invalidate(prefixes=(prefix,)))
    assert isinstance(error, InvalidArgument)
    assert list(error.fields) == ["prefixes[0]"]


async def test_a_value_over_the_limit_is_refused_and_one_at_the_limit_is_not(room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    error = await refusal(room.store(key, lease, bytes(1024 * 1024 + 1)))
    assert isinstance(error, InvalidArgument)
    assert error.fields == {"value": "has 1,048,577 bytes; give at most 1,048,576"}
    await room.store(key, lease, bytes(1024 * 1024))
    assert len((await room.lookup(key)).hit.value) == 1024 * 1024


async def test_all_that_is_wrong_is_said_at_once(room: Room) -> None:
    error = await refusal(room.store("nothing:1", "", bytes(2 * 1024 * 1024)))
    assert set(error.fields) == {"key", "lease_id", "value"}
    error = await refusal(room.lookup("nothing:1", wait_ms=10_001))
    assert set(error.fields) == {"key", "wait_ms"}


async def test_limits_of_an_invalidation(room: Room) -> None:
    error = await refusal(room.invalidate(*[novel_key()] * 1001, prefixes=(f"passages:{ID}:",) * 11))
    assert set(error.fields) == {"keys", "prefixes"}
    assert await room.invalidate(*[novel_key()] * 1000, prefixes=(f"passages:{ID}:",) * 10) == 0
    assert await room.invalidate() == 0


async def test_a_watch_of_an_unknown_kind(room: Room) -> None:
    async def first() -> Any:
        return await anext(aiter(room.stub.WatchInvalidations(pb.WatchInvalidationsRequest(kinds=["novels"]))))

    error = await refusal(first())
    assert isinstance(error, InvalidArgument)
    assert "'novels'" in error.fields["kinds"]


async def test_a_key_at_the_limits_of_its_grammar(room: Room) -> None:
    key = f"passages:{ID}:{'A-_z' * 32}:50"
    await room.put(key, b"x")
    await room.put(passages_key(ID, 1), b"x")
    assert await room.invalidate(prefixes=(f"passages:{ID}:",)) == 2
