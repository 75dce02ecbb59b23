"""How much is written: what the settings say, and what operators set for a while."""

import asyncio
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import orjson
import pytest
from gaji.mesh.v1 import log_service_pb2 as pb
from gaji.mesh.v1 import log_service_pb2_grpc as rpc
from google.protobuf.duration_pb2 import Duration

from mesh.config import MeshSettings
from mesh.server import open_server
from mesh.telemetry import log_service, logs
from mesh.telemetry.log_levels import MOST, OURS, LogLevels
from stack.state import state_file
from tests.contract.test_contract_grpcurl import ok as grpcurl
from tests.fixtures.stack import clean_environment
from tests.mesh.conftest import code_of

CALLS = logging.getLogger("mesh.test_log_levels.calls")
OTHER = logging.getLogger("services.test_log_levels")
FOREIGN = logging.getLogger("httpx.test_log_levels")


class Time:
    """A clock and its timer, of which there is one at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: tuple[float, Callable[[], None]] | None = None

    def start(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        assert self.due is None
        self.due = self.now + seconds, call
        return self.cancel

    def cancel(self) -> None:
        self.due = None

    def pass_by(self, seconds: float) -> None:
        """So many seconds later."""
        self.now += seconds
        if self.due is not None and self.due[0] <= self.now:
            (_, call), self.due = self.due, None
            call()


@pytest.fixture
def hours() -> Time:
    return Time()


@pytest.fixture
def levels(hours: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogLevels]:
    """Levels of their own clock, in the place of the process's."""
    found = LogLevels(lambda: hours.now, hours.start)
    monkeypatch.setattr(logs, "LEVELS", found)
    names = ("", *OURS, "mesh.test_log_levels", "mesh.test_log_levels.calls")
    before = {name: logging.getLogger(name).level for name in names}
    yield found
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def lines(levels: LogLevels, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written at INFO."""
    root, stream = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(logging, "captureWarnings", lambda *, capture: None)
    monkeypatch.setattr(logs._texts, "on", False)
    logs.configure("test", "INFO")
    handler: Any = root.handlers[0]
    handler.setStream(stream)
    return stream


def written(lines: io.StringIO) -> list[str]:
    """The messages since the last look."""
    text = lines.getvalue()
    lines.seek(0)
    lines.truncate()
    return [orjson.loads(line)["message"] for line in text.splitlines()]


def tell() -> None:
    for logger in (CALLS, OTHER, FOREIGN):
        logger.debug("%s whispers", logger.name.partition(".")[0])


def test_a_level_holds_for_a_while(levels: LogLevels, hours: Time, lines: io.StringIO) -> None:
    tell()
    assert written(lines) == []
    levels.set("", logging.DEBUG, 60)
    tell()
    assert written(lines) == ["mesh whispers", "services whispers"]  # libraries never do
    hours.pass_by(60)
    tell()
    CALLS.info("as usual")
    assert written(lines) == ["as usual"]
    assert not CALLS.isEnabledFor(logging.DEBUG)
    assert levels.overrides() == []


def test_a_logger_has_its_own(levels: LogLevels, hours: Time, lines: io.StringIO) -> None:
    levels.set("mesh.test_log_levels", logging.DEBUG, 60)
    levels.set("", logging.ERROR, 30)
    tell()
    OTHER.warning("lost")
    assert written(lines) == ["mesh whispers"]
    hours.pass_by(30)
    OTHER.warning("heard again")
    tell()
    assert written(lines) == ["heard again", "mesh whispers"]
    levels.set("mesh.test_log_levels", None, 1)
    tell()
    assert written(lines) == []


def test_all_is_set_back_at_once(levels: LogLevels, lines: io.StringIO) -> None:
    levels.set("mesh.test_log_levels", logging.DEBUG, 60)
    levels.set("", logging.DEBUG, 60)
    levels.set("", None, 1)
    tell()
    assert (written(lines), levels.overrides()) == ([], [])


def test_settings_that_say_debug_say_it_of_ours(levels: LogLevels, lines: io.StringIO) -> None:
    levels.configure(logging.DEBUG)
    tell()
    assert written(lines) == ["mesh whispers", "services whispers"]
    levels.configure(logging.WARNING)
    CALLS.info("unheard")
    assert written(lines) == []


def test_a_real_timer_ends_it() -> None:
    levels, ended = LogLevels(), threading.Event()
    logger = logging.getLogger("stack.test_log_levels_of_time")
    levels.set(logger.name, logging.DEBUG, 0.01)
    assert logger.level == logging.DEBUG
    while not ended.wait(0.01):
        if not levels.overrides():
            ended.set()
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize("logger", ["httpx", "mesh.no_such", "nothing", "meshes", "mesh/../x", "services" + "x" * 500])
def test_only_loggers_of_ours_that_there_are(levels: LogLevels, logger: str) -> None:
    request = pb.SetLogLevelRequest(logger=logger, level=pb.LOG_LEVEL_DEBUG)
    with pytest.raises(Exception, match=r"logger is .* none here"):
        log_service.set_level(levels, request)
    assert logger not in logging.root.manager.loggerDict or logger == "httpx"


def test_few_are_set_at_once(levels: LogLevels) -> None:
    for number in range(MOST):
        name = f"stack.test_log_levels_{number}"
        logging.getLogger(name)
        levels.set(name, logging.DEBUG, 60)
    with pytest.raises(Exception, match="one more than 20"):
        log_service.set_level(levels, pb.SetLogLevelRequest(level=pb.LOG_LEVEL_DEBUG))
    levels.set("", None, 1)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SetLogLevelRequest(level=pb.LOG_LEVEL_DEBUG, duration=Duration(seconds=0)), "duration"),
        (pb.SetLogLevelRequest(level=pb.LOG_LEVEL_DEBUG, duration=Duration(seconds=86401)), "duration"),
        (pb.SetLogLevelRequest(level=pb.LOG_LEVEL_DEBUG, duration=Duration(seconds=-5)), "duration"),
        (pb.SetLogLevelRequest.FromString(b"\x10\x4d"), "level"),
    ],
)
def test_what_is_wrong_is_said(levels: LogLevels, request_: pb.SetLogLevelRequest, field: str) -> None:
    with pytest.raises(Exception, match=f"{field} is"):
        log_service.set_level(levels, request_)
    assert levels.overrides() == []


async def test_operators_set_it_over_grpc_and_at_the_admin_port(settings: MeshSettings, lines: io.StringIO) -> None:
    async with (
        open_server(settings, [], name="test") as server,
        grpc.aio.insecure_channel(server.address) as channel,
        httpx.AsyncClient(base_url=f"http://{server.admin_address}", trust_env=False) as http,
    ):
        stub: Any = rpc.LogServiceStub(channel)
        try:
            request = pb.SetLogLevelRequest(logger="mesh", level=pb.LOG_LEVEL_DEBUG, duration=Duration(seconds=50))
            answer = await stub.SetLogLevel(request)
            assert [(one.logger, one.level) for one in answer.overrides] == [("mesh", pb.LOG_LEVEL_DEBUG)]
            assert 0 < answer.overrides[0].remaining.ToSeconds() <= 50
            shown = (await http.get("/logs")).json()
            assert shown["level"] == "LOG_LEVEL_INFO"
            assert shown["overrides"][0]["logger"] == "mesh"
            assert "gaji.mesh.v1.LogService" in await grpcurl(server.address, "list")
            refused = await http.post("/logs", json={"logger": "httpx", "level": "LOG_LEVEL_DEBUG"})
            assert (refused.status_code, list(refused.json()["fields"])) == (400, ["logger"])
            assert (await http.post("/logs", json={}, headers={"origin": "http://x"})).status_code == 403
            bad = stub.SetLogLevel(pb.SetLogLevelRequest(logger="asyncio"))
            assert await code_of(bad) is grpc.StatusCode.INVALID_ARGUMENT
        finally:
            assert (await http.post("/logs", json={})).json() == {"overrides": []}


async def test_gaji_logs_shows_and_sets(settings: MeshSettings, lines: io.StringIO, tmp_path: Path) -> None:
    async with open_server(settings, [], name="test") as server:
        state = {
            "pid": os.getpid(),
            "gateway": "http://127.0.0.1:1",
            "services": {"search": [{"pid": 1, "admin": server.admin_address}]},
        }
        state_file(tmp_path).parent.mkdir(parents=True)
        state_file(tmp_path).write_text(json.dumps(state))

        async def gaji(*arguments: str) -> tuple[int | None, str]:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "stack.cli", "logs", *arguments, "--data-dir", str(tmp_path),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=clean_environment(tmp_path),
            )  # fmt: skip
            out, _ = await asyncio.wait_for(process.communicate(), 60)
            return process.returncode, out.decode()

        code, out = await gaji("--level", "debug", "--logger", "mesh", "--for", "90")
        assert code == 0, out
        assert "DEBUG" in out
        assert " 90 s" in out or " 89 s" in out or " 88 s" in out
        code, out = await gaji("--level", "debug", "--logger", "httpx")
        assert (code, "none here" in out) == (1, True), out
        code, out = await gaji("--level", "usual")
        assert (code, "DEBUG" in out) == (0, False), out
