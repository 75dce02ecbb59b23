"""The environment that the manifests give each process starts a whole system, each process with what its image has."""

import sys
import uuid
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from stack.ports import HOST
from stack.probes import grpc_health
from tests.deploy.manifests import pods
from tests.deploy.system import System, open_system
from tests.e2e.conftest import talk_of
from tests.e2e.reader import reader_at

WORDS = 30


async def probed(system: System, workload: str) -> tuple[int, str]:
    """The image's health check, run as Docker runs it: within the container's environment."""
    process = await create_subprocess_exec(
        sys.executable, "-P", "-m", "mesh.probe", env=system.environments[workload], stdout=PIPE, stderr=PIPE
    )
    said, complained = await process.communicate()
    return process.returncode or 0, (said + complained).decode()


@pytest.mark.timeout(180)
async def test_the_environment_of_the_manifests_starts_a_whole_system(server_folder: Path) -> None:
    changed = {"GAJI_PROVIDER": "scripted", "GAJI_SCRIPTED_TOKENS": str(WORDS), "GAJI_SCRIPTED_RATE": "0"}
    async with open_system(server_folder, "production", changed) as system:
        async with reader_at(system.gateway) as reader:
            talk = await talk_of(reader)
            body = {"content": "Who are you?", "request_id": uuid.uuid4().hex}
            path = f"/api/conversations/{talk.conversation_id}/messages-stream"
            events = await reader.all_events("POST", path, body)
            assert events[-1].name == "complete"
            text = "".join(event.data["content"] for event in events if event.name == "token")
            assert text == events[-1].data["content"]
            assert len(text.split()) == WORDS
            assert not events[-1].data.get("degraded"), "search was asked, and answered"
            found = await reader.ok(
                "POST", "/api/search/passages", {"novel_id": talk.novel_id, "query": "the bell of a village"}
            )
            assert found["passages"]
        for workload in system.processes:
            assert await probed(system, workload) == (0, ""), workload
        assert {pod.name for pod in pods("production") if pod.ours} == {*system.processes, "migrations"}
        library = f"{HOST}:{system.ports['library:50051']}"
        assert await grpc_health(library, "library", system.certs) == "SERVING"
        assert await grpc_health(library, "library") == "UNREACHABLE", "nobody is let in without a certificate"
        assert '"migrated"' not in system.log("library"), "it has no right to, and nothing to do"
