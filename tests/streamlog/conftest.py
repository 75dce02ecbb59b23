"""Hubs on a real Valkey; each stands for a process of its own."""

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from mesh.streamlog import Hub, open_hub


class Texts:
    """Events that are texts."""

    def dumps(self, event: str) -> bytes:
        return event.encode()

    def loads(self, data: bytes) -> str:
        return data.decode()


OpenHub = Callable[..., AbstractAsyncContextManager[Hub[str]]]


@pytest.fixture
def open_texts(redis_url: str) -> OpenHub:
    """Opens a hub: ``open_texts(lease_seconds=0.3)``."""

    def start(**options: Any) -> AbstractAsyncContextManager[Hub[str]]:
        values = {"name": "test", "lease_seconds": 3.0, "ttl_seconds": 60.0, **options}
        return open_hub(values.pop("redis_url", redis_url), Texts(), **values)

    return start


@pytest.fixture
def stream_id() -> uuid.UUID:
    return uuid.uuid4()
