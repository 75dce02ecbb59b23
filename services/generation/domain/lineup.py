"""Several models in an order: where one is in trouble before it has said a word, the next one answers.

A model that was in trouble is left alone for a while, which grows with each further failure, so that replies need not
each wait for it. Then one reply tries it, and the others follow when it speaks. Where all are in trouble, all are
tried.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from mesh.errors import Internal, MeshError
from mesh.telemetry.logs import get_logger
from services.generation import metrics
from services.generation.domain import failures
from services.generation.ports import Chunk, Hear, ModelProvider

log = get_logger(__name__)
_LONGEST_ASKED = 300.0
"""Seconds for which a model's server may ask to be left alone (Retry-After)."""


class Rest:
    """How long a model in trouble is left alone.

    Args:
        shortest: seconds after the first failure; doubled for each further one in a row.
        longest: seconds at most.
        held: for how long nobody else tries while one does.
    """

    def __init__(self, shortest: float, longest: float, held: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._held = held
        self._failures = 0
        self._failed_at = float("-inf")
        self._until = float("-inf")

    def over(self, now: float) -> bool:
        """Whether the model may be tried."""
        return not self._failures or now >= self._until

    def tried(self, now: float) -> None:
        """Somebody tries it; of a model in trouble, for a while nobody else does."""
        if self._failures:
            self._until = max(self._until, now + self._held)

    def failed(self, began: float, now: float, asked: float | None) -> None:
        """A try that began at a moment has failed; those that were under way together count as one.

        Args:
            began: when it began.
            now: the present.
            asked: for how many seconds the model asks to be left alone, if it does.
        """
        if began >= self._failed_at:
            self._failures += 1
            self._failed_at = now
            self._until = now + min(self._longest, self._shortest * 2 ** min(self._failures - 1, 16))
        if asked is not None:
            self._until = max(self._until, now + min(asked, _LONGEST_ASKED))

    def spoke(self) -> None:
        """It is well."""
        self._failures = 0


class _Seat:
    """A model and its rest."""

    def __init__(self, provider: ModelProvider, rest: Rest) -> None:
        self.provider = provider
        self.rest = rest


class _Try:
    """One model is asked; what it says is told on.

    Args:
        rest: the model's.
        hear: is told.
        silence: ends the wait for its first word.

    Attributes:
        spoken: whether it has said a word.
        broken: what went wrong in hearing it, which is not the model's; None: nothing.
    """

    def __init__(self, rest: Rest, hear: Hear, silence: asyncio.Timeout) -> None:
        self.spoken = False
        self.broken: Exception | None = None
        self._rest = rest
        self._hear = hear
        self._silence = silence

    def hear(self, chunk: Chunk) -> None:
        """It says something."""
        if not self.spoken:
            if self._silence.expired():  # too late: the next one is asked
                return
            if chunk.text:
                self.spoken = True
                self._silence.reschedule(None)
                self._rest.spoke()
        try:
            self._hear(chunk)
        except Exception as error:
            self.broken = error
            raise


class Lineup:
    """The models that write replies, in the order of preference.

    Args:
        providers: one or more.
        first_token_seconds: how long one may take for its first word where another could be asked.
        rest_seconds: the longest time for which one that was in trouble is left alone.
        clock: seconds from any moment on.
    """

    def __init__(
        self,
        providers: Sequence[ModelProvider],
        *,
        first_token_seconds: float = 20.0,
        rest_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        shortest = min(1.0, rest_seconds)
        self._seats = [_Seat(each, Rest(shortest, rest_seconds, first_token_seconds)) for each in providers]
        self._first_token_seconds = first_token_seconds
        self._clock = clock
        self.first = providers[0]

    async def answer(
        self, ask: Callable[[ModelProvider, Hear], Awaitable[None]], hear: Hear, *, in_words: bool = True
    ) -> None:
        """Has the models asked until one says a word, and that one answer to its end.

        Args:
            ask: has a model answer; called anew for each that is tried.
            hear: is told the answer as it comes.
            in_words: whether an answer without a word is a failure.

        Raises:
            MeshError: what the last of them ended with, one ended with after its first word, or what no other would
                answer better (it declined, or the request is wrong).
        """
        seats = self._order()
        for number, seat in enumerate(seats):
            alone = number + 1 == len(seats)
            began = self._clock()
            seat.rest.tried(began)
            silence = asyncio.timeout(None if alone else self._first_token_seconds)
            attempt = _Try(seat.rest, hear, silence)
            try:
                async with silence:
                    await ask(seat.provider, attempt.hear)
                if attempt.spoken or not in_words:
                    return
                raise failures.silent()
            except (MeshError, TimeoutError) as caught:
                if attempt.broken is not None:
                    raise attempt.broken from None
                error = caught if isinstance(caught, MeshError) else failures.too_slow()
                if not in_trouble(error):
                    raise
                seat.rest.failed(began, self._clock(), error.retry_after)
                metrics.TROUBLE.labels(seat.provider.name, error.reason, "after" if attempt.spoken else "before").inc()
                if attempt.spoken or alone:
                    raise error from None
                facts = {"provider": seat.provider.name, "reason": error.reason, "error": error.message}
                log.warning("a model is in trouble; the next one answers", extra=facts)

    async def aclose(self) -> None:
        """Stops and frees all of them."""
        for seat in self._seats:
            await seat.provider.aclose()

    def _order(self) -> list[_Seat]:
        now = self._clock()
        return sorted(self._seats, key=lambda seat: not seat.rest.over(now))


def in_trouble(error: MeshError) -> bool:
    """Whether it is the model that failed, so that another could answer the same.

    A model that its operator must set up anew (a key that is no longer accepted) is in trouble like one that is down.
    """
    return error.retryable or error.reason == failures.MISCONFIGURED or isinstance(error, Internal)
