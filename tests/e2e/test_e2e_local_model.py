"""The real language model through the whole path, and what is left of a conversation after a restart."""

import uuid
from pathlib import Path

import pytest

from tests.e2e.reader import STORY, reader_at
from tests.fixtures.stack import start_stack

LOCAL = {"GAJI_PROVIDER": "local", "GAJI_MAX_TOKENS": "24"}


@pytest.mark.timeout(300)
async def test_the_local_model_speaks_token_by_token_and_a_restart_forgets_nothing(server_folder: Path) -> None:
    folder = server_folder / f"local-{uuid.uuid4().hex[:8]}"
    with start_stack(folder, "--no-sample", env=LOCAL) as running:
        async with reader_at(running.url) as guest:
            novel_id = await guest.add_novel("The Ferry at Marrow Point", STORY)
            scenario = await guest.ok(
                "POST", "/api/scenarios", {"novel_id": novel_id, "title": "Frost", "description": "What if it thawed?"}
            )
            character = (await guest.ok("GET", f"/api/novels/{novel_id}/characters"))["characters"][0]
            params = {"scenario_id": scenario["scenario_id"], "character_id": character["character_id"]}
            opening = await guest.all_events("GET", "/api/conversations/create-stream", params=params)
            assert opening[-1].name == "complete"
            conversation = f"/api/conversations/{opening[-1].data['conversation_id']}"
            texts = [opening[-1].data["content"]]
            for question in ("Who are you?", "What is in the chest?"):
                reply = await guest.all_events("POST", f"{conversation}/messages-stream", {"content": question})
                tokens = [event for event in reply if event.name == "token"]
                assert len(tokens) > 3
                assert tokens[-1].at > tokens[0].at
                assert "".join(token.data["content"] for token in tokens) == reply[-1].data["content"]
                assert reply[-1].data["provider"] == "local"
                assert reply[-1].data["usage"]["completion_tokens"] > 0
                texts += [question, reply[-1].data["content"]]
            token = guest.token
    with start_stack(folder, "--no-sample", env=LOCAL) as running:
        async with reader_at(running.url) as guest:
            guest.client.headers["authorization"] = f"Bearer {token}"
            stored = (await guest.ok("GET", f"{conversation}/messages"))["messages"]
            assert [message["content"] for message in stored] == texts
            found = await guest.ok("POST", "/api/search/passages", {"novel_id": novel_id, "query": "the bell"})
            assert found["passages"]
