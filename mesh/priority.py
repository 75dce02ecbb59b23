"""Whether somebody waits for a call, or it is background work: handed from hop to hop."""

from contextvars import ContextVar

INTERACTIVE, BATCH = "interactive", "batch"
KEY = "x-gaji-priority"
"""The metadata that says so; absent or anything else than ``batch``: interactive."""

_priority: ContextVar[str] = ContextVar("gaji_priority", default=INTERACTIVE)


def current() -> str:
    """`INTERACTIVE` or `BATCH`."""
    return _priority.get()


def enter(priority: str | None) -> str:
    """Sets the priority for the rest of the running task, as metadata has it; returns what it is."""
    known = BATCH if priority == BATCH else INTERACTIVE
    _priority.set(known)
    return known


def outgoing() -> tuple[tuple[str, str], ...]:
    """The metadata for the next hop."""
    return ((KEY, BATCH),) if _priority.get() == BATCH else ()
