"""Turns whatever escapes a handler into a `MeshError`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from mesh.errors import Internal, MeshError, from_rpc_error
from mesh.interceptors.pipeline import Call
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)


@contextmanager
def errors(call: Call) -> Iterator[None]:
    """A peer's status is passed on; a mistake of ours is logged whole and told as INTERNAL, without a word of it."""
    try:
        yield
    except (MeshError, grpc.aio.AbortError, asyncio.CancelledError):
        raise
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    except Exception as error:
        log.exception("a handler failed", extra={"method": call.method})
        raise Internal("something went wrong on our side; the request id is in the logs", reason="INTERNAL") from error
