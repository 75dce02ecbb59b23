"""Rate limits: whom a request counts for, under which policies, and what its client is told.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11, lists of structured fields (RFC 9651).
"""

import hashlib
import math
import unicodedata
from typing import Any

from gateway.address import owner
from gateway.bindings import LIMITS, Route
from gateway.buckets import Bucket, Policy, Shared, Taken
from gateway.http import Request
from gateway.limit_settings import LimitSettings
from gateway.metrics import RATE_LIMITED
from mesh.errors import ResourceExhausted

DEFAULT = "default"
ACCOUNT = "account"
FILES = "files"
_REMEDIES = {
    ACCOUNT: "too many attempts to log in to this account",
    "credentials": "too many logins and registrations from your network",
    "sessions": "too many new sessions from your network",
}


class RateLimits:
    """The policies that are on.

    Args:
        settings: how much of each.
        shared: what gateways share; None: this one counts for itself.
    """

    def __init__(self, settings: LimitSettings, shared: Shared | None) -> None:
        policies = [
            (DEFAULT, settings.rate_limit, settings.rate_burst),
            (ACCOUNT, settings.login_rate, settings.login_burst),
            *((name, getattr(settings, f"{name}_rate"), getattr(settings, f"{name}_burst")) for name in LIMITS),
        ]
        self._buckets = {name: Bucket(Policy(name, rate, burst), shared) for name, rate, burst in policies if rate}
        # Files come from memory: to ask Redis about each would cost more than it.
        if settings.files_rate:
            self._buckets[FILES] = Bucket(Policy(FILES, settings.files_rate, settings.files_burst), None)

    async def admit(self, request: Request, route: Route) -> None:
        """Counts a request for its user, or else for its address, and under the route's own policy for its address.

        Raises:
            ResourceExhausted: RATE_LIMITED.
        """
        address = f"a:{owner(request.client)}"
        await self._take(request, DEFAULT, f"u:{request.user_id}" if request.user_id else address, route.rate_cost)
        if route.limit:
            await self._take(request, route.limit, address, 1)

    async def admit_file(self, request: Request) -> None:
        """Counts a file of the web app for its address, apart from what readers ask of the API.

        Raises:
            ResourceExhausted: RATE_LIMITED.
        """
        await self._take(request, FILES, f"a:{owner(request.client)}", 1)
        request.fields = ()  # what is kept for a year must not say what was left to somebody once

    async def admit_account(self, request: Request, route: Route, message: Any) -> None:
        """Counts an attempt at an account, whoever makes it, where the route's request names one.

        The name is kept as a hash alone; spellings that may be one account's count together.

        Raises:
            ResourceExhausted: RATE_LIMITED.
        """
        if not route.account_field:
            return
        name = unicodedata.normalize("NFKC", getattr(message, route.account_field)).strip().casefold()
        if name:
            await self._take(request, ACCOUNT, hashlib.sha256(name.encode()).hexdigest()[:32], 1)

    async def _take(self, request: Request, name: str, whose: str, cost: int) -> None:
        bucket = self._buckets.get(name)
        if bucket is None:
            return
        taken = await bucket.take(whose, cost)
        _tell(request, bucket.policy, taken)
        if taken.allowed:
            RATE_LIMITED.labels(name, "allowed").inc()
            return
        RATE_LIMITED.labels(name, "refused").inc()
        seconds = max(1, math.ceil(taken.wait))
        text = f"{_REMEDIES.get(name, 'too many requests')}; try again in {seconds} s"
        raise ResourceExhausted(text, reason="RATE_LIMITED", retry_after=seconds)


def _tell(request: Request, policy: Policy, taken: Taken) -> None:
    """Adds a policy to the fields of the answer."""
    seconds = math.ceil(taken.wait) if taken.allowed else max(1, math.ceil(taken.wait))
    limit = b'"%b";q=%d;w=%d' % (policy.name.encode(), policy.burst, policy.window)
    state = b'"%b";r=%d;t=%d' % (policy.name.encode(), max(0, taken.remaining), seconds)
    if request.fields:
        limit = request.fields[0][1] + b", " + limit
        state = request.fields[1][1] + b", " + state
    request.fields = ((b"ratelimit-policy", limit), (b"ratelimit", state))
