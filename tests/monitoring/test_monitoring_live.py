"""A real Prometheus and Alertmanager watch a real stack: alerts fire while something is wrong, and clear."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from deploy.monitoring.boards import BOARDS, expressions
from tests.e2e.conftest import talk_of
from tests.e2e.reader import reader_at
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, start_stack
from tests.monitoring.files import plain, program
from tests.monitoring.servers import Monitoring, monitoring

pytestmark = pytest.mark.timeout(240)

FACTOR = 30.0
"""A minute is two seconds."""
SECONDS = 60.0
_RARE = (
    # counted when it happens, and in a healthy stack it does not
    *("5..", 'error_type!=""', 'outcome="refused"', "UNAVAILABLE", "ERROR|CRITICAL"),
    *("gaji_edge_copies_total", "gaji_sse_resumes_total", "gaji_sse_reader_resumes_total", "gaji_sse_cut_total"),
    *("gaji_provider_failures_total", "gaji_generations_degraded_total", "gaji_client_retries", "NOT_FOUND"),
    *("gaji_read_through_errors_total", "gaji_read_through_renewals_total", "gaji_breaker_transitions_total"),
    # not of this stack: no other language, no large model, no file, no workers for passages, no slots
    *("gaji_search_foreign", "gaji_search_model_calls_total", "gaji_intake_seconds", "gaji_search_embedding_batches"),
    *("gaji_model_", "gen_ai_client_token_usage"),
    # known only while there is something
    *("gaji_jobs_queue_age_seconds", "gaji_breaker_failure_ratio", "gaji_breaker_slow_ratio"),
)
"""What is in expressions that may have nothing to show."""
_OF_SLOWNESS = {"ApiSlow", "LatencyBudgetBurns", "DatabaseSlow", "VectorStoreSlow", "ModelSlow", "EventLoopLag"}
"""Alerts that a machine with too much else to do raises, rightly."""


@pytest.fixture(scope="module")
def watched() -> Iterator[tuple[RunningStack, Monitoring]]:
    """A stack of its own, since a process of it is frozen, and who watches it."""
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    env = {"GAJI_SCRIPTED_TOKENS": "20", "GAJI_SCRIPTED_RATE": "0"}
    with temporary_folder() as folder, start_stack(folder / "data", "--no-sample", env=env) as running:
        running.wait_for_workers()
        with monitoring(folder, running.data_dir, FACTOR) as watching:
            yield running, watching


def until(what: str, condition: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Waits for something, and does something else meanwhile; its last result is told if it was in vain."""
    end, last = time.monotonic() + SECONDS, None
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"within {SECONDS:g} s it did not come to this: {what} ({last})")
        last = meanwhile()
        time.sleep(0.1)


@pytest.fixture(scope="module")
async def talked(watched: tuple[RunningStack, Monitoring]) -> tuple[str, str]:
    """A novel was read in, and talked about: a reader's token, and the novel's id."""
    running, _ = watched
    async with reader_at(running.url) as reader:
        talk = await talk_of(reader)
        for text in ("Who are you?", "Where is the bell?"):
            path = f"/api/conversations/{talk.conversation_id}/messages-stream"
            body = {"content": text, "request_id": uuid.uuid4().hex}
            events = await reader.all_events("POST", path, body)
            assert events[-1].name == "complete"
        return talk.reader.token, talk.novel_id


def test_every_panel_has_something_to_show(watched: tuple[RunningStack, Monitoring], talked: tuple[str, str]) -> None:
    running, watching = watched
    token, novel_id = talked
    asked = [(f"{board.title}, {title}", plain(text)) for board in BOARDS for title, text in expressions(board)]
    empty = [(title, text) for title, text in asked if not any(part in text for part in _RARE)]

    def look() -> bool:
        empty[:] = [(title, text) for title, text in empty if not watching.query(text)]
        return not empty

    for _, text in asked:
        watching.query(text)  # Prometheus understands it
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=running.url, timeout=20, headers=headers) as http:

        def read() -> list[tuple[str, str]]:
            assert http.get(f"/api/novels/{novel_id}").status_code == 200
            body = {"novel_id": novel_id, "query": "the bell"}
            assert http.post("/api/search/passages", json=body).status_code == 200
            return empty

        until("every panel has data", look, read)


def test_alerts_fire_while_something_is_wrong_and_clear(watched: tuple[RunningStack, Monitoring]) -> None:
    running, watching = watched
    webhook = watching.webhook
    until("all is well", lambda: watching.firing() - _OF_SLOWNESS == {"Watchdog"}, watching.firing)
    until("the dead man's switch is told of", lambda: webhook.told("Watchdog", "firing"))
    webhook.forget()  # what a slow start may have raised
    [search], admin = running.state["services"]["search"], running.state["services"]["gateway"][0]["admin"]

    with httpx.Client(base_url=running.url, timeout=20) as http:
        token = http.post("/api/auth/guest", json={"display_name": "guest"}).json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"

        def search_something() -> int:
            return http.post("/api/search/passages", json={"novel_id": str(uuid.uuid4()), "query": "x"}).status_code

        def breakers(state: str) -> None:
            answer = httpx.post(f"http://{admin}/breakers", json={"peer": "search", "state": f"BREAKER_STATE_{state}"})
            assert answer.status_code == 200, answer.text

        assert search_something() == 404  # and so there is a breaker
        os.kill(search["pid"], signal.SIGSTOP)
        try:
            until("search is missed", lambda: webhook.told("RoomDown", "firing", room="search"))
            breakers("FORCED_OPEN")
            follows = ("ApiErrors", "BreakersOpen")
            until("what follows fires", lambda: set(follows) <= watching.firing(), search_something)
            until("nobody is told", lambda: all(map(watching.inhibited, follows)), search_something)
            assert not [alert for name in follows for alert in webhook.told(name, "firing")]
        finally:
            os.kill(search["pid"], signal.SIGCONT)
        until("search is back", lambda: webhook.told("RoomDown", "resolved", room="search"), search_something)
        for name in follows:  # which is told now, since the circuit is still open
            until(f"{name} is told", partial(webhook.told, name, "firing"), search_something)
        breakers("UNSPECIFIED")
        for name in follows:
            until(f"{name} is over", partial(webhook.told, name, "resolved"), search_something)
    [(receiver, alert), *_] = webhook.told("ApiErrors", "firing")
    assert receiver == "page"
    assert alert["annotations"]["runbook_url"] == "https://docs.example.org/gaji/runbooks/ApiErrors.md"
    assert "runbooks" not in alert["labels"]
    assert "% of the answers are errors" in alert["annotations"]["description"]
