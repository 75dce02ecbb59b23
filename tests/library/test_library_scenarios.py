"""Scenarios: their passages, what is refused, who may do what."""

from typing import Any
from uuid import uuid4

import pytest
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import scenario_service_pb2 as pb

from mesh.errors import InvalidArgument, MeshError, NotFound, PermissionDenied, Unauthenticated, Unavailable
from tests.library.conftest import FakeSearch, LibraryClient, Reader

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


async def get(library: LibraryClient, reader: Reader, scenario_id: str) -> pb.Scenario:
    return (await reader.call(library.scenarios.GetScenario, pb.GetScenarioRequest(scenario_id=scenario_id))).scenario


async def delete(library: LibraryClient, reader: Reader, scenario_id: str) -> None:
    await reader.call(library.scenarios.DeleteScenario, pb.DeleteScenarioRequest(scenario_id=scenario_id))


async def titles(library: LibraryClient, reader: Reader, novel_id: str) -> list[str]:
    response = await reader.call(library.scenarios.ListScenarios, pb.ListScenariosRequest(novel_id=novel_id))
    return [scenario.title for scenario in response.scenarios]


async def test_passages_are_found_by_the_description(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    search.passages[novel_id] = [str(uuid4()) for _ in range(12)]
    scenario = await library.scenario(ada, novel_id, until_chapter=0)
    assert list(scenario.passage_ids) == search.passages[novel_id][:8]
    assert (scenario.owner_id, scenario.visibility) == (ada.user_id, novels_pb.VISIBILITY_PRIVATE)
    assert scenario.HasField("until_chapter")
    assert search.searches[0].query == "What if?\nAda stays below."
    assert search.searches[0].HasField("until_chapter")
    assert await get(library, ada, scenario.scenario_id) == scenario
    plain = await library.scenario(ada, novel_id)
    assert not plain.HasField("until_chapter")
    assert not search.searches[1].HasField("until_chapter")


async def test_without_search_a_scenario_is_made_without_passages(
    library: LibraryClient, search: FakeSearch, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    search.trouble = Unavailable("down")
    scenario = await library.scenario(ada, novel_id)
    assert list(scenario.passage_ids) == []
    assert "a scenario is made without passages" in caplog.messages


async def test_given_passages_are_checked(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    search.passages[novel_id] = [str(uuid4()) for _ in range(3)]
    first, second, _ = search.passages[novel_id]
    scenario = await library.scenario(ada, novel_id, passage_ids=[second, first, second])
    assert list(scenario.passage_ids) == [second, first]
    unknown = str(uuid4())
    for wrong in ([first, unknown], ["17"], [str(uuid4()) for _ in range(21)]):
        with pytest.raises(InvalidArgument) as caught:
            await library.scenario(ada, novel_id, passage_ids=wrong)
        assert list(caught.value.fields) == ["passage_ids"]
    search.trouble = Unavailable("down")
    with pytest.raises(Unavailable):
        await library.scenario(ada, novel_id, passage_ids=[first])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"description": " "}, "description"),
        ({"description": "x" * 4001}, "description"),
        ({"until_chapter": -1}, "until_chapter"),
        ({"visibility": 7}, "visibility"),
        ({"novel_id": "17"}, "novel_id"),
    ],
)
async def test_create_names_what_is_wrong(library: LibraryClient, fields: dict[str, Any], named: str) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    with pytest.raises(InvalidArgument) as caught:
        await library.scenario(ada, **{"novel_id": novel_id, **fields})
    assert list(caught.value.fields) == [named]


async def test_a_novel_that_is_not_seen_has_no_scenarios(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada, visibility=novels_pb.VISIBILITY_PRIVATE)
    for act in (library.scenario(bo, novel_id), titles(library, bo, novel_id), library.scenario(bo, str(uuid4()))):
        with pytest.raises(NotFound) as caught:
            await act
        assert list(caught.value.fields) == ["novel_id"]
    with pytest.raises(InvalidArgument) as wrong:
        await library.scenario(ada, novel_id, visibility=novels_pb.VISIBILITY_PUBLIC)
    assert list(wrong.value.fields) == ["visibility"]


async def test_who_sees_and_changes_what(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada)
    private = await library.scenario(ada, novel_id, title="Private")
    public = await library.scenario(ada, novel_id, title="Public", visibility=novels_pb.VISIBILITY_PUBLIC)
    assert await titles(library, ada, novel_id) == ["Public", "Private"]
    assert await titles(library, bo, novel_id) == ["Public"]
    assert (await get(library, bo, public.scenario_id)).title == "Public"

    def acts(scenario_id: str) -> list[Any]:
        update = pb.UpdateScenarioRequest(scenario_id=scenario_id, title="Mine")
        return [bo.call(library.scenarios.UpdateScenario, update), delete(library, bo, scenario_id)]

    for act in [get(library, bo, private.scenario_id), *acts(private.scenario_id)]:
        with pytest.raises(NotFound) as hidden:
            await act
        assert list(hidden.value.fields) == ["scenario_id"]
    for act in acts(public.scenario_id):
        with pytest.raises(PermissionDenied) as denied:
            await act
        assert list(denied.value.fields) == ["scenario_id"]


async def test_update_changes_what_is_present(library: LibraryClient) -> None:
    ada = await library.guest()
    scenario = await library.scenario(ada, await library.novel(ada), until_chapter=5)
    scenario_id = scenario.scenario_id
    request = pb.UpdateScenarioRequest(scenario_id=scenario_id, description=" Ada digs. ", until_chapter=0)
    changed = (await ada.call(library.scenarios.UpdateScenario, request)).scenario
    assert (changed.title, changed.description, changed.until_chapter) == ("What if?", "Ada digs.", 0)
    assert await get(library, ada, scenario_id) == changed
    for fields, named in (({"title": ""}, "title"), ({"until_chapter": -1}, "until_chapter")):
        wrong = pb.UpdateScenarioRequest(scenario_id=scenario_id, **fields)
        with pytest.raises(InvalidArgument) as caught:
            await ada.call(library.scenarios.UpdateScenario, wrong)
        assert list(caught.value.fields) == [named]


async def test_delete(library: LibraryClient) -> None:
    ada = await library.guest()
    scenario = await library.scenario(ada, await library.novel(ada))
    await delete(library, ada, scenario.scenario_id)
    with pytest.raises(NotFound):
        await get(library, ada, scenario.scenario_id)


async def test_scenarios_go_with_their_novel(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada)
    scenario = await library.scenario(bo, novel_id)
    await ada.call(library.novels.DeleteNovel, novels_pb.DeleteNovelRequest(novel_id=novel_id))
    with pytest.raises(NotFound):
        await get(library, bo, scenario.scenario_id)


async def test_every_call_needs_a_reader(library: LibraryClient) -> None:
    nobody, some_id = library.nobody, str(uuid4())
    for act in (
        library.scenario(nobody, some_id),
        get(library, nobody, some_id),
        titles(library, nobody, some_id),
        nobody.call(library.scenarios.UpdateScenario, pb.UpdateScenarioRequest(scenario_id=some_id)),
        delete(library, nobody, some_id),
    ):
        with pytest.raises(Unauthenticated):
            await act


@pytest.mark.parametrize(("scenario_id", "error"), [("", InvalidArgument), ("x", InvalidArgument), (UNKNOWN, NotFound)])
async def test_malformed_and_unknown_ids(library: LibraryClient, scenario_id: str, error: type[MeshError]) -> None:
    ada = await library.guest()
    for act in (
        get(library, ada, scenario_id),
        ada.call(library.scenarios.UpdateScenario, pb.UpdateScenarioRequest(scenario_id=scenario_id)),
        delete(library, ada, scenario_id),
    ):
        with pytest.raises(error) as caught:
            await act
        assert list(caught.value.fields) == ["scenario_id"]


async def test_pages_follow_each_other(library: LibraryClient) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    for number in range(5):
        await library.scenario(ada, novel_id, title=f"Scenario {number}")
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListScenariosRequest(novel_id=novel_id, page_size=2, page_token=token)
        response = await ada.call(library.scenarios.ListScenarios, request)
        found += [scenario.title for scenario in response.scenarios]
        token = response.next_page_token
        if not token:
            break
    assert found == [f"Scenario {number}" for number in reversed(range(5))]
