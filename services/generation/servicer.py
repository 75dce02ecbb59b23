"""The contract in front of the engine."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from mesh import identity
from mesh.validation import Violations
from services.generation.clients import failure_pb
from services.generation.domain.engine import ReplyEngine
from services.generation.domain.events import Complete, Event, Failed, Progress, Text
from services.generation.ports import OpeningOf, ReplyTo, Work


class GenerationServicer(rpc.GenerationServiceServicer):
    """Answers GenerationService."""

    def __init__(self, engine: ReplyEngine) -> None:
        self._engine = engine

    async def StreamReply(
        self, request: pb.StreamReplyRequest, context: Any
    ) -> AsyncGenerator[pb.StreamReplyResponse, None]:
        identity.require()
        check = Violations()
        check.uuid("conversation_id", request.conversation_id)
        check.text("content", request.content, 1, 8_000)
        check.request_id("request_id", request.request_id)
        check.raise_if_any()
        work = ReplyTo(request.conversation_id, request.content)
        async with aclosing(self._events(work, request.request_id)) as fields:
            async for field in fields:
                yield pb.StreamReplyResponse(**field)

    async def StreamOpening(
        self, request: pb.StreamOpeningRequest, context: Any
    ) -> AsyncGenerator[pb.StreamOpeningResponse, None]:
        identity.require()
        check = Violations()
        check.uuid("scenario_id", request.scenario_id)
        check.uuid("character_id", request.character_id)
        check.request_id("request_id", request.request_id)
        check.raise_if_any()
        work = OpeningOf(request.scenario_id, request.character_id)
        async with aclosing(self._events(work, request.request_id)) as fields:
            async for field in fields:
                yield pb.StreamOpeningResponse(**field)

    async def _events(self, work: Work, request_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """The fields of each response: the two streams have the same."""
        sequence = 0
        async with aclosing(self._engine.run(work, request_id)) as events:
            async for event in events:
                sequence += 1
                yield {"sequence": sequence, **_arm(event)}


def _arm(event: Event) -> dict[str, Any]:
    match event:
        case Progress(percent, stage, message):
            return {"progress": events_pb.Progress(progress=percent, stage=stage, message=message)}
        case Text(content):
            return {"token": pb.Token(content=content)}
        case Complete():
            return {"complete": _summary(event)}
        case Failed(error):
            return {"failed": failure_pb(error)}


def _summary(event: Complete) -> pb.ReplySummary:
    record = event.record
    return pb.ReplySummary(
        conversation_id=event.begun.conversation_id,
        message_id=event.begun.message_id,
        content=event.content,
        usage=pb.Usage(
            prompt_tokens=record.prompt_tokens,
            completion_tokens=record.completion_tokens,
            first_token_ms=record.first_token_ms,
            total_ms=record.total_ms,
        ),
        provider=record.provider,
        model=record.model,
        passage_ids=record.passage_ids,
    )
