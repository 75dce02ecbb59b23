"""How a reply is written into its log: passages, prompt, tokens, and its end, whatever it is."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from mesh.errors import FailedPrecondition, Internal, MeshError, NotFound
from mesh.process import ended
from mesh.streamlog import FAILED, Producer
from mesh.telemetry import gen_ai, trace
from mesh.telemetry.logs import get_logger, log_texts
from mesh.telemetry.metrics import series
from mesh.telemetry.spans import models
from mesh.telemetry.spans.record import Span
from services.generation import metrics
from services.generation.domain import failures, tracing
from services.generation.domain.continuation import How, Notes, joined, to_be_continued, whole_sentences
from services.generation.domain.events import LOG_ENDS, Event, Failed, Progress, Seam, Text, end_of, text_of
from services.generation.domain.lineup import Lineup
from services.generation.domain.passages import Early, PassageFinder
from services.generation.domain.pieces import Pieces
from services.generation.domain.prompt import build, cost
from services.generation.domain.sources import Sources, citations
from services.generation.domain.tokens import estimate
from services.generation.domain.voices import Voices
from services.generation.ports import (
    Chunk,
    Degraded,
    Hear,
    Library,
    ModelProvider,
    Outcome,
    Passage,
    Prompt,
    PromptTooLong,
    Record,
    Reply,
    ReplyContext,
    TokenCounts,
)

log = get_logger(__name__)
_FEWEST_TOKENS = 512
_FEWEST_MORE = 16
_STORE_SECONDS = (0.1, 2.0)
_STOPPING_SECONDS = 5.0
"""How long a model may take to stop; then its cleaning up is cancelled as well."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reply may take.

    Attributes:
        max_tokens: tokens of a reply at most.
        temperature: 0 to 2.
        seconds: from the moment that a writer takes it up to the end of the text.
        store_seconds: how long to try to store a reply that has ended before another may try.
    """

    max_tokens: int = 256
    temperature: float = 0.7
    seconds: float = 290.0
    store_seconds: float = 300.0


@dataclass(slots=True)
class _Attempt:
    """A reply that is being written here.

    Attributes:
        kept: what earlier writers left of the text and what stands.
        text: what there is of the text now.
        told: the highest progress that readers have heard of.
        provider: the model that writes it, or is asked to.
        how: who writes it, and in which ways it is less than it could be.
        fell_back: whether a part of what stands is by another model than the first.
        description: what the model may be told of the character under a spoiler limit.
        prompt: what the model was given last, for estimates; None: nothing yet.
        passage_ids: of the passages in it.
        seamed: whether its readers know that the text goes on in another way.
        storing: whether its end is being stored: then nothing stops it any more.
        early: the search for its passages, if that has begun.
    """

    reply: Reply
    producer: Producer[Event]
    notes: Notes
    kept: str
    text: str
    told: int
    how: How
    provider: ModelProvider
    fell_back: bool
    description: str = ""
    began: float = field(default_factory=time.monotonic)
    pieces: Pieces = field(default_factory=Pieces)
    prompt: Prompt | None = None
    passage_ids: tuple[str, ...] = ()
    seamed: bool = False
    storing: bool = False
    early: Early | None = None

    def ms(self) -> int:
        """Milliseconds since the reply was asked for, by the clock: its writer may be another by now."""
        return max(1, round((time.time() - self.notes.started) * 1000))

    def note(self, notes: Notes) -> None:
        self.notes = notes
        self.producer.note(Notes.NAME, notes.dumps())

    def note_how(self) -> None:
        self.producer.note(How.NAME, self.how.dumps())

    def degrade(self, way: Degraded, *, holds: bool) -> None:
        """Notes whether it is less than it could be in a way."""
        if holds != (way in self.how.degraded):
            self.how = replace(self.how, degraded=tuple(sorted({*self.how.degraded} ^ {way})))

    def estimated_prompt(self) -> int:
        """About how many tokens the prompt has."""
        return 0 if self.prompt is None else cost(self.prompt)

    def counts(self) -> tuple[int, int]:
        """The tokens of prompt and reply so far, estimated where the model does not count."""
        counted = self.pieces.counts or TokenCounts(self.estimated_prompt(), estimate(self.pieces.text))
        return counted.prompt, counted.completion + estimate(self.kept)

    def tell(self, percent: int, stage: str, message: str) -> None:
        if percent > self.told:
            self.told = percent
            self.producer.append(Progress(percent, stage, message))

    def add(self, piece: str) -> None:
        self.text += piece
        self.producer.append(Text(piece))


class Writer:
    """Writes replies.

    Args:
        lineup: the models.
        library: where they are kept.
        finder: finds passages.
        limits: how much a reply may take.
    """

    def __init__(self, lineup: Lineup, library: Library, finder: PassageFinder, limits: Limits) -> None:
        self._lineup = lineup
        self._library = library
        self._finder = finder
        self._limits = limits
        self._voices = Voices()

    async def write(self, reply: Reply, producer: Producer[Event], early: Early | None = None) -> None:
        """Writes a reply, or the rest of it, to its end; closes the producer.

        It ends early where another writer has taken the reply, and where the end cannot be stored in time; cancelled,
        it stops the model and leaves the rest to whoever takes the log next.

        Args:
            reply: with lease and context.
            producer: of its log; what that holds already is gone on from.
            early: the search for its passages, if that has begun.
        """
        attempt = self._attempt(reply, producer)
        attempt.early = early
        series(metrics.ACTIVE, attempt.provider.name).inc()
        working = asyncio.create_task(self._work(attempt))
        fenced = asyncio.create_task(producer.fenced.wait())
        stopping = asyncio.create_task(producer.stop_requested.wait())
        try:
            await asyncio.wait({working, fenced, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done() and not (working.done() or fenced.done() or attempt.storing):
                await ended(working, again=_STOPPING_SECONDS)  # and with it the model
                working = asyncio.create_task(self._end(attempt, Outcome.STOPPED))
            await asyncio.wait({working, fenced}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not working.cancelled() and (error := working.exception()) is not None:
                log.error("the end of a reply broke", extra={"message_id": reply.message_id}, exc_info=error)
            if fenced.done():
                log.warning("another has taken the reply", extra={"message_id": reply.message_id})
                series(metrics.ENDED, attempt.provider.name, "fenced").inc()
        finally:
            try:
                await ended(working, fenced, stopping, again=_STOPPING_SECONDS)
            finally:
                series(metrics.ACTIVE, attempt.provider.name).dec()
                producer.close()
                if early is not None:
                    early.leave()

    def _attempt(self, reply: Reply, producer: Producer[Event]) -> _Attempt:
        entries = producer.stream.entries
        text = text_of(entries)
        told = max((entry.event.percent for entry in entries if isinstance(entry.event, Progress)), default=0)
        noted = producer.notes.get(Notes.NAME)
        notes = Notes.loads(noted) if noted else Notes(started=time.time())
        sources = Sources.loads(producer.notes[Sources.NAME]) if Sources.NAME in producer.notes else Sources()
        if notes.passages:
            notes = replace(notes, passages=sources.told(notes.passages))
        provider = self._lineup.first
        how = How.loads(producer.notes[How.NAME]) if How.NAME in producer.notes else How(provider.name, provider.model)
        fell_back = bool(text) and Degraded.PROVIDER in how.degraded
        return _Attempt(reply, producer, notes, text, text, told, how, provider, fell_back, sources.description)

    async def _work(self, attempt: _Attempt) -> None:
        try:
            if not attempt.notes.text_is_whole:
                async with self._in_time(attempt):
                    await self._text(attempt, attempt.reply.context)
                attempt.note(replace(attempt.notes, counts=attempt.counts(), text_is_whole=True))
        except MeshError as error:
            await self._end(attempt, Outcome.FAILED, error)
        except Exception:
            log.exception("a reply broke", extra={"message_id": attempt.reply.message_id})
            await self._end(attempt, Outcome.FAILED, Internal("something went wrong on our side"))
        else:
            await self._end(attempt, Outcome.COMPLETE)

    async def _text(self, attempt: _Attempt, context: ReplyContext | None) -> None:
        if context is None:
            raise Internal("a reply was taken up without its context")
        attempt.tell(20, "context", "Opened the conversation")
        newest = context.history[-1].content if context.history else ""
        log_texts(log, "a message is answered", message_id=attempt.reply.message_id, message_text=newest)
        passages = list(attempt.notes.passages)
        if not attempt.producer.notes:
            found = await self._finder.find(context, attempt.early)
            passages, attempt.description = list(found.passages), found.description
            attempt.degrade(Degraded.SEARCH, holds=not found.searched)
            attempt.note(replace(attempt.notes, passages=passages))
            attempt.producer.note(Sources.NAME, Sources.of(passages, found.description).dumps())
            attempt.note_how()
            tracing.note(attempt.producer)
        if attempt.description:
            context = replace(context, limited_description=attempt.description)
        count = len(passages)
        told = f"Found {count} passage{'s' * (count != 1)}" if count else "No passages found"
        if count and Degraded.SEARCH in attempt.how.degraded:
            told = f"Search does not answer; took {count} passage{'s' * (count != 1)} kept for this"
        attempt.tell(50, "passages", told)

        async def ask(provider: ModelProvider, hear: Hear) -> None:
            await self._model(attempt, provider, context, passages, hear)

        def hear(chunk: Chunk) -> None:
            piece = attempt.pieces.take(chunk)
            if not piece:
                return
            if not attempt.text:
                self._first(attempt, context.character_name)
            elif attempt.text == attempt.kept and not attempt.provider.continues:
                piece = joined(attempt.kept, piece)
            voice.say(piece)

        attempt.tell(70, "prompt", f"{context.character_name} is thinking")
        with self._voices.voice(attempt.add) as voice:
            await self._lineup.answer(ask, hear, in_words=not attempt.text.strip())
        if not attempt.text.strip():
            raise failures.silent()

    def _first(self, attempt: _Attempt, name: str) -> None:
        took = attempt.ms()
        attempt.note_how()
        attempt.note(replace(attempt.notes, first_token_ms=took))
        series(metrics.FIRST_TOKEN_SECONDS, attempt.provider.name).observe(took / 1000)
        trace.event(models.FIRST_TOKEN)
        attempt.tell(100, "writing", f"{name} is writing")

    def _turn_to(self, attempt: _Attempt, provider: ModelProvider) -> None:
        """A model is asked to write the reply, or to go on with it."""
        if provider is not attempt.provider:
            series(metrics.ACTIVE, attempt.provider.name).dec()
            series(metrics.ACTIVE, provider.name).inc()
            attempt.provider = provider
        attempt.how = How(provider.name, provider.model, attempt.how.degraded)
        # What an earlier writer's fallback has written stands.
        fell_back = provider is not self._lineup.first or attempt.fell_back
        attempt.degrade(Degraded.PROVIDER, holds=fell_back)
        if attempt.text and not provider.continues and not attempt.seamed:
            attempt.seamed = True
            attempt.kept = attempt.text = whole_sentences(attempt.text)
            attempt.producer.append(Seam(len(attempt.kept)))
            metrics.SEAMS.inc()
            trace.event("seam", {"gaji.keep": len(attempt.kept)})

    async def _model(
        self, attempt: _Attempt, provider: ModelProvider, context: ReplyContext, passages: list[Passage], hear: Hear
    ) -> None:
        """Has a model answer; asks once more with a shorter prompt when the estimate of its tokens was too low."""
        self._turn_to(attempt, provider)
        most = max(_FEWEST_MORE, self._limits.max_tokens - estimate(attempt.kept))
        tokens = provider.context_window - self._limits.max_tokens
        for last in (False, True):
            built = build(context, passages, tokens=tokens)
            attempt.prompt, attempt.passage_ids = built.prompt, built.passage_ids
            prompt = to_be_continued(built.prompt, attempt.kept, continues=provider.continues)
            asked = models.chat(provider.name, provider.model, max_tokens=most, temperature=self._limits.temperature)
            try:
                with gen_ai.operation(provider.name, provider.model) as measured, asked as span:
                    measuring = _measuring(hear, measured, span)
                    await provider.answer(prompt, measuring, max_tokens=most, temperature=self._limits.temperature)
            except PromptTooLong as error:
                log.warning("the prompt was too long", extra={"estimated": tokens, "tokens": error.tokens})
                if last:
                    raise
                factor = 0.95 * attempt.estimated_prompt() / error.tokens if error.tokens else 0.5
                tokens = max(_FEWEST_TOKENS, int(tokens * factor))
            else:
                return

    @asynccontextmanager
    async def _in_time(self, attempt: _Attempt) -> AsyncIterator[None]:
        """The block takes no longer than the reply may; if it does not end then, it is cancelled once more."""
        left = attempt.began + self._limits.seconds - time.monotonic()
        try:
            async with asyncio.timeout(left + _STOPPING_SECONDS), asyncio.timeout(left):
                yield
        except TimeoutError as error:
            raise failures.too_slow() from error

    def _record(self, attempt: _Attempt) -> Record:
        """How it was made; the passages, where another writer had them, from the notes."""
        notes, how = attempt.notes, attempt.how
        prompt, completion = notes.counts if notes.text_is_whole else attempt.counts()
        ids = attempt.passage_ids or tuple(passage.passage_id for passage in notes.passages)
        series(metrics.TOKENS, how.provider, "prompt").inc(prompt)
        series(metrics.TOKENS, how.provider, "completion").inc(completion)
        return Record(
            provider=how.provider,
            model=how.model,
            prompt_tokens=prompt,
            completion_tokens=completion,
            first_token_ms=notes.first_token_ms,
            total_ms=attempt.ms(),
            passage_ids=ids,
            last_sequence=len(attempt.producer.stream.entries) + 1,
            degraded=how.degraded,
            citations=citations(notes.passages, ids),
        )

    async def _end(self, attempt: _Attempt, outcome: Outcome, error: MeshError | None = None) -> None:
        """Stores the end, then tells it; nobody hears of an end that a restart could take back."""
        attempt.storing = True
        record = self._record(attempt)
        reply = replace(attempt.reply, outcome=outcome, content=attempt.text, record=record, failure=error)
        facts = {"message_id": reply.message_id, "outcome": outcome, "reason": error.reason if error else ""}
        try:
            async with asyncio.timeout(self._limits.store_seconds):
                await self._store(reply)
        except NotFound as gone:
            attempt.producer.end(Failed(gone), FAILED)
        except (MeshError, TimeoutError) as problem:
            # The lease runs out, and whoever takes the reply then stores it, or learns that somebody has.
            log.warning("the end of a reply is not stored", extra={**facts, "error": repr(problem)})
            return
        else:
            attempt.producer.end(end_of(reply), LOG_ENDS[outcome])
        series(metrics.ENDED, record.provider, error.reason if error else outcome.value).inc()
        if Degraded.PROVIDER in record.degraded:
            metrics.DEGRADED.labels(Degraded.PROVIDER).inc()
        tracing.ended(outcome, error)
        log.info("a reply has ended", extra=facts)
        log_texts(log, "the text of a reply", message_id=reply.message_id, reply_text=attempt.text)

    async def _store(self, reply: Reply) -> None:
        delay, most = _STORE_SECONDS
        told = False
        while True:
            try:
                return await self._library.end_reply(reply, reply.outcome, reply.content, reply.record, reply.failure)
            except (NotFound, FailedPrecondition):
                raise
            except MeshError as error:
                if not told:  # of an outage there are as many replies as tries would be lines
                    told = True
                    extra = {"message_id": reply.message_id, "reason": error.reason}
                    log.warning("a reply is stored later", extra=extra)
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(2 * delay, most)


def _measuring(hear: Hear, measured: gen_ai.Operation, span: Span | None) -> Hear:
    """Measures what a model says, and tells it on."""

    def heard(chunk: Chunk) -> None:
        counts = chunk.counts
        if chunk.text:
            measured.chunk()
        if counts is not None:
            measured.counted(counts.prompt, counts.completion)
        if span is not None:
            models.answered(span, chunk.text, None if counts is None else (counts.prompt, counts.completion))
        hear(chunk)

    return heard
