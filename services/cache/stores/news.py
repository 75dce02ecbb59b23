"""What replicas tell each other over Redis pub/sub: JSON on one channel per database.

``{"settled": key}``: the key's lease has ended. ``{"keys": [...], "prefixes": [...]}``: these no longer hold.
``{"asked": true}``: somebody looks something up; to earlier releases it says that nothing no longer holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from redis.asyncio import Redis

from services.cache.ports import Notice


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody looks something up."""


def channel(redis: Redis) -> str:
    """The channel's name; Redis does not keep the channels of its databases apart by itself."""
    return f"gaji:cache:{redis.connection_pool.connection_kwargs.get('db') or 0}:news"


def settled(key: str) -> bytes:
    """The message that a lease has ended."""
    return orjson.dumps({"settled": key})


def invalidated(keys: Sequence[str], prefixes: Sequence[str]) -> bytes:
    """The message that keys and prefixes no longer hold."""
    return orjson.dumps({"keys": keys, "prefixes": prefixes})


def asked() -> bytes:
    """The message that somebody looks something up."""
    return orjson.dumps({"asked": True})


def read(message: bytes) -> str | Notice | Asked:
    """The settled key, the notice, or that somebody asks. Fields of later versions are passed over."""
    news = orjson.loads(message)
    if "asked" in news:
        return Asked()
    if "settled" in news:
        return str(news["settled"])
    return Notice(tuple(news.get("keys", ())), tuple(news.get("prefixes", ())))
