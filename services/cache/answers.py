"""What was found, and what went wrong, in the contract's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from gaji.cache.v1 import cache_service_pb2 as pb

from mesh.errors import Aborted, Unavailable
from mesh.validation import Violations
from services.cache.domain.cache import LeaseLostError
from services.cache.domain.keys import Key, KeyRefusedError, parse_key
from services.cache.ports import Absent, Contended, Found, Hit, Lease, StoreUnavailableError


def key_of(check: Violations, text: str) -> Key:
    """The key, once everything else in the request has been checked.

    Raises:
        InvalidArgument: with all violations.
    """
    try:
        key = parse_key(text)
    except KeyRefusedError as error:
        check.add("key", str(error))
        check.raise_if_any()
        raise
    check.raise_if_any()
    return key


def found_answer(found: Found) -> tuple[str, pb.LookupResponse]:
    """What came out, for the metric and for the caller."""
    if isinstance(found, Hit):
        renewal = None if found.renewal is None else _granted(found.renewal)
        hit = pb.Hit(value=found.value, ttl_ms=found.ttl_ms, fresh_ms=found.fresh_ms, renewal=renewal)
        return "hit" if found.fresh_ms else "stale", pb.LookupResponse(hit=hit)
    if isinstance(found, Absent):
        return "absent", pb.LookupResponse(absent=pb.Absent(ttl_ms=found.ttl_ms))
    if isinstance(found, Contended):
        return "contended", pb.LookupResponse(contended=pb.Contended(retry_after_ms=found.retry_after_ms))
    return "lease", pb.LookupResponse(lease=_granted(found))


def unavailable(error: StoreUnavailableError) -> Unavailable:
    """The error of the mesh for it."""
    return Unavailable(str(error), reason="CACHE_STORE_UNAVAILABLE")


@contextmanager
def translated() -> Iterator[None]:
    """Turns what the domain raises into errors of the mesh.

    Raises:
        Unavailable: reason CACHE_STORE_UNAVAILABLE.
        Aborted: reason LEASE_LOST.
    """
    try:
        yield
    except StoreUnavailableError as error:
        raise unavailable(error) from error
    except LeaseLostError as error:
        raise Aborted(
            "the lease is not held any more: it expired, or the key was invalidated; look the key up again",
            reason="LEASE_LOST",
        ) from error


def _granted(lease: Lease) -> pb.Lease:
    return pb.Lease(lease_id=lease.lease_id, ttl_ms=lease.ttl_ms)
