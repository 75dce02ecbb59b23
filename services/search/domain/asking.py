"""Asks a language model for advice, within bounds: what is not answered well and in time is done without.

Nobody waits longer than they say, no more calls are made a minute than the operator allows, and a vendor in trouble is
left alone for a while, so that it costs one search its patience and the others nothing. Then one call tries it, and the
others follow when it answers.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeVar

from mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from mesh.telemetry import gen_ai
from mesh.telemetry.logs import get_logger
from services.search.metrics import MODEL_CALLS
from services.search.ports import MODEL_REFUSED, Inquiry, LanguageModel

LEAST_SECONDS = 0.2
"""In less than that no model answers: it is not asked."""
FAIR_SECONDS = 1.5
"""A model that needs longer than that for one call may be a good one all the same."""
REST_SECONDS = 30.0
"""For how long a model in trouble is left alone."""
LONGEST_REST = 300.0
"""Seconds for which a vendor may ask to be left alone (Retry-After)."""
AT_ONCE = 8
"""Calls under way; whoever comes then does without rather than wait."""
MOST_POOR = 3
"""Answers in a row that are of no use, after which the model counts as in trouble."""

Task = Literal["rewrite", "rerank", "characters"]
T = TypeVar("T")

_told: ContextVar[Callable[[], None] | None] = ContextVar("gaji_model_asked", default=None)

log = get_logger(__name__)


@contextmanager
def telling(asked: Callable[[], None]) -> Iterator[None]:
    """Has it told when a model is really asked, by what runs within the block or is begun there."""
    token = _told.set(asked)
    try:
        yield
    finally:
        _told.reset(token)


class Asking:
    """A language model and what it may cost.

    Args:
        model: the model.
        calls_per_minute: how many calls it gets at most; those that are not made add up to so many.
        clock: seconds, never stepping.
    """

    def __init__(
        self, model: LanguageModel, calls_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._model = model
        self._most = float(calls_per_minute)
        self._clock = clock
        self._left, self._counted_at = self._most, clock()
        self._under_way = 0
        self._poor = 0
        self._in_trouble = False
        self._again_at = 0.0
        self.name = model.name
        provider, _, name = model.name.partition("/")
        self._called = provider, name  # by metrics

    def ready(self) -> bool:
        """Whether a call would be made now."""
        return not self._hindrance(self._clock())

    async def ask(self, task: Task, inquiry: Inquiry, read: Callable[[object], T], seconds: float) -> T | None:
        """What the model answers; never an error.

        Args:
            task: what for.
            inquiry: the question.
            read: makes what is wanted of the JSON that comes; a ``ValueError`` says that it is of no use.
            seconds: how long to wait.

        Returns:
            None: it is not asked, or its answer does not come in time or is of no use.
        """
        began = self._clock()
        hindrance = self._hindrance(began) or ("late" if seconds < LEAST_SECONDS else "")
        if hindrance:
            MODEL_CALLS.labels(task, hindrance).inc()
            return None
        self._left -= 1
        trying = self._in_trouble
        if trying:
            self._again_at = began + REST_SECONDS  # for the others, while this one tries
        result = "left"
        self._under_way += 1
        if (told := _told.get()) is not None:
            told()
        try:
            with gen_ai.operation(*self._called):
                async with asyncio.timeout(seconds):
                    answer = read(await self._model.answer(inquiry))
            result = "answered"
        except TimeoutError:
            why = f"no answer within {seconds:.1f} s"
            # Who was in a hurry says little of the model; several of them in a row do.
            hurry = seconds < FAIR_SECONDS
            result = self._disappointed(task, "too_slow", why) if hurry else self._failed(task, DeadlineExceeded(why))
        except MeshError as error:
            result = self._failed(task, error)
        except ValueError as error:
            result = self._disappointed(task, "unusable", str(error))
        except Exception as error:  # whatever a vendor's client does wrong, the search goes on
            log.exception("the client of a language model failed", extra={"task": task, "model": self.name})
            result = self._failed(task, Unavailable(repr(error)))
        else:
            self._in_trouble, self._poor = False, 0
            return answer
        finally:
            self._under_way -= 1
            if result == "left" and trying:
                self._again_at = self._clock()  # its caller is gone, and nobody knows: the next one tries
            MODEL_CALLS.labels(task, result).inc()
        return None

    def _hindrance(self, now: float) -> str:
        """Why no call is made; empty: it is."""
        self._left = min(self._most, self._left + (now - self._counted_at) * self._most / 60)
        self._counted_at = now
        if self._in_trouble and now < self._again_at:
            return "resting"
        if self._left < 1:
            return "over_budget"
        return "crowded" if self._under_way >= AT_ONCE else ""

    def _failed(self, task: Task, error: MeshError) -> str:
        """Leaves the model alone, if that is what the error says; the error's name among the results."""
        if isinstance(error, FailedPrecondition) and error.reason == MODEL_REFUSED:
            return self._disappointed(task, "refused", error.message)
        seconds = min(max(REST_SECONDS, error.retry_after or 0.0), LONGEST_REST)
        self._rest(task, seconds, error.message)
        if isinstance(error, DeadlineExceeded):
            return "too_slow"
        if isinstance(error, ResourceExhausted):
            return "quota"
        return "misconfigured" if isinstance(error, FailedPrecondition) else "unreachable"

    def _disappointed(self, task: Task, result: str, why: str) -> str:
        log.info("a language model's answer was of no use", extra={"task": task, "model": self.name, "error": why})
        self._poor += 1
        if self._poor >= MOST_POOR:
            self._poor = 0
            self._rest(task, REST_SECONDS, why)
        return result

    def _rest(self, task: Task, seconds: float, why: str) -> None:
        facts = {"task": task, "model": self.name, "seconds": round(seconds), "error": why}
        log.warning("a language model is done without for a while", extra=facts)
        self._in_trouble = True
        self._again_at = self._clock() + seconds
