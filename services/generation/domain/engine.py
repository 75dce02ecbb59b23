"""How a reply is written: begin, passages, prompt, tokens, and its end, whatever it is."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mesh import deadlines
from mesh.errors import Cancelled, DeadlineExceeded, Internal, MeshError
from mesh.telemetry.logs import get_logger
from services.generation import metrics
from services.generation.domain import failures
from services.generation.domain.events import Complete, Event, Failed, Progress, Text
from services.generation.domain.passages import PassageFinder
from services.generation.domain.pieces import Pieces, reading
from services.generation.domain.prompt import BuiltPrompt, build, cost
from services.generation.domain.tokens import estimate
from services.generation.ports import (
    BegunReply,
    Chunk,
    Library,
    ModelProvider,
    Passage,
    PromptTooLong,
    Record,
    ReplyContext,
    TokenCounts,
    Work,
)

log = get_logger(__name__)
T = TypeVar("T")
_FEWEST_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reply may take.

    Attributes:
        max_tokens: tokens of a reply at most.
        temperature: 0 to 2.
        seconds: from request to end, for callers that give more time or set no deadline.
    """

    max_tokens: int = 256
    temperature: float = 0.7
    seconds: float = 290.0


@dataclass(slots=True)
class _Attempt:
    """A reply that is being written."""

    begun: BegunReply
    started: float
    pieces: Pieces = field(default_factory=Pieces)
    record: Record = field(default_factory=Record)
    estimated_prompt: int = 0
    whole: bool = False

    def ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


class ReplyEngine:
    """Writes replies with one model.

    Args:
        provider: the model.
        library: where replies are begun and kept.
        finder: finds passages.
        limits: how much a reply may take.
    """

    def __init__(self, provider: ModelProvider, library: Library, finder: PassageFinder, limits: Limits) -> None:
        self._provider = provider
        self._library = library
        self._finder = finder
        self._limits = limits
        self._settling: set[asyncio.Task[None]] = set()

    async def run(self, work: Work, request_id: str) -> AsyncGenerator[Event, None]:
        """Writes one reply. Closing the generator, or cancelling the task that reads it, gives the reply up.

        Raises:
            MeshError: the reply could not even be begun; later failures are `Failed` events.
        """
        started = time.monotonic()
        begun = await self._begin(work, request_id)
        if begun.context is None:
            yield Progress(100, "writing", "The reply is there")
            yield Text(begun.content)
            yield Complete(begun, begun.content, begun.record)
            return
        attempt = _Attempt(begun, started, record=Record(provider=self._provider.name, model=self._provider.model))
        active = metrics.ACTIVE.labels(self._provider.name)
        active.inc()
        try:
            async with aclosing(self._write(attempt, begun.context)) as events:
                async for event in events:
                    yield event
        except MeshError as error:
            await self._settle(self._give_up(attempt, error))
            yield Failed(error)
        except (asyncio.CancelledError, GeneratorExit):
            if not attempt.whole:
                await self._settle(self._give_up(attempt, _why_cancelled()))
            raise
        except BaseException:
            await self._settle(self._give_up(attempt, Internal("something went wrong on our side")))
            raise
        finally:
            active.dec()

    async def aclose(self, seconds: float = 5.0) -> None:
        """Waits, but no longer than so many seconds, until the ends of all replies are stored."""
        if self._settling:
            await asyncio.wait(self._settling, timeout=seconds)

    async def _begin(self, work: Work, request_id: str) -> BegunReply:
        # A reply that was begun must be ended: were this call cut off, nobody would know the lease that it gave.
        beginning = asyncio.create_task(self._library.begin_reply(work, request_id))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self._in_background(self._give_up_begun(beginning, _why_cancelled()))
            raise

    async def _give_up_begun(self, beginning: asyncio.Task[BegunReply], error: MeshError) -> None:
        try:
            begun = await beginning
        except MeshError:
            return
        if begun.context is not None:
            await self._give_up(_Attempt(begun, time.monotonic()), error)

    async def _write(self, attempt: _Attempt, context: ReplyContext) -> AsyncGenerator[Event, None]:
        yield Progress(20, "context", "Opened the conversation")
        passages = await self._in_time(attempt, self._finder.find(context))
        count = len(passages)
        yield Progress(50, "passages", f"Found {count} passage{'s' * (count != 1)}" if count else "No passages found")
        chunks = self._model(attempt, context, passages)
        yield Progress(70, "prompt", f"{context.character_name} is thinking")
        async with reading(chunks) as pieces:
            attempt.pieces = pieces
            while piece := await self._in_time(attempt, pieces.next()):
                if not attempt.record.first_token_ms:
                    attempt.record = replace(attempt.record, first_token_ms=max(1, attempt.ms()))
                    metrics.FIRST_TOKEN_SECONDS.labels(self._provider.name).observe(attempt.ms() / 1000)
                    yield Progress(100, "writing", f"{context.character_name} is writing")
                yield Text(piece)
        if not pieces.text.strip():
            raise failures.silent()
        self._finish(attempt)
        content = pieces.text
        # From here on the reply is kept even if its reader leaves.
        attempt.whole = True
        await self._settle(self._library.complete_reply(attempt.begun, content, attempt.record))
        metrics.ENDED.labels(self._provider.name, "complete").inc()
        yield Complete(attempt.begun, content, attempt.record)

    async def _model(
        self, attempt: _Attempt, context: ReplyContext, passages: list[Passage]
    ) -> AsyncGenerator[Chunk, None]:
        """The model's chunks; asks once more with a shorter prompt when the estimate of its tokens was too low."""
        window = self._provider.context_window
        tokens = window - self._limits.max_tokens
        for last in (False, True):
            built = build(context, passages, tokens=tokens)
            self._note_prompt(attempt, built)
            chunks = self._provider.stream(
                built.prompt, max_tokens=self._limits.max_tokens, temperature=self._limits.temperature
            )
            try:
                async with aclosing(chunks):
                    async for chunk in chunks:
                        yield chunk
            except PromptTooLong as error:
                log.warning("the prompt was too long", extra={"estimated": tokens, "tokens": error.tokens})
                if last:
                    raise
                factor = 0.95 * attempt.estimated_prompt / error.tokens if error.tokens else 0.5
                tokens = max(_FEWEST_TOKENS, int(tokens * factor))
            else:
                return

    def _note_prompt(self, attempt: _Attempt, built: BuiltPrompt) -> None:
        attempt.estimated_prompt = cost(built.prompt)
        attempt.record = replace(attempt.record, passage_ids=built.passage_ids)

    def _finish(self, attempt: _Attempt) -> None:
        """Puts counts and times into the record, once; estimates where the model does not count."""
        if attempt.record.total_ms:
            return
        counts = attempt.pieces.counts or TokenCounts(attempt.estimated_prompt, estimate(attempt.pieces.text))
        attempt.record = replace(
            attempt.record,
            prompt_tokens=counts.prompt,
            completion_tokens=counts.completion,
            total_ms=max(1, attempt.ms()),
        )
        metrics.TOKENS.labels(self._provider.name, "prompt").inc(counts.prompt)
        metrics.TOKENS.labels(self._provider.name, "completion").inc(counts.completion)

    async def _in_time(self, attempt: _Attempt, waiting: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout_at(_loop_time(attempt.started + self._limits.seconds)):
                return await waiting
        except TimeoutError as error:
            raise failures.too_slow() from error

    async def _give_up(self, attempt: _Attempt, error: MeshError) -> None:
        self._finish(attempt)
        metrics.ENDED.labels(self._provider.name, error.reason).inc()
        log.info("a reply was given up", extra={"reason": error.reason, "message_id": attempt.begun.message_id})
        try:
            await self._library.fail_reply(attempt.begun, attempt.pieces.text, attempt.record, error)
        except MeshError as problem:
            # The lease of the reply ends by itself; the reader has been told of the failure either way.
            log.warning("cannot store that a reply failed", extra={"reason": problem.reason})

    def _in_background(self, end: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(end)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _settle(self, end: Coroutine[Any, Any, None]) -> None:
        """Stores a reply's end, which goes on when the reader leaves meanwhile."""
        await asyncio.shield(self._in_background(end))


def _why_cancelled() -> MeshError:
    left = deadlines.remaining()
    if left is not None and left <= 0.05:
        return DeadlineExceeded("the reply took longer than its reader would wait", reason="DEADLINE_EXCEEDED")
    return Cancelled("the reader left", reason="CANCELLED")


def _loop_time(monotonic: float) -> float:
    return asyncio.get_running_loop().time() + monotonic - time.monotonic()
