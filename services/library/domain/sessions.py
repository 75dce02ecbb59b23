"""Stream tickets, and the sessions that ended before their time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh.errors import Unauthenticated
from mesh.identity import TICKET, Identity
from mesh.pages import encode_token
from mesh.validation import Violations
from services.library.domain.paging import read_key
from services.library.domain.tokens import TokenIssuer
from services.library.models import Revocation
from services.library.ports import UserStore

MOST = 1000
_MARGIN = 60  # clocks differ, and a listing takes a moment


@dataclass(frozen=True, slots=True)
class Revocations:
    """A page of sessions that ended before their time.

    Attributes:
        listed: what is new, the first first.
        next_page_token: empty: this was the last page.
        as_of: what to ask for the next time.
    """

    listed: Sequence[Revocation]
    next_page_token: str
    as_of: datetime


class Sessions:
    """What the gateway needs to know of sessions.

    Args:
        users: where sessions are kept.
        tokens: makes tickets.
    """

    def __init__(self, users: UserStore, tokens: TokenIssuer) -> None:
        self._users = users
        self._tokens = tokens
        self._seconds = tokens.seconds + _MARGIN

    def ticket(self, reader: Identity) -> tuple[str, int]:
        """A ticket for streams and its life in seconds.

        Raises:
            Unauthenticated: the caller is not the reader himself.
        """
        if reader.use:
            raise Unauthenticated("a ticket is sold to a reader's own access token alone", reason="TOKEN_INVALID")
        return self._tokens.ticket(reader)

    def redeem(self, ticket: Identity) -> str:
        """A token for calls between rooms, for a ticket.

        Raises:
            Unauthenticated: the caller came with another token.
        """
        if ticket.use != TICKET:
            raise Unauthenticated("only a ticket can be redeemed", reason="TOKEN_INVALID")
        return self._tokens.redeem(ticket)

    def forgotten_at(self, revocation: Revocation) -> datetime:
        """When the last access token of a session has expired."""
        return revocation.revoked_at + timedelta(seconds=self._seconds)

    async def revocations(self, since: datetime | None, page_size: int, page_token: str) -> Revocations:
        """Sessions whose access tokens may still be about.

        Args:
            since: ``as_of`` of an earlier listing; None: all of them.
            page_size: 1 to 1000; 0: 1000.
            page_token: of the page before.

        Raises:
            InvalidArgument: a value is not as above.
        """
        check = Violations()
        check.range("page_size", page_size, 0, MOST)
        after = read_key(check, page_token)
        check.raise_if_any()
        limit = page_size or MOST
        listed, as_of = await self._users.revocations(since, after, limit, self._seconds)
        last = listed[-1] if len(listed) == limit else None
        token = encode_token(last.revoked_at.isoformat(), str(last.session_id)) if last else ""
        return Revocations(listed, token, as_of)
