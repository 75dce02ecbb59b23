"""Reads through the cache. What comes out is nobody's yet: whoever asks checks who may see it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from mesh.telemetry.logs import get_logger
from services.library.models import Novel, Scenario, User
from services.library.ports import Cache, NovelStore, ScenarioStore, UserStore

log = get_logger(__name__)

T = TypeVar("T")

_BATCH = 1000
_USER = TypeAdapter(User)
_NOVEL = TypeAdapter(Novel)
_SCENARIO = TypeAdapter(Scenario)


class _Absent(Exception):  # noqa: N818 - not an error: it carries "no such row" past the cache, which keeps no absence
    pass


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
        return await self._through(f"novel:{novel_id}", _NOVEL, lambda: self._novels.get(novel_id))

    async def scenario(self, scenario_id: UUID) -> Scenario | None:
        """A scenario."""
        return await self._through(f"scenario:{scenario_id}", _SCENARIO, lambda: self._scenarios.get(scenario_id))

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

    async def _through(self, key: str, adapter: TypeAdapter[T], load: Callable[[], Awaitable[T | None]]) -> T | None:
        async def compute() -> bytes:
            found = await load()
            if found is None:
                raise _Absent
            return adapter.dump_json(found)

        try:
            return adapter.validate_json(await self._cache.get(key, compute))
        except _Absent:
            return None
        except ValidationError:
            log.info("a cached value is of another release", extra={"key": key})
            return await load()
