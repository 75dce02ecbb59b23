"""Fixtures of all tests: real servers, and a guard that no test blocks the event loop."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.stack"]


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fails a test in which our code blocks the event loop (sleeps, reads files or sockets) instead of awaiting."""
    with blockbuster_ctx(scanned_modules=["mesh", "services", "gateway"]) as guard:
        yield guard
