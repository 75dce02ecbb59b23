"""Keeps the deadline of a call where channels find it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh import deadlines
from mesh.interceptors.pipeline import Call


@contextmanager
def deadline(call: Call) -> Iterator[None]:
    """The handler and the calls that it makes have as long as its caller waits."""
    deadlines.enter(call.seconds_left)
    yield
