import asyncio
import base64
import hashlib
import json
import re
import subprocess
import sys
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.bindings import routes_of
from gateway.contract import load_contract
from gateway.health import Readiness
from gateway.openapi import openapi_document
from gateway.router import Router
from mesh.config import MeshSettings
from tests.gateway.conftest import ROOT, Gateway
from tests.gateway.probe_servicer import Probe, open_probe

ME = ("/api/users/me", "get")

# The interface that the outside world holds on to.
INTERFACE = {
    "POST": [
        "/api/auth/register",
        "/api/auth/login",
        "/api/auth/guest",
        "/api/auth/refresh",
        "/api/auth/logout",
        "/api/novels",
        "/api/search/passages",
        "/api/ai/search/passages",
        "/api/scenarios",
        "/api/conversations",
        "/api/conversations/x/messages-stream",
        "/api/ai/conversations/x/messages-stream",
    ],
    "GET": [
        "/api/users/me",
        "/api/novels",
        "/api/novels/x",
        "/api/novels/x/ingestion-stream",
        "/api/novels/x/characters",
        "/api/characters/x",
        "/api/scenarios/x",
        "/api/novels/x/scenarios",
        "/api/conversations/x",
        "/api/conversations",
        "/api/conversations/x/messages",
        "/api/conversations/create-stream",
        "/api/conversations/x/messages-stream",
        "/api/ai/conversations/x/messages-stream",
    ],
    "PATCH": ["/api/users/me", "/api/novels/x", "/api/scenarios/x"],
    "DELETE": ["/api/novels/x", "/api/scenarios/x", "/api/conversations/x"],
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    contract = load_contract()
    return openapi_document(contract, routes_of(contract))


def test_the_interface_is_bound() -> None:
    router = Router(routes_of(load_contract()))
    for method, paths in INTERFACE.items():
        for path in paths:
            assert router.match(method, path).route.verb == method
    assert router.match("GET", "/api/conversations/create-stream").route.rpc.name == "StreamOpening"
    public = {route.rpc.name for route in routes_of(load_contract()) if route.public}
    assert public == {"Register", "Login", "CreateGuest", "RefreshToken", "Logout"}


def test_a_novel_may_be_large() -> None:
    limits = {route.rpc.name: route.max_body_bytes for route in routes_of(load_contract()) if route.max_body_bytes}
    assert limits == {"CreateNovel": 28 * 1024 * 1024}


def test_the_document_is_valid_openapi_with_the_contract_s_words(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    search = document["paths"]["/api/search/passages"]["post"]
    assert search["summary"] == "The passages of one novel that fit a query best, best first"
    fields = document["components"]["schemas"]["SearchPassagesRequest"]["properties"]
    assert fields["top_k"]["description"] == "How many passages at most, 1 to 50; absent: 10."
    assert search["security"] == [{"bearer": []}, {"cookie": []}]
    assert document["paths"]["/api/auth/guest"]["post"]["security"] == []


def test_what_an_answer_always_holds_is_required(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    citation = {"chapter", "passage_id", "excerpt"}
    assert citation <= set(schemas["Citation"]["required"]) <= set(schemas["Citation"]["properties"])
    # Fields with presence are left out where they are absent: messages, and what the contract calls optional.
    assert not {"record", "created_at"} & set(schemas["Message"]["required"])
    assert "until_chapter" not in schemas["Scenario"]["required"]
    # Who sends a message may leave out what it likes, also of those that answers hold as well.
    assert "required" not in schemas["CreateScenarioRequest"]
    assert "required" not in schemas["CharacterAliases"]


async def test_what_is_required_is_there(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert set((await client.get("/probe/anybody")).json()) == set(schemas["Who"]["required"])
    assert "required" not in schemas["Everything"]  # Echo takes it as well


def test_the_document_can_be_had_without_a_gateway(document: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "gateway.openapi"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=ROOT)  # noqa: S603 - our own command
    assert json.loads(done.stdout) == document


def test_streams_are_described_by_their_events(document: dict[str, Any]) -> None:
    stream = document["paths"]["/api/conversations/{conversation_id}/messages-stream"]["get"]
    content = stream["responses"]["200"]["content"]["text/event-stream"]
    assert list(content["x-events"]) == ["progress", "token", "complete", "failed", "stopped", "seam", "gap"]
    assert "204" in stream["responses"]
    names = {parameter["name"]: parameter["in"] for parameter in stream["parameters"]}
    assert names == {
        "conversation_id": "path",
        "content": "query",
        "request_id": "query",
        "after": "query",
        "Last-Event-ID": "header",
    }
    (key,) = (parameter for parameter in stream["parameters"] if parameter["name"] == "request_id")
    assert key["description"].endswith("The gateway makes one for a request that has none.")


def test_files_are_described_as_such(document: dict[str, Any]) -> None:
    export = next(
        operation
        for item in document["paths"].values()
        for operation in item.values()
        if operation["operationId"] == "ExportConversation"
    )
    assert export["responses"]["200"]["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    assert "HttpBody" not in document["components"]["schemas"]


async def test_the_document_of_any_contract_is_valid(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    OpenAPIV31SpecValidator(answer.json()).validate()
    echo = answer.json()["paths"]["/probe/echo"]["post"]
    assert (echo["tags"], echo["summary"]) == (["ProbeService"], "Answers with what it was asked")


async def test_the_page_needs_nothing_from_elsewhere_and_its_policy_lets_it_work(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    assert "/probe/echo/{string_value}:shout" in page
    assert not re.search(r"https?://|<script|<link|style=|onclick", page)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    policy = answer.headers["content-security-policy"]
    for style in styles:
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


async def test_health_says_that_the_process_lives(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert (await client.post("/health")).status_code == 405


async def test_ready_asks_every_peer(gateway: Gateway, contract: Any, mesh_settings: MeshSettings) -> None:
    async with (
        open_probe(Probe(contract), mesh_settings) as server,
        gateway(probe_target=server.address) as (client, _),
    ):
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "services": {"probe": "SERVING"}})
        await server.set_serving(False)
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["status"] == "not ready"
        await server.set_serving(True)


async def test_ready_does_not_wait_for_a_peer_that_is_not_there(gateway: Gateway, unused_tcp_port: int) -> None:
    async with gateway(probe_target=f"127.0.0.1:{unused_tcp_port}") as (client, _):
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"status": "not ready", "services": {"probe": "UNREACHABLE"}}


async def test_those_who_ask_at_once_whether_it_is_ready_share_one_look() -> None:
    class Peer:
        looks = 0

        async def serving(self, seconds: float) -> str:
            self.looks += 1
            await asyncio.sleep(0.01)
            return "SERVING"

    peer: Any = Peer()
    ready = Readiness({"peer": peer}, 1.0)
    answers = await asyncio.gather(*(ready() for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert peer.looks == 1
    await ready()
    assert peer.looks == 2


def test_routes_say_with_what_they_may_refuse() -> None:
    contract = load_contract(None)
    paths = openapi_document(contract, routes_of(contract))["paths"]
    login, reading = (set(paths[path][verb]["responses"]) for path, verb in (("/api/auth/login", "post"), ME))
    assert {"401", "403", "408", "409", "413", "415", "429", "503", "504"} <= login
    assert {"401", "429", "503", "504"} <= reading
    assert not {"403", "408", "409", "413", "415"} & reading
