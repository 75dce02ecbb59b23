"""Fixtures of all tests: real servers, and a guard that no test blocks the event loop."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # no test asserts a duration
settings.load_profile("no deadline")

pytest_plugins = ["tests.fixtures.chromium", "tests.fixtures.otlp", "tests.fixtures.servers", "tests.fixtures.stack"]


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fails a test in which our code blocks the event loop (sleeps, reads files or sockets) instead of awaiting."""
    with blockbuster_ctx(scanned_modules=["mesh", "services", "gateway"]) as guard:
        yield guard


@pytest.fixture(scope="session", autouse=True)
async def grpc_runtime() -> AsyncIterator[None]:
    """Keeps gRPC's own thread up between tests.

    Without any server or channel gRPC ends it, and waits for its end in whatever code collects the last channel: in
    the event loop, where nothing may block.
    """
    grpc.aio.init_grpc_aio()
    yield
    grpc.aio.shutdown_grpc_aio()
