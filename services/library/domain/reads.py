"""Reads through the cache. What comes out is nobody's yet: whoever asks checks who may see it.

Novels that are read in and scenarios may come from this process, where they may be a second old. Users may not: who has
changed something of oneself shall see it, whichever replica answers. Nor may novels that are being read in: whoever has
heard that one is complete shall find it so.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from mesh.read_through import AbsentError, Keep, always
from mesh.telemetry.logs import get_logger
from services.library.models import IngestionStatus, Novel, Scenario, User
from services.library.ports import Cache, NovelStore, ScenarioStore, UserStore

log = get_logger(__name__)

T = TypeVar("T")

_BATCH = 1000
_USER = TypeAdapter(User)
_NOVEL = TypeAdapter(Novel)
_SCENARIO = TypeAdapter(Scenario)


class Reads:
    """Users, novels and scenarios by id, and the word that one has changed."""

    def __init__(self, cache: Cache, users: UserStore, novels: NovelStore, scenarios: ScenarioStore) -> None:
        self._cache = cache
        self._users = users
        self._novels = novels
        self._scenarios = scenarios

    async def user(self, user_id: UUID) -> User | None:
        """A user."""
        return await self._through(f"user:{user_id}", _USER, lambda: self._users.get(user_id))

    async def novel(self, novel_id: UUID) -> Novel | None:
        """A novel, as it was at most an hour ago where news of a change was lost."""
        return await self._through(f"novel:{novel_id}", _NOVEL, lambda: self._novels.get(novel_id), _is_read_in)

    async def scenario(self, scenario_id: UUID) -> Scenario | None:
        """A scenario."""
        return await self._through(
            f"scenario:{scenario_id}", _SCENARIO, lambda: self._scenarios.get(scenario_id), always
        )

    async def user_changed(self, user_id: UUID) -> None:
        """To be called after each write to a user."""
        await self._cache.invalidate([f"user:{user_id}"])

    async def novel_changed(self, novel_id: UUID) -> None:
        """To be called after each write to a novel."""
        await self._cache.invalidate([f"novel:{novel_id}"])

    async def scenario_changed(self, scenario_id: UUID) -> None:
        """To be called after each write to a scenario."""
        await self._cache.invalidate([f"scenario:{scenario_id}"])

    async def novel_deleted(self, novel_id: UUID, scenario_ids: Iterable[UUID]) -> None:
        """To be called after a novel is deleted, with its scenarios."""
        keys = [f"novel:{novel_id}", *(f"scenario:{scenario_id}" for scenario_id in scenario_ids)]
        for start in range(0, len(keys), _BATCH):
            await self._cache.invalidate(keys[start : start + _BATCH])

    async def _through(
        self, key: str, adapter: TypeAdapter[T], load: Callable[[], Awaitable[T | None]], keep: Keep | None = None
    ) -> T | None:
        async def compute() -> bytes:
            found = await load()
            if found is None:
                raise AbsentError
            return adapter.dump_json(found)

        try:
            return adapter.validate_json(await self._cache.get(key, compute, keep))
        except AbsentError:
            return None
        except ValidationError:
            log.info("a cached value is of another release", extra={"key": key})
            return await load()


def _is_read_in(value: bytes) -> bool:
    try:
        return _NOVEL.validate_json(value).status is IngestionStatus.COMPLETE
    except ValidationError:
        return False
