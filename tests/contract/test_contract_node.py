"""A client in another language: Node with @grpc/grpc-js and nothing of ours but the protos."""

import json
import sysconfig
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Talk
from tests.fixtures.node import install_packages, run_node

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture(scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with its packages installed."""
    folder = tmp_path_factory.mktemp("node")
    await install_packages(HERE / "node", folder)
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
    answer = json.loads(await run_node(str(client), json.dumps(request), cwd=client.parent))
    assert any("chest" in passage["content"] for passage in answer["passages"])
    assert answer["refused"]["code"] == 3  # INVALID_ARGUMENT
    assert "query" in answer["refused"]["details"]
    events = answer["events"]
    assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["event"] == "complete"
    assert "".join(event["content"] for event in events if event["event"] == "token") == events[-1]["content"]
