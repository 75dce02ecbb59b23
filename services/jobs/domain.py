"""What jobs there are, where they queue, and when they are tried again."""

import random
from collections.abc import Mapping

FINISH_REPLY = "finish_reply"
INGEST_NOVEL = "ingest_novel"
SWEEP = "sweep"

HIGH = "high_priority"
LOW = "low_priority"
QUEUES: Mapping[str, str] = {FINISH_REPLY: HIGH, SWEEP: HIGH, INGEST_NOVEL: LOW}
"""The queue of each job. A worker serves one queue, so that novels never hold up replies."""

# What jobs return beside what their rooms say.
GONE = "gone"
RUNNING = "running"
SWEPT = "swept"
PARTLY = "partly"
_JITTER = 0.25


def retry_delay(retries: int, seconds: float) -> float:
    """The pause in seconds before a job is tried again: doubled each time, and up to a quarter longer by chance.

    Args:
        retries: how often it was tried again already.
        seconds: the first pause.
    """
    return seconds * 2.0**retries * random.uniform(1.0, 1.0 + _JITTER)  # noqa: S311 - spreads load, keeps no secret


def longest_retry_delay(retries: int, seconds: float) -> float:
    """The longest pause in seconds of a job that is tried again so many times at most."""
    return seconds * 2.0 ** max(0, retries - 1) * (1.0 + _JITTER)
