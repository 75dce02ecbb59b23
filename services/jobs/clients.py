"""The rooms that do the work, over gRPC as a worker's child calls it: one call at a time, blocking."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import grpc
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.generation.v1 import generation_service_pb2 as generation_pb
from gaji.generation.v1 import generation_service_pb2_grpc as generation_rpc
from gaji.library.v1 import conversation_service_pb2 as conversation_pb
from gaji.library.v1 import conversation_service_pb2_grpc as conversation_rpc
from gaji.library.v1 import novel_service_pb2 as novel_pb
from gaji.library.v1 import novel_service_pb2_grpc as novel_rpc
from google.protobuf.descriptor import ServiceDescriptor

from mesh.client import grpc_target, outgoing_metadata, service_config
from mesh.config import MeshSettings
from mesh.errors import from_rpc_error
from mesh.renewing import blocking_dial
from services.jobs.ports import RoomError

_QUICK_SECONDS = 10.0
_GENERATION = generation_pb.DESCRIPTOR.services_by_name["GenerationService"]
_CONVERSATIONS = conversation_pb.DESCRIPTOR.services_by_name["ConversationService"]
_NOVELS = novel_pb.DESCRIPTOR.services_by_name["NovelService"]


class GrpcRooms:
    """The port `Rooms`.

    Channels are made at the first call, never at construction: a worker forks its children, and gRPC's threads do not
    come along.

    Args:
        settings: where the rooms are.
        seconds: how long the work itself may take; everything else takes ten.
    """

    def __init__(self, settings: MeshSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds

    def finish_reply(self, message_id: str) -> str:
        """Has a reply written; returns how it ended."""
        request = generation_pb.FinishReplyRequest(message_id=message_id)
        return str(_called(self._generation.FinishReply, request, self._seconds).outcome)

    def ingest_novel(self, novel_id: str) -> str:
        """Has a novel ingested; returns how it ended."""
        request = novel_pb.RunIngestionRequest(novel_id=novel_id)
        status = _called(self._novels.RunIngestion, request, self._seconds).status
        return str(novel_pb.IngestionStatus.Name(status).removeprefix("INGESTION_STATUS_").lower())

    def orphans(self, limit: int) -> Sequence[str]:
        """Replies that nobody is writing though they have not ended."""
        request = generation_pb.ListOrphansRequest(limit=limit)
        return list(_called(self._generation.ListOrphans, request).message_ids)

    def waiting_novels(self, limit: int) -> Sequence[str]:
        """Novels that nobody is ingesting though they wait for it."""
        request = novel_pb.ListWaitingNovelsRequest(limit=limit)
        return list(_called(self._novels.ListWaitingNovels, request).novel_ids)

    def abandon_reply(self, message_id: str, error: RoomError) -> None:
        """Ends a reply that nobody could write, unless somebody is at it."""
        request = conversation_pb.AbandonReplyRequest(message_id=message_id, failure=_failure(error))
        _called(self._conversations.AbandonReply, request)

    def abandon_ingestion(self, novel_id: str, error: RoomError) -> None:
        """Ends an ingestion that nobody could do, unless somebody is at it."""
        request = novel_pb.AbandonIngestionRequest(novel_id=novel_id, failure=_failure(error))
        _called(self._novels.AbandonIngestion, request)

    @cached_property
    def _generation(self) -> Any:
        return generation_rpc.GenerationServiceStub(self._channel(self._settings.generation_target, _GENERATION))

    @cached_property
    def _library(self) -> grpc.Channel:
        return self._channel(self._settings.library_target, _CONVERSATIONS, _NOVELS)

    @cached_property
    def _conversations(self) -> Any:
        return conversation_rpc.ConversationServiceStub(self._library)

    @cached_property
    def _novels(self) -> Any:
        return novel_rpc.NovelServiceStub(self._library)

    def _channel(self, target: str, *services: ServiceDescriptor) -> grpc.Channel:
        return blocking_dial(
            grpc_target(target),
            self._settings,
            services=services,
            options=[
                ("grpc.service_config", service_config(services, retries=self._settings.retries)),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 2_000),
            ],
        )


def _called(method: Callable[..., Any], request: Any, seconds: float = _QUICK_SECONDS) -> Any:
    with _translated():
        return method(request, timeout=seconds, metadata=outgoing_metadata())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        # A blocking call's error answers the same questions as an asynchronous one's.
        said = from_rpc_error(cast("grpc.aio.AioRpcError", error))
        raise RoomError(said.code.name, said.reason, said.message) from None


def _failure(error: RoomError) -> events_pb.Failure:
    return events_pb.Failure(code=error.code, reason=error.reason, message=error.message, retryable=error.transient)
