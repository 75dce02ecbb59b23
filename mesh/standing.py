"""Small questions to a peer over a stream that stands, those of one moment in one message.

To begin and to end a call is most of what it costs: gRPC's threads and the event loop wake each other a dozen times for
it, and four times for a message each way on a stream that is there. What is asked while a message is under way goes
with the next one (as in https://github.com/graphql/dataloader), so the more is asked at once, the less a question
costs.

The stream is for when all is well. A question whose time is up, or that was on its way when the stream broke, has
failed as a call would have; whatever is asked after that is asked by a call of its own, of which the circuit breaker
hears and which finds another replica. Once one of those has been answered, a stream is opened again.
"""

import asyncio
import contextvars
import itertools
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import grpc

from mesh.deadlines import expired
from mesh.errors import PEER, MeshError, Unavailable, Unimplemented, from_rpc_error, peer_name
from mesh.process import ended
from mesh.telemetry import trace
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans import Span, calls

log = get_logger(__name__)
Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOST_AT_ONCE = 256
"""Questions in one message."""
MOST_WAITING = 4_096
"""Questions that wait for the next message; what is asked beyond goes by a call of its own."""
STREAM_SECONDS = 3_600.0
"""The deadline of a stream: no call lacks one."""
RENEW_SECONDS = 300.0
"""After so long a stream is opened anew: replicas come, and it should not always be the same one that is asked."""
REST_SECONDS = 1.0
"""How long after it broke no stream is opened."""
NOT_OFFERED_SECONDS = 60.0
"""Likewise after a peer of an earlier release has said that it offers none."""
_SHORTEST = 0.002
"""With less than so many seconds left no call is begun."""
_UNWELL = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""After such an answer the next question is asked by a call: what these say is for the circuit breaker."""


class Asked(Generic[Question, Answer]):
    """A question on its way.

    Attributes:
        number: its number on the stream.
        question: what is asked.
        answer: what comes of it.
        span: of the asking; None: it is not recorded.
        request_id: of who asks, where it is recorded.
    """

    __slots__ = ("answer", "number", "question", "request_id", "span")

    def __init__(self, number: int, question: Question, answer: "asyncio.Future[Answer]", path: str) -> None:
        self.number = number
        self.question = question
        self.answer = answer
        self.span: Span | None = calls.begin_attempt(path)
        context = trace.current() if self.span is not None else None
        self.request_id = "" if context is None else context.request_id

    @property
    def traceparent(self) -> str:
        """The trace context of its answer; empty: it is not recorded."""
        return "" if self.span is None else self.span.traceparent


class Wire(Protocol[Question, Answer]):
    """How a contract puts it.

    Attributes:
        path: of the method that answers one question by a call, by which spans and errors name it.
    """

    path: str

    def open(self, seconds: float) -> Any:
        """Begins a bidirectional call with such a deadline."""

    def message(self, asked: Sequence[Asked[Question, Answer]]) -> Any:
        """The message that asks all of these."""

    def answers(self, message: Any) -> Iterable[tuple[int, Answer | MeshError]]:
        """The answers in a message, with the numbers of their questions."""

    async def alone(self, question: Question, timeout: float) -> Answer:
        """Asks by a call of its own.

        Raises:
            MeshError: it failed.
        """

    def unclaimed(self, question: Question, answer: Answer) -> Coroutine[Any, Any, None] | None:
        """What is to be done about an answer whose asker has left; None: nothing."""


class _UnaskedError(Exception):
    """The stream has ended, and the peer has not looked at the question."""


class Standing(Generic[Question, Answer]):
    """Asks one peer.

    Args:
        wire: how.
    """

    def __init__(self, wire: Wire[Question, Answer]) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)
        self._queue: deque[Asked[Question, Answer]] = deque()
        self._pumping: asyncio.Task[None] | None = None
        self._call: Any = None
        self._opened_at = self._rest_until = float("-inf")
        self._well = False  # calls are answered
        self._spent = False  # the stream is given up, once nobody waits for it any more
        self._asking = 0
        self._unclaimed: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question, timeout: float) -> Answer:
        """The answer.

        Args:
            question: what is asked.
            timeout: seconds until which it must be there.

        Raises:
            DeadlineExceeded: it was not.
            MeshError: what the peer says instead, or why it could not be asked.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        ready = self._well and not self._spent and began >= self._rest_until
        if ready and len(self._queue) < MOST_WAITING:
            try:
                return await self._shared(question, timeout)
            except _UnaskedError:
                pass
        left = began + timeout - loop.time()
        if left < _SHORTEST:
            raise expired(timeout, self._wire.path)
        answer = await self._wire.alone(question, left)
        self._well = True
        return answer

    async def close(self) -> None:
        """Ends the stream and what is done about unclaimed answers."""
        self._drop()
        await ended(*([self._pumping] if self._pumping else []), *self._unclaimed)

    async def _shared(self, question: Question, timeout: float) -> Answer:
        loop = asyncio.get_running_loop()
        asked: Asked[Question, Answer] = Asked(next(self._numbers), question, loop.create_future(), self._wire.path)
        self._queue.append(asked)
        if self._pumping is None:
            # Nobody's task: the stream is not to bear the token, the deadline and the trace of who asks first.
            self._pumping = loop.create_task(self._pump(), context=contextvars.Context())
        timer = loop.call_later(timeout, self._late, asked, timeout)
        code, left = grpc.StatusCode.OK, False
        self._asking += 1
        try:
            return await asked.answer
        except asyncio.CancelledError:
            code, left = grpc.StatusCode.CANCELLED, True
            answer = asked.answer
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._left(question, answer.result())  # it came just before
            raise
        except MeshError as error:
            code = error.code
            if code in _UNWELL:
                self._well = False
            raise
        except _UnaskedError:
            code = grpc.StatusCode.UNAVAILABLE
            raise
        finally:
            timer.cancel()
            self._asking -= 1
            if self._spent and not self._asking:
                self._drop()
            if asked.span is not None:
                calls.end_attempt(asked.span, code, left=left)

    async def _pump(self) -> None:
        """Asks what is asked, message by message, until nothing is."""
        under_way: dict[int, Asked[Question, Answer]] = {}
        failed: Exception = _UnaskedError()
        try:
            while self._queue:
                under_way = self._taken()
                if under_way:
                    await self._exchange(self._open(), under_way)
        except asyncio.CancelledError:  # of the call, by `_drop`, or of this task
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, those who have asked go another way
            failed = self._broke(error)
        finally:
            self._pumping = None
            if under_way or self._queue:
                self._drop()
                for asked in under_way.values():
                    if not asked.answer.done():
                        asked.answer.set_exception(failed)
                for asked in self._queue:
                    if not asked.answer.done():
                        asked.answer.set_exception(_UnaskedError())
                self._queue.clear()

    async def _exchange(self, call: Any, under_way: dict[int, Asked[Question, Answer]]) -> None:
        """Asks, and hands out the answers until there is one to each question."""
        await call.write(self._wire.message(list(under_way.values())))
        while under_way:
            message = await call.read()
            if message is grpc.aio.EOF:
                raise _UnaskedError
            for number, answer in self._wire.answers(message):
                asked = under_way.pop(number, None)
                if asked is not None:
                    self._answered(asked, answer)

    def _taken(self) -> dict[int, Asked[Question, Answer]]:
        """The next questions whose askers still wait."""
        taken: dict[int, Asked[Question, Answer]] = {}
        queue = self._queue
        while queue and len(taken) < MOST_AT_ONCE:
            asked = queue.popleft()
            if not asked.answer.done():
                taken[asked.number] = asked
        return taken

    def _open(self) -> Any:
        now = asyncio.get_running_loop().time()
        if self._call is not None and (self._call.done() or now - self._opened_at >= RENEW_SECONDS):
            self._call.cancel()
            self._call = None
        if self._call is None:
            self._call = self._wire.open(STREAM_SECONDS)
            self._opened_at = now
        return self._call

    def _answered(self, asked: Asked[Question, Answer], answer: Answer | MeshError) -> None:
        if not asked.answer.done():
            if isinstance(answer, MeshError):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)
        elif not isinstance(answer, MeshError):
            self._left(asked.question, answer)

    def _left(self, question: Question, answer: Answer) -> None:
        """Nobody takes the answer any more."""
        work = self._wire.unclaimed(question, answer)
        if work is not None:
            # As the pump's: the deadline of who has left is not that of this.
            task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
            self._unclaimed.add(task)
            task.add_done_callback(self._unclaimed.discard)

    def _late(self, asked: Asked[Question, Answer], timeout: float) -> None:
        """The time of a question is up. What else is under way may be answered yet; nothing follows it."""
        if not asked.answer.done():
            asked.answer.set_exception(expired(timeout, self._wire.path))
            self._spent = True

    def _broke(self, error: Exception) -> Exception:
        """What the end of the stream means for the questions that were on their way."""
        told = from_rpc_error(error) if isinstance(error, grpc.aio.AioRpcError) else error
        unknown = isinstance(told, Unimplemented)
        self._rest_until = asyncio.get_running_loop().time() + (NOT_OFFERED_SECONDS if unknown else REST_SECONDS)
        name, peer = type(told).__name__, peer_name(self._wire.path)
        log.info("a standing stream broke", extra={"method": self._wire.path, "error": f"{name}: {told}"})
        if unknown or not isinstance(error, grpc.aio.AioRpcError):  # it was not opened, or had ended well before
            return _UnaskedError()
        reason = f"{peer.upper()}_UNAVAILABLE"
        return Unavailable(f"{peer} does not answer; try again", reason=reason, metadata={PEER: peer})

    def _drop(self) -> None:
        self._well = self._spent = False
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
