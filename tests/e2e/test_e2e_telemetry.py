"""What a running stack serves as metrics and writes as logs, in the course of a whole conversation."""

import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stack.metrics_doc import FILE
from tests.e2e.conftest import talk_of
from tests.e2e.reader import Reader
from tests.fixtures.stack import RunningStack

SCHEMA = FILE.with_name("logs.schema.json")
OPEN_METRICS = {"accept": "application/openmetrics-text; version=1.0.0"}
_NATIVE = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d")
"""How gRPC's core begins its lines, which come from C++."""
_PASSWORD = "correct-horse-battery-4711"


def admins(running: RunningStack) -> dict[str, str]:
    return {
        f"{name}-{number}": str(entry["admin"])
        for name, replicas in running.state["services"].items()
        for number, entry in enumerate(replicas)
        if "admin" in entry
    }


async def test_every_metric_of_every_process_is_in_the_documentation(running_stack: RunningStack) -> None:
    running_stack.wait_for_workers()
    rows = [line.split("|")[1:4] for line in FILE.read_text().splitlines() if line.startswith("| `")]
    kinds = {name.strip(" `"): kind.strip() for name, kind, *_ in rows}
    labels = {name.strip(" `"): set(re.findall(r"`(\w+)`", listed)) for name, _, listed in rows}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        for process, admin in admins(running_stack).items():
            text = (await http.get(f"http://{admin}/metrics", headers=OPEN_METRICS)).text
            families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # it has no types
            assert len(families) > 20, process
            for family in families:
                name = f"{family.name}_total" if family.type == "counter" else family.name
                assert kinds.get(name) == family.type, f"{process}: {name}"
                for sample in family.samples:
                    assert set(sample.labels) - {"le"} == labels[name], f"{process}: {sample}"


@asynccontextmanager
async def everything_written(running: RunningStack) -> AsyncIterator[None]:
    """Has all processes write all that they can."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:

        async def told(level: str) -> None:
            for admin in admins(running).values():
                answer = await http.post(f"http://{admin}/logs", json={"level": level})
                assert answer.status_code == 200, answer.text

        await told("LOG_LEVEL_DEBUG")
        try:
            yield
        finally:
            await told("LOG_LEVEL_UNSPECIFIED")


async def conversation(reader: Reader) -> tuple[list[str], list[str]]:
    """An account, a novel, searches and messages: what is secret of it, and what was written in it."""
    mark = uuid.uuid4().hex
    mail = f"{mark}@example.com"
    account = {"email": mail, "password": _PASSWORD + mark, "display_name": f"name{mark}"}
    registered = await reader.call("POST", "/api/auth/register", account)
    assert registered.is_success, registered.text
    session = registered.json()
    secrets = [account["password"], mail, session["access_token"], reader.token]
    secrets += [cookie.value or mark for cookie in registered.cookies.jar]
    secrets += [value for name, value in session.items() if name.endswith("_token") and value]
    wrong = await reader.call("POST", "/api/auth/login", {"email": mail, "password": f"wrong{mark}"})
    assert wrong.status_code == 401
    reader.client.headers["authorization"] = f"Bearer {session['access_token']}"
    reader.client.cookies.clear()
    talk = await talk_of(reader)
    said, asked = f"said{mark}", f"asked{mark}"
    path = f"/api/conversations/{talk.conversation_id}/messages-stream"
    events = await reader.all_events("POST", path, {"content": f"Who is {said}?", "request_id": uuid.uuid4().hex})
    assert events[-1].name == "complete"
    await reader.ok("POST", "/api/search/passages", {"novel_id": talk.novel_id, "query": f"Where is {asked}?"})
    await reader.call("GET", "/api/conversations", params={"page_token": said})
    assert (await reader.call("GET", "/api/status")).status_code == 200  # of which rooms write at DEBUG
    texts = [said, asked, "word1 word2", "Names are for the shore", f"wrong{mark}", f"name{mark}", "refused the coins"]
    return secrets, texts


async def test_logs_keep_to_their_schema_and_keep_secrets(running_stack: RunningStack, reader: Reader) -> None:
    running_stack.wait_for_workers()
    async with everything_written(running_stack):
        secrets, texts = await conversation(reader)
    schema = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()), validate_formats=True)
    lines = [line for service in admins(running_stack) for line in log_of(running_stack, service)]
    assert len(lines) > 50
    traced: dict[str, set[str]] = {}
    for line in lines:
        if _NATIVE.match(line):
            continue
        entry: dict[str, Any] = json.loads(line)
        problems = [f"{error.instance_path}: {error.message}" for error in schema.iter_errors(entry)]
        assert not problems, f"{problems} in {line}"
        if "request_id" in entry:
            traced.setdefault(entry["trace_id"], set()).add(entry["process"])
        if entry["message"] in {"rpc", "request"}:
            assert "trace_id" in entry, line
    assert any(seen >= {"gateway", "generation", "library", "search"} for seen in traced.values())
    assert any('"level":"DEBUG"' in line for line in lines)
    whole = "\n".join(lines)
    for secret in (*secrets, *texts):
        assert secret not in whole, f"{secret!r} is in a log"


def log_of(running: RunningStack, service: str) -> list[str]:
    """The lines of a service's log, the older file included."""
    name, _, number = service.rpartition("-")
    stem = name if number == "0" else f"{name}-{int(number) + 1}"
    folder = Path(running.data_dir) / "logs"
    found = [folder / f"{stem}.log.1", folder / f"{stem}.log"]
    return [line for path in found if path.exists() for line in path.read_text().splitlines()]
