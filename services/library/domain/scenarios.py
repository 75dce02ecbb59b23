"""What-if scenarios: a private one is seen by its owner alone, who alone changes or deletes any."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

from mesh import plain_text
from mesh.errors import InvalidArgument, MeshError
from mesh.pages import page_size
from mesh.telemetry.logs import get_logger
from mesh.validation import Violations
from services.library.domain import kept
from services.library.domain.errors import not_found, not_owner
from services.library.domain.novels import Novels
from services.library.domain.paging import page, read_key
from services.library.domain.reads import Reads
from services.library.models import NewScenario, Novel, Page, Scenario, StoredPassage, Visibility, spoiler_limit
from services.library.ports import ReadingStore, ScenarioStore, Search

log = get_logger(__name__)

_TITLE = 200
_DESCRIPTION = 4_000
_MAX_CHAPTER = 2**31 - 1
_MAX_PASSAGES = 20
_FOUND_PASSAGES = 8
_FIND_SECONDS = 2.0


class Scenarios:
    """What readers do with scenarios.

    Args:
        scenarios: where they are kept.
        novels: what they are made of.
        reads: reads through the cache.
        search: finds their passages.
        readings: how far their readers have come.
        look_after: told of the novel of each that is made, so that what it lacks can be fetched.
    """

    def __init__(
        self,
        scenarios: ScenarioStore,
        novels: Novels,
        reads: Reads,
        search: Search,
        readings: ReadingStore,
        *,
        look_after: Callable[[Novel], None] = lambda _: None,
    ) -> None:
        self._scenarios = scenarios
        self._novels = novels
        self._reads = reads
        self._search = search
        self._readings = readings
        self._look_after = look_after

    async def create(
        self,
        user_id: UUID,
        novel_id: UUID,
        *,
        title: str,
        description: str,
        passage_ids: Sequence[str],
        visibility: Visibility | None,
        until_chapter: int | None,
        until_read: bool = False,
    ) -> Scenario:
        """Makes a scenario of a novel that the user sees.

        Args:
            user_id: its owner.
            novel_id: what it departs from.
            title: 1 to 200 characters.
            description: 1 to 4,000 characters.
            passage_ids: at most 20 UUIDs of passages; none: those that title and description find, if search answers.
            visibility: None: private.
            until_chapter: the spoiler limit, which holds for the passages too.
            until_read: whether each reader's progress is a spoiler limit as well; for the passages it is the owner's.

        Raises:
            InvalidArgument: a field breaks the contract, or names a passage that the novel does not have.
            NotFound: the user sees no such novel.
            Unavailable: passages were given and search does not answer.
        """
        title, description = plain_text.line(title), plain_text.text(description).strip()
        check = Violations()
        check.text("title", title, 1, _TITLE)
        check.text("description", description, 1, _DESCRIPTION)
        _check_chapter(check, until_chapter)
        if len(passage_ids) > _MAX_PASSAGES:
            check.add("passage_ids", f"has {len(passage_ids):,} ids; give at most {_MAX_PASSAGES}")
        else:
            for passage_id in passage_ids:
                check.uuid("passage_ids", passage_id)
        check.raise_if_any()
        novel = await self._novels.get(user_id, novel_id)
        if visibility is Visibility.PUBLIC and novel.visibility is not Visibility.PUBLIC:
            text = "is public, but the novel is private; make the scenario private"
            raise InvalidArgument(f"visibility {text}", reason="INVALID_FIELD", fields={"visibility": text})
        limit = await self._limit(user_id, novel_id, until_chapter, until_read=until_read)
        given = [UUID(passage_id) for passage_id in dict.fromkeys(passage_ids)]
        passages = (
            await self._checked(novel, given, limit)
            if given
            else await self._found(novel, f"{title}\n{description}", limit)
        )
        scenario = NewScenario(
            scenario_id=uuid4(),
            owner_id=user_id,
            novel_id=novel_id,
            title=title,
            description=description,
            passage_ids=given or [passage.passage_id for passage in passages or ()],
            visibility=visibility or Visibility.PRIVATE,
            until_chapter=until_chapter,
            passages=None if passages is None else kept.bounded(passages, kept.OF_SCENARIO),
            until_read=until_read,
        )
        made = await self._scenarios.create(scenario)
        await self._reads.scenario_changed(made.scenario_id)  # that there was none may be remembered
        self._look_after(novel)
        return made

    async def get(self, user_id: UUID, scenario_id: UUID) -> Scenario:
        """A scenario that the user sees.

        Raises:
            NotFound: the user sees no such scenario.
        """
        scenario = await self._reads.scenario(scenario_id)
        if scenario is None or not scenario.visible_to(user_id):
            raise not_found("scenario_id", scenario_id, "scenario")
        return scenario

    async def page(self, user_id: UUID, novel_id: UUID, size: int, token: str) -> Page[Scenario]:
        """The user's and the public scenarios of a novel, newest first.

        Raises:
            InvalidArgument: size or token breaks the contract.
            NotFound: the user sees no such novel.
        """
        check = Violations()
        size = page_size(check, size)
        after = read_key(check, token)
        check.raise_if_any()
        await self._novels.get(user_id, novel_id)
        found = await self._scenarios.page(novel_id, user_id, after, size + 1)
        return page(found, size, lambda scenario: (scenario.created_at, scenario.scenario_id))

    async def update(
        self,
        user_id: UUID,
        scenario_id: UUID,
        *,
        title: str | None,
        description: str | None,
        until_chapter: int | None,
        until_read: bool | None,
        clear_until_chapter: bool = False,
    ) -> Scenario:
        """Changes what is not None. The passages stay those that the scenario was built on, within a lower limit.

        Args:
            user_id: who asks.
            scenario_id: the scenario.
            title: its title.
            description: what it supposes.
            until_chapter: the spoiler limit.
            until_read: whether its readers' progress is one as well.
            clear_until_chapter: takes the limit away; then `until_chapter` is None.

        Raises:
            InvalidArgument: a field breaks the contract.
            NotFound: the user sees no such scenario.
            PermissionDenied: it is another's.
        """
        check = Violations()
        if title is not None:
            title = plain_text.line(title)
            check.text("title", title, 1, _TITLE)
        if description is not None:
            description = plain_text.text(description).strip()
            check.text("description", description, 1, _DESCRIPTION)
        _check_chapter(check, until_chapter)
        if clear_until_chapter and until_chapter is not None:
            check.add("clear_until_chapter", "is set together with until_chapter; give one of them")
        check.raise_if_any()
        await self._own(user_id, scenario_id)
        scenario = await self._scenarios.update(
            scenario_id,
            title=title,
            description=description,
            until_chapter=until_chapter,
            until_read=until_read,
            clear_until_chapter=clear_until_chapter,
        )
        if scenario is None:
            raise not_found("scenario_id", scenario_id, "scenario")
        await self._reads.scenario_changed(scenario_id)
        return scenario

    async def delete(self, user_id: UUID, scenario_id: UUID) -> None:
        """Deletes a scenario with its conversations.

        Raises:
            NotFound: the user sees no such scenario.
            PermissionDenied: it is another's.
        """
        await self._own(user_id, scenario_id)
        await self._scenarios.delete(scenario_id)
        await self._reads.scenario_changed(scenario_id)

    async def limit_of(self, user_id: UUID, scenario: Scenario) -> int | None:
        """The spoiler limit of a scenario for one of its readers; None: there is none."""
        return await self._limit(user_id, scenario.novel_id, scenario.until_chapter, until_read=scenario.until_read)

    async def _limit(self, user_id: UUID, novel_id: UUID, until_chapter: int | None, *, until_read: bool) -> int | None:
        read = (await self._readings.get(user_id, novel_id)).chapter if until_read else None
        return spoiler_limit(until_chapter, read, until_read=until_read)

    async def _own(self, user_id: UUID, scenario_id: UUID) -> None:
        scenario = await self.get(user_id, scenario_id)
        if scenario.owner_id != user_id:
            raise not_owner("scenario_id", "scenario")

    async def _checked(self, novel: Novel, given: Sequence[UUID], until_chapter: int | None) -> Sequence[StoredPassage]:
        found = await self._search.known_passages(novel.novel_id, given, until_chapter)
        known = {passage.passage_id for passage in found}
        unknown = [str(passage_id) for passage_id in given if passage_id not in known]
        if unknown:
            within = "" if until_chapter is None else f" up to chapter {until_chapter}"
            text = f"names passages that the novel does not have{within}: {', '.join(unknown)}"
            raise InvalidArgument(f"passage_ids {text}", reason="INVALID_FIELD", fields={"passage_ids": text})
        return found

    async def _found(self, novel: Novel, query: str, until_chapter: int | None) -> Sequence[StoredPassage] | None:
        """The passages are a help, not a condition: without search the scenario is made without them (None)."""
        try:
            return await self._search.find_passages(
                novel.novel_id, query[:_DESCRIPTION], _FOUND_PASSAGES, until_chapter, _FIND_SECONDS
            )
        except MeshError as error:
            log.warning(
                "a scenario is made without passages",
                extra={"novel_id": str(novel.novel_id), "reason": error.reason, "error": error.message},
            )
            return None


def _check_chapter(check: Violations, until_chapter: int | None) -> None:
    if until_chapter is not None:
        check.range("until_chapter", until_chapter, 0, _MAX_CHAPTER)
