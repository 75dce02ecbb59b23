"""grpcurl, the real binary, against each service: reflection, health, a unary and a streaming call."""

import asyncio
import json
import shutil
import sysconfig
import uuid
from typing import Any

import pytest

from tests.e2e.conftest import Talk

ROOMS = ("cache", "generation", "library", "search")
SERVICES = {
    "cache": "gaji.cache.v1.CacheService",
    "generation": "gaji.generation.v1.GenerationService",
    "library": "gaji.library.v1.NovelService",
    "search": "gaji.search.v1.SearchService",
}


async def grpcurl(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a call that ends within 10 s."""
    binary = shutil.which("grpcurl", path=sysconfig.get_path("scripts"))
    assert binary, "grpcurl is not installed"
    process = await asyncio.create_subprocess_exec(
        binary,
        "-plaintext",
        "-max-time",
        "10",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), err.decode()


async def ok(*arguments: str) -> str:
    """The output of a call that must succeed."""
    code, out, err = await grpcurl(*arguments)
    assert code == 0, err
    return out


def messages(output: str) -> list[Any]:
    """The JSON objects that grpcurl prints one after the other."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(output.rstrip()):
        value, at = decoder.raw_decode(output, at)
        found.append(value)
        while at < len(output) and output[at].isspace():
            at += 1
    return found


@pytest.mark.parametrize("room", ROOMS)
async def test_every_service_lists_describes_and_is_healthy(stack: dict[str, Any], room: str) -> None:
    host = stack["services"][room][0]["grpc"]
    listed = (await ok(host, "list")).split()
    assert {SERVICES[room], "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= set(listed)
    assert f"service {SERVICES[room].rpartition('.')[2]}" in await ok(host, "describe", SERVICES[room])
    assert json.loads(await ok(host, "grpc.health.v1.Health/Check")) == {"status": "SERVING"}


async def test_unary_and_streaming_calls(stack: dict[str, Any], talk: Talk) -> None:
    hosts = {room: stack["services"][room][0]["grpc"] for room in ROOMS}
    token = ("-H", f"authorization: Bearer {talk.reader.token}")

    def data(**fields: Any) -> tuple[str, str]:
        return "-d", json.dumps(fields)

    found = await ok(
        *data(novel_id=talk.novel_id, query="a bell"), hosts["search"], f"{SERVICES['search']}/SearchPassages"
    )
    assert json.loads(found)["passages"]
    novel = await ok(*token, *data(novel_id=talk.novel_id), hosts["library"], f"{SERVICES['library']}/GetNovel")
    assert json.loads(novel)["novel"]["title"] == "The Ferry at Marrow Point"
    assert "kinds" in json.loads(await ok(hosts["cache"], f"{SERVICES['cache']}/GetStats"))

    said = messages(
        await ok(
            *token,
            *data(conversation_id=talk.conversation_id, content="Hello", request_id=uuid.uuid4().hex),
            hosts["generation"],
            f"{SERVICES['generation']}/StreamReply",
        )
    )
    assert "".join(event["token"]["content"] for event in said if "token" in event) == said[-1]["complete"]["content"]
    watched = messages(
        await ok(*token, *data(novel_id=talk.novel_id), hosts["library"], f"{SERVICES['library']}/WatchIngestion")
    )
    assert watched[-1]["complete"]["chapters"] == 3
    ingested = messages(
        await ok(
            *data(novel_id=str(uuid.uuid4()), owner_id=talk.reader.user_id, title="T", text="Once. Twice."),
            hosts["search"],
            f"{SERVICES['search']}/IngestNovel",
        )
    )
    assert "complete" in ingested[-1]


async def test_a_watch_of_the_cache_begins_and_ends_with_the_caller(stack: dict[str, Any]) -> None:
    host = stack["services"]["cache"][0]["grpc"]
    code, out, err = await grpcurl("-max-time", "1", host, f"{SERVICES['cache']}/WatchInvalidations")
    assert "watching" in messages(out)[0]
    assert code != 0
    assert "DeadlineExceeded" in err


async def test_an_error_names_the_field(stack: dict[str, Any], talk: Talk) -> None:
    host = stack["services"]["search"][0]["grpc"]
    request = json.dumps({"novel_id": talk.novel_id, "query": "x", "top_k": 51})
    code, _, err = await grpcurl("-d", request, host, f"{SERVICES['search']}/SearchPassages")
    assert code != 0
    assert "InvalidArgument" in err
    assert "top_k is 51; give a number from 1 to 50" in err
