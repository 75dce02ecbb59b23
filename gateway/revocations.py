"""The sessions that ended before their access tokens do, as library lists them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gaji.library.v1 import auth_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.metrics import REVOCATIONS, REVOCATIONS_AGE
from gateway.upstreams import Upstream
from mesh.errors import MeshError, translated
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

ROOM = "library"
MOST = 500_000
_PATH = "/gaji.library.v1.AuthService/ListRevocations"
_TIMEOUT = 5.0
_PAGES = 200


class Revocations:
    """The ids of revoked sessions, each until the last of its access tokens has expired.

    Args:
        upstream: library; None: there are none.
        now: seconds since the epoch.
    """

    def __init__(self, upstream: Upstream | None, now: Callable[[], float] = time.time) -> None:
        self._upstream = upstream
        self._now = now
        self._forget_at: dict[str, float] = {}
        self._as_of: Timestamp | None = None
        self._trouble = ""
        self._heard_at = now()

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._forget_at

    def __len__(self) -> int:
        return len(self._forget_at)

    @property
    def age(self) -> float:
        """Seconds since library was heard, or, before that, since the beginning."""
        return self._now() - self._heard_at

    async def look(self) -> None:
        """Asks for what is new. While library does not answer what is known stands; nobody can end a session then."""
        if self._upstream is None:
            return
        try:
            with translated(ROOM):
                await self._ask(self._upstream)
        except MeshError as error:
            if error.reason != self._trouble:  # once, not at every look
                self._trouble = error.reason
                facts = {"reason": error.reason, "error": error.message, "age": round(self.age, 1)}
                log.warning("revoked sessions are not heard of", extra=facts)
            return
        if self._trouble:
            log.info("revoked sessions are heard of again", extra={"age": round(self.age, 1)})
        self._heard_at, self._trouble = self._now(), ""
        self._forget()

    async def _ask(self, upstream: Upstream) -> None:
        as_of: Timestamp | None = None
        request = pb.ListRevocationsRequest()
        if self._as_of is not None:
            request.since.CopyFrom(self._as_of)
        for _ in range(_PAGES):
            raw = await upstream.unary(_PATH, request.SerializeToString(), _TIMEOUT)
            answer = pb.ListRevocationsResponse.FromString(raw)
            as_of = as_of or answer.as_of
            for revocation in answer.revocations:
                self._forget_at[revocation.session_id] = revocation.expire_time.ToMicroseconds() / 1e6
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                # The first page's time: what was revoked while the others were read comes again, harmlessly.
                self._as_of = as_of
                return
        log.error("too many sessions were revoked to hear of all", extra={"pages": _PAGES})

    def _forget(self) -> None:
        now = self._now()
        for session_id in [session_id for session_id, at in self._forget_at.items() if at <= now]:
            del self._forget_at[session_id]
        while len(self._forget_at) > MOST:  # the longest known, whose tokens end first
            del self._forget_at[next(iter(self._forget_at))]
        REVOCATIONS.set(len(self._forget_at))


@asynccontextmanager
async def open_revocations(upstream: Upstream | None, seconds: float) -> AsyncIterator[Revocations]:
    """Asks every so many seconds until the block is left."""
    revocations = Revocations(upstream)

    async def run() -> None:
        while True:
            try:
                await revocations.look()
            except Exception:  # whatever it is, the next look may be better, and without looks nobody is shut out
                log.exception("revoked sessions are not heard of")
            await asyncio.sleep(seconds)

    REVOCATIONS_AGE.set_function(lambda: revocations.age)
    task = asyncio.create_task(run(), name="revocations") if upstream is not None else None
    try:
        yield revocations
    finally:
        REVOCATIONS_AGE.set(0)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
