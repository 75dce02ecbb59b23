"""Scenarios."""

from gaji.library.v1 import scenario_service_pb2 as pb
from gaji.library.v1 import scenario_service_pb2_grpc as rpc

from mesh.interceptors.pipeline import Context
from services.library.domain.scenarios import Scenarios
from services.library.servicer import wire


class ScenarioServicer(rpc.ScenarioServiceServicer):
    """`gaji.library.v1.ScenarioService`."""

    def __init__(self, scenarios: Scenarios) -> None:
        self._scenarios = scenarios

    async def CreateScenario(self, request: pb.CreateScenarioRequest, context: Context) -> pb.CreateScenarioResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        scenario = await self._scenarios.create(
            user_id,
            novel_id,
            title=request.title,
            description=request.description,
            passage_ids=request.passage_ids,
            visibility=wire.read_visibility(request.visibility),
            until_chapter=request.until_chapter if request.HasField("until_chapter") else None,
            until_read=request.until_read,
        )
        return pb.CreateScenarioResponse(scenario=wire.scenario(scenario))

    async def GetScenario(self, request: pb.GetScenarioRequest, context: Context) -> pb.GetScenarioResponse:
        user_id = wire.caller()
        (scenario_id,) = wire.uuids(scenario_id=request.scenario_id)
        return pb.GetScenarioResponse(scenario=wire.scenario(await self._scenarios.get(user_id, scenario_id)))

    async def ListScenarios(self, request: pb.ListScenariosRequest, context: Context) -> pb.ListScenariosResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        page = await self._scenarios.page(user_id, novel_id, request.page_size, request.page_token)
        return pb.ListScenariosResponse(scenarios=map(wire.scenario, page.items), next_page_token=page.next_token)

    async def UpdateScenario(self, request: pb.UpdateScenarioRequest, context: Context) -> pb.UpdateScenarioResponse:
        user_id = wire.caller()
        (scenario_id,) = wire.uuids(scenario_id=request.scenario_id)
        scenario = await self._scenarios.update(
            user_id,
            scenario_id,
            title=request.title if request.HasField("title") else None,
            description=request.description if request.HasField("description") else None,
            until_chapter=request.until_chapter if request.HasField("until_chapter") else None,
            until_read=request.until_read if request.HasField("until_read") else None,
            clear_until_chapter=request.clear_until_chapter,
        )
        return pb.UpdateScenarioResponse(scenario=wire.scenario(scenario))

    async def DeleteScenario(self, request: pb.DeleteScenarioRequest, context: Context) -> pb.DeleteScenarioResponse:
        user_id = wire.caller()
        (scenario_id,) = wire.uuids(scenario_id=request.scenario_id)
        await self._scenarios.delete(user_id, scenario_id)
        return pb.DeleteScenarioResponse()
