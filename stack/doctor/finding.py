"""What a check found."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        topic: what was looked at.
        detail: how it is.
        remedy: what to do; empty: all is well.
        fatal: whether a stack can't start, or serve, like this.
    """

    topic: str
    detail: str
    remedy: str = ""
    fatal: bool = True
