"""A running gateway, and everything behind it, under input that nobody meant."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.conftest import Talk
from tests.e2e.reader import reader_at
from tests.fixtures.stack import RunningStack
from tests.hostile.conftest import CASES
from tests.hostile.test_hostile_fuzz import hostile_text, segments
from tests.hostile.test_hostile_ids import property_of

LIVE_CASES = max(100, CASES // 10)
"""Requests over a socket cost some milliseconds each."""

live = settings(max_examples=LIVE_CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def ids(talk: Talk) -> dict[str, str]:
    return {"conversation_id": talk.conversation_id, "novel_id": talk.novel_id}


@pytest.fixture(scope="module")
def browser(running_stack: RunningStack, talk: Talk) -> Any:
    # Not asynchronous: hypothesis drives these tests, and each case is a plain request.
    headers = {"authorization": f"Bearer {talk.reader.token}"}
    with httpx.Client(base_url=running_stack.url, timeout=30, headers=headers) as client:
        yield client


def status_of(client: httpx.Client, method: str, path: str, **more: Any) -> int:
    """The status of an answer, of which no more than the beginning is read."""
    with client.stream(method, path, **more) as response:
        if response.status_code >= 400:
            response.read()
            assert response.json()["error"]["reason"], response.text
        return response.status_code


@pytest.mark.timeout(3000)
def test_cursors_in_every_place(browser: httpx.Client, ids: dict[str, str]) -> None:
    streams = [f"/api/conversations/{ids['conversation_id']}/events", f"/api/novels/{ids['novel_id']}/ingestion-stream"]

    @live
    @given(st.sampled_from(streams), st.one_of(hostile_text, st.binary(max_size=60)), st.booleans())
    def try_cursors(path: str, cursor: str | bytes, in_header: bool) -> None:
        raw = cursor.encode() if isinstance(cursor, str) else cursor
        if in_header:
            raw = bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F).strip()[:4000]  # what httpx sends at all
            status = status_of(browser, "GET", path, headers={b"last-event-id": raw})
        else:
            status = status_of(browser, "GET", path, params={"after": raw[:4000]})
        assert status < 500

    try_cursors()


@pytest.mark.timeout(3000)
def test_paths_and_methods(browser: httpx.Client) -> None:
    @live
    @given(
        st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]), st.lists(segments, max_size=6)
    )
    def try_paths(method: str, parts: list[str]) -> None:
        # Of a raw target, which httpx does not clean up.
        target = ("/api/" + "/".join(parts)).encode("ascii", "replace")[:4000]
        target = bytes(byte for byte in target if 0x21 <= byte <= 0x7E and byte not in b"?#")
        request = browser.build_request(method, "/")
        request.url = request.url.copy_with(raw_path=target)
        with_body = browser.send(request, stream=True)
        try:
            assert with_body.status_code < 500
        finally:
            with_body.close()

    try_paths()


@pytest.mark.timeout(3000)
async def test_schemathesis(running_stack: RunningStack, tmp_path: Path) -> None:
    """Requests made from /openapi.json, good ones and bad ones; most with ids of the reader's own."""
    async with reader_at(running_stack.url) as reader:
        mine = await property_of(reader)
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{running_stack.url}/openapi.json"),
            *("--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--exclude-path", "/api/status/stream"),  # which goes on for minutes
            *("--max-examples", str(max(5, CASES // 500)), "--request-timeout", "30", "--generation-database", "none"),
            *("--header", f"Authorization: Bearer {reader.token}", "--no-color"),
        ]
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.hostile.schemathesis_hooks",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "GAJI_FUZZ_IDS": json.dumps(mine.ids),
        }
        output = tmp_path / "output"
        with output.open("wb") as file:
            run = await asyncio.create_subprocess_exec(
                *command, cwd=tmp_path, env=environment, stdout=file, stderr=file
            )
            try:
                async with asyncio.timeout(800):
                    code = await run.wait()
            finally:
                if run.returncode is None:
                    run.kill()
                    await run.wait()
    said = output.read_text(errors="replace")
    assert code == 0, said[-6000:]
    assert " generated, " in said
