"""The library's parts, put together."""

from dataclasses import dataclass

from services.library.domain.accounts import Accounts
from services.library.domain.attempts import Attempts, Policy
from services.library.domain.branches import Branches
from services.library.domain.characters import Characters
from services.library.domain.control import IngestionControl
from services.library.domain.conversations import Conversations
from services.library.domain.editing import Editing
from services.library.domain.ingestion import Ingestions
from services.library.domain.keeping import Keeping
from services.library.domain.novels import Novels
from services.library.domain.passwords import Passwords
from services.library.domain.progress import ProgressHub
from services.library.domain.readings import Readings
from services.library.domain.reads import Reads
from services.library.domain.replies import Replies
from services.library.domain.scenarios import Scenarios
from services.library.domain.sessions import Sessions
from services.library.domain.tokens import TokenIssuer
from services.library.domain.watching import Watching
from services.library.domain.writers import Writers
from services.library.domain.writing import Writing
from services.library.models import Visibility
from services.library.ports import Cache, Intake, Jobs, Search, Stores


@dataclass(frozen=True, slots=True)
class Terms:
    """What is set and not built in.

    Attributes:
        refresh_token_seconds: life of a refresh token.
        refresh_reuse_seconds: how long one that was used is answered as the first time.
        novel_visibility: who sees a novel whose maker did not say.
        ingestion: how ingestions are gone about.
        character_seconds: how long a new conversation waits for search.
    """

    refresh_token_seconds: int
    refresh_reuse_seconds: float
    novel_visibility: Visibility
    ingestion: Policy
    character_seconds: float


class Library:
    """What the library offers, whatever carries the calls."""

    def __init__(
        self,
        *,
        stores: Stores,
        search: Search,
        cache: Cache,
        jobs: Jobs,
        intake: Intake,
        hub: ProgressHub,
        passwords: Passwords,
        tokens: TokenIssuer,
        terms: Terms,
    ) -> None:
        self.reads = Reads(cache, stores.users, stores.novels, stores.scenarios)
        self.accounts = Accounts(
            stores.users,
            passwords,
            tokens,
            self.reads,
            terms.refresh_token_seconds,
            reuse_seconds=terms.refresh_reuse_seconds,
        )
        self.sessions = Sessions(stores.users, tokens)
        self.novels = Novels(
            stores.novels,
            stores.ingestion,
            self.reads,
            search,
            jobs,
            intake=intake,
            default=terms.novel_visibility,
        )
        writers = Writers(hub)
        attempts = Attempts(stores.ingestion, search, self.reads, terms.ingestion)
        self.ingestions = Ingestions(stores.ingestion, hub, self.reads, attempts)
        self.control = IngestionControl(self.novels, stores.ingestion, hub, self.reads, jobs)
        self.watching = Watching(self.novels, stores.novels, stores.ingestion, hub)
        self.keeping = Keeping(stores.passages, stores.characters, search)
        self.scenarios = Scenarios(
            stores.scenarios,
            self.novels,
            self.reads,
            search,
            stores.readings,
            look_after=self.keeping.look_after_characters,
        )
        self.readings = Readings(stores.readings, self.novels)
        characters = Characters(search, stores.characters, stores.edits, self.reads, terms.character_seconds)
        self.editing = Editing(self.novels, stores.characters, stores.edits, search, seconds=terms.character_seconds)
        self.conversations = Conversations(stores.conversations, self.scenarios, characters, writers)
        self.branches = Branches(stores.branches, self.conversations, self.reads, writers)
        self.replies = Replies(stores.replies, self.conversations, jobs, self.keeping.look_after)
        self.writing = Writing(stores.replies, tokens)
