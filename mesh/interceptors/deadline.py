"""Keeps the deadline of a call where channels find it."""

from mesh import deadlines
from mesh.interceptors.pipeline import Around, Call


def deadline(margin: float) -> Around:
    """The handler and the calls that it makes have as long as its caller waits.

    Args:
        margin: seconds that the way back takes; a call that has no more left is refused before any work.
    """

    def around(call: Call) -> None:
        deadlines.refuse_late(call.seconds_left, margin, call.method)
        deadlines.enter(call.seconds_left)

    return around
