"""One request until it is answered or given up, as its record has it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import httpx

from benchmarks.faults.availability.records import MESSAGE, Record

DEADLINES: Mapping[str, float] = {MESSAGE: 60.0, "search": 10.0, "read": 10.0, "login": 10.0, "opening": 10.0}
"""Seconds: those of the contract, but messages, which the contract gives 300 s, have a reader's patience."""
CUT_SECONDS = 6.0
"""After its deadline a request is cut off; long before that it counts as hung."""
RETRY_SECONDS = 1.0
_LONGEST_RETRY = 10.0
_AGAIN = {429, 502, 503, 504}


class Failed(Exception):  # noqa: N818 - an outcome, caught where it is recorded
    """A request was not answered as it should be.

    Args:
        outcome: in words.
        again: whether a client may try once more; the seconds until then.
    """

    def __init__(self, outcome: str, again: float | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.again = again


async def attempts(one: Callable[[], Awaitable[None]], record: Record, deadline: float, times: int = 2) -> None:
    """Tries until it is answered, refused for good, or over its time; the first try alone makes ``ok``."""
    record.began, record.deadline = time.monotonic(), deadline
    try:
        for _ in range(times):
            began = time.monotonic()
            failed: Failed | None = None
            try:
                async with asyncio.timeout(deadline + CUT_SECONDS):
                    await one()
            except Failed as error:
                failed = error
            except TimeoutError:
                failed = Failed(f"cut off {CUT_SECONDS:g} s after its deadline")
            now = time.monotonic()
            if record.seconds is None:
                record.seconds, record.ok = now - began, failed is None
                record.outcome = failed.outcome if failed else "200"
            record.kept, record.kept_seconds = failed is None, now - record.began
            if failed is None or failed.again is None or now + failed.again > record.began + deadline:
                return
            await asyncio.sleep(failed.again)
    finally:
        if record.seconds is None:  # the run ends
            record.seconds, record.outcome = time.monotonic() - record.began, "cut off by the run"


def raise_unless_ok(answer: httpx.Response) -> None:
    """Reads status and reason.

    Raises:
        Failed: it is a refusal.
    """
    if answer.is_success:
        return
    try:
        reason = answer.json()["error"]["reason"]
    except (ValueError, KeyError, TypeError):
        reason = answer.text[:60]
    again = None
    if answer.status_code in _AGAIN:
        given = answer.headers.get("retry-after", "")
        again = min(float(given), _LONGEST_RETRY) if given.isdecimal() else RETRY_SECONDS
    raise Failed(f"{answer.status_code} {reason}".rstrip(), again)
