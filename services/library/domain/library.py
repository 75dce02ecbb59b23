"""The library's parts, put together."""

from dataclasses import dataclass

from services.library.domain.accounts import Accounts
from services.library.domain.conversations import Conversations
from services.library.domain.novels import Novels
from services.library.domain.passwords import Passwords
from services.library.domain.reads import Reads
from services.library.domain.replies import Replies
from services.library.domain.scenarios import Scenarios
from services.library.domain.tokens import TokenIssuer
from services.library.models import Visibility
from services.library.ports import Cache, Search, Stores


@dataclass(frozen=True, slots=True)
class Terms:
    """What is set and not built in.

    Attributes:
        refresh_token_seconds: life of a refresh token.
        novel_visibility: who sees a novel whose maker did not say.
        reply_lease_seconds: after which a pending reply may be taken over.
    """

    refresh_token_seconds: int
    novel_visibility: Visibility
    reply_lease_seconds: float


class Library:
    """What the library offers, whatever carries the calls."""

    def __init__(
        self, *, stores: Stores, search: Search, cache: Cache, passwords: Passwords, tokens: TokenIssuer, terms: Terms
    ) -> None:
        self.reads = Reads(cache, stores.users, stores.novels, stores.scenarios)
        self.accounts = Accounts(stores.users, passwords, tokens, self.reads, terms.refresh_token_seconds)
        self.novels = Novels(
            stores.novels, stores.ingestion, stores.notifications, self.reads, search, default=terms.novel_visibility
        )
        self.scenarios = Scenarios(stores.scenarios, self.novels, self.reads, search)
        self.conversations = Conversations(stores.conversations, self.scenarios, search)
        self.replies = Replies(stores.replies, self.conversations, terms.reply_lease_seconds)
