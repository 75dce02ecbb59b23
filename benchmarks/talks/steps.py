"""What is measured: so many conversations at once, the price of a token, and the way from POST to the model."""

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.results import percentile
from benchmarks.talks.model import BRIEFLY
from benchmarks.talks.readers import Crowd, Seen
from benchmarks.talks.stacks import Both, Target

QUESTIONS = [
    f"{what} {whom}?"
    for what in ("What did you see of", "Why did you wait for", "When did you last hear of", "Would you follow")
    for whom in ("the boat", "Edwin Sloane", "the light on the quay", "the herring", "your mother")
]
THINK_SECONDS = 0.5, 1.5
WARM_SECONDS = 6.0
FIRST_SECONDS = 1.0
GAP_MS = 250.0
ERROR_SHARE = 0.01
_BRIEF = [f"{BRIEFLY}: {question}" for question in QUESTIONS]
_READERS = "readers"


@dataclass(frozen=True, slots=True)
class Step:
    """So many conversations at once on one stack, as JSON keeps it; CPU by role in seconds a second.

    Attributes:
        stack: its name.
        round: of the benchmark.
        conversations: at once; a part of the time their readers think.
        held: whether all is within the bounds of the knee, and there were as many first words as readers.
        tokens: words that came, a second.
        cpu_per_token_us: of the stack's own processes, without stores, model and readers.
    """

    stack: str
    round: int
    conversations: int
    held: bool
    first_token_p50_ms: float
    first_token_p99_ms: float
    post_to_model_p50_ms: float
    post_to_model_p99_ms: float
    model_to_reader_p50_ms: float
    model_to_reader_p99_ms: float
    gap_p99_ms: float
    error_share: float
    replies: int
    tokens: float
    cpu_per_token_us: float
    cpu: dict[str, float] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


async def step(both: Both, target: Target, conversations: int, seconds: float, turn: int) -> Step:
    """Lets so many readers talk for so long, once they have all come."""
    crowd = Crowd(target.port, await target.conversations(conversations), QUESTIONS, THINK_SECONDS)
    crowd.begin(WARM_SECONDS * 0.8)
    await asyncio.sleep(WARM_SECONDS)
    before, own, began = both.spent(target), time.process_time(), time.monotonic()
    seen = crowd.mark()
    await asyncio.sleep(seconds)
    crowd.unmark()
    lasted, after = time.monotonic() - began, both.spent(target)
    cpu = {role: (after[role] - before[role]) / lasted for role in after}
    cpu[_READERS] = (time.process_time() - own) / lasted
    await crowd.finish()
    return _judged(target, turn, conversations, seen=seen, cpu=cpu, lasted=lasted)


def _judged(target: Target, turn: int, conversations: int, *, seen: Seen, cpu: dict[str, float], lasted: float) -> Step:
    first = _p50_p99(seen.first)
    tokens = seen.words / lasted
    # Where fewer words came than that, the percentiles are of the lucky, and of none they would be 0.
    held = len(seen.first) >= conversations and any(seen.gaps)
    held = held and first[1] <= FIRST_SECONDS * 1000 and seen.gap_ms(99) <= GAP_MS and seen.error_share <= ERROR_SHARE
    asked, came = _p50_p99(seen.asked), _p50_p99(seen.came)
    return Step(
        target.name,
        turn,
        conversations,
        held,
        *first,
        *asked,
        *came,
        seen.gap_ms(99),
        seen.error_share,
        seen.replies,
        tokens,
        sum(cpu[role] for role in target.pids) / tokens * 1e6 if tokens else 0.0,
        cpu,
        dict(seen.errors),
    )


async def price(both: Both, target: Target, streams: int, words: int) -> dict[str, float]:
    """Microseconds of CPU a token by role, when so many replies are written at once, however long they take.

    Raises:
        RuntimeError: a reader did not get its reply.
    """
    crowd = Crowd(target.port, await target.conversations(streams), QUESTIONS, None)
    seen = crowd.mark()
    before = both.spent(target)
    crowd.begin(1.0)
    async with asyncio.timeout(120):
        while seen.replies + sum(seen.errors.values()) < streams:  # noqa: ASYNC110 - nothing is woken that is measured
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # until the last end is stored
    after = both.spent(target)
    await crowd.finish()
    if seen.errors:
        raise RuntimeError(f"of {streams} readers of {target.name} some got none: {dict(seen.errors)}")
    return {role: (after[role] - before[role]) / (streams * words) * 1e6 for role in after}


async def way(target: Target, count: int) -> dict[str, float]:
    """Milliseconds from POST to the model, and on to the first word, of brief replies one after the other.

    Each is the second reply of its conversation: a stack may remember what it has learned at the first.

    Raises:
        RuntimeError: a reader did not get its reply.
    """
    seen = Seen()
    for number, conversation in enumerate(await target.conversations(count)):
        for noted in (Seen(), seen):
            crowd = Crowd(target.port, [conversation], [_BRIEF[number % len(_BRIEF)]], None)
            crowd.seen = noted
            crowd.begin(0.0)
            await asyncio.sleep(0.08)
            await crowd.finish()
            if noted.errors:
                raise RuntimeError(f"a reader of {target.name} did not get a reply: {dict(noted.errors)}")
    if len(seen.first) < count:
        raise RuntimeError(f"of {count} readers of {target.name} {len(seen.first)} got a reply in time")
    (asked, asked_99), (came, came_99) = _p50_p99(seen.asked), _p50_p99(seen.came)
    return {
        "post_to_model_p50_ms": asked,
        "post_to_model_p99_ms": asked_99,
        "model_to_reader_p50_ms": came,
        "model_to_reader_p99_ms": came_99,
    }


def _p50_p99(seconds: list[float]) -> tuple[float, float]:
    if not seconds:
        return 0.0, 0.0
    return percentile(seconds, 50) * 1000, percentile(seconds, 99) * 1000
