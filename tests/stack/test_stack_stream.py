"""A reply is followed to its end, however often its connection is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.answers import ApiError
from stack.api import Event, Gateway
from stack.commands.shown import Shown
from stack.resume import LOST_SECONDS, Place
from stack.shelf import watch
from tests.fixtures.stack import clean_environment
from tests.stack.broken_gateway import STREAM, Answer, BrokenGateway, broken_gateway, frame

SAY = "/api/conversations/7/messages-stream"
SOON = b"retry: 10\n\n"


@pytest.fixture
def gateway() -> Iterator[BrokenGateway]:
    with broken_gateway() as running:
        yield running


def told(gateway: BrokenGateway, *answers: Answer) -> list[Event]:
    """The events of a reply that is answered so."""
    gateway.answers[f"POST {SAY}"] = list(answers)
    with Gateway(gateway.url) as client:
        return list(client.stream("POST", SAY, json={"content": "hello", "request_id": "once"}))


def text(events: list[Event]) -> str:
    return "".join(event.data["content"] for event in events if event.name == "token")


def token(sequence: int) -> bytes:
    return frame("token", sequence, content=f"{sequence} ")


END = frame("complete", 9, content="1 2 3 ")


@pytest.mark.parametrize("whole", [True, False], ids=["ended", "cut"])
def test_what_is_lost_goes_on_after_the_last_id(gateway: BrokenGateway, whole: bool) -> None:
    events = told(
        gateway,
        Answer([SOON, token(1), token(2)], whole=whole),
        Answer([SOON], whole=whole),
        Answer([token(3), END]),
    )
    assert text(events) == "1 2 3 "
    assert events[-1] == Event("complete", {"content": "1 2 3 "}, f"{STREAM}.1.9")
    assert [last for *_, last, _ in gateway.asked] == ["", f"{STREAM}.1.2", f"{STREAM}.1.2"]
    assert {json.loads(body)["request_id"] for *_, body in gateway.asked} == {"once"}


def test_a_connection_that_is_cut_before_it_answers_is_made_again(gateway: BrokenGateway) -> None:
    assert text(told(gateway, Answer(status=0), Answer([token(1), END]))) == "1 "
    assert [last for *_, last, _ in gateway.asked] == ["", ""]


@pytest.mark.parametrize("name", ["complete", "stopped"])
def test_an_end_is_an_end(gateway: BrokenGateway, name: str) -> None:
    events = told(gateway, Answer([token(1), frame(name, 2, content="1 ")], whole=False))
    assert [event.name for event in events] == ["token", name]
    assert len(gateway.asked) == 1


def test_no_content_is_the_end_of_what_was_followed(gateway: BrokenGateway) -> None:
    assert text(told(gateway, Answer([SOON, token(1)]), Answer(status=204))) == "1 "


def test_a_failure_of_the_reply_is_its_end(gateway: BrokenGateway) -> None:
    failed = frame("failed", 2, code="UNAVAILABLE", reason="MODEL_UNREACHABLE", message="no model", retryable=True)
    with pytest.raises(ApiError, match="no model; try again"):
        told(gateway, Answer([SOON, token(1), failed]))
    assert len(gateway.asked) == 1


def test_a_failure_of_the_way_is_not(gateway: BrokenGateway) -> None:
    failed = frame("failed", code="UNAVAILABLE", reason="GATEWAY_RESTARTING", message="come back", retryable=True)
    assert text(told(gateway, Answer([SOON, token(1), failed]), Answer([token(2), END]))) == "1 2 "


def test_a_gateway_that_is_busy_for_a_moment_is_asked_again(gateway: BrokenGateway) -> None:
    assert text(told(gateway, Answer([SOON, token(1)]), Answer(status=503), Answer([token(2), END]))) == "1 2 "


@pytest.mark.parametrize(("status", "first"), [(503, True), (400, True), (404, False)])
def test_a_refusal_is_told(gateway: BrokenGateway, status: int, first: bool) -> None:
    answers = [Answer(status=status)] if first else [Answer([SOON, token(1)]), Answer(status=status)]
    with pytest.raises(ApiError) as raised:
        told(gateway, *answers)
    assert raised.value.status == status
    assert len(gateway.asked) == len(answers)


def test_without_progress_it_is_given_up(gateway: BrokenGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.resume.LOST_SECONDS", 0.5)
    with pytest.raises(ApiError, match="nothing more came for 30 s: the stream broke off"):
        told(gateway, Answer([SOON, token(1)]))
    assert len(gateway.asked) >= 2


def test_patience_begins_anew_with_each_event() -> None:
    now = 0.0
    place = Place(lambda: now)
    assert place.moved("a.1.1")
    for sequence in range(2, 5):
        waited = 0.0
        while (pause := place.lost()) is not None:
            waited += pause
            now += pause
        assert 20 < waited <= LOST_SECONDS + 0.001
        assert place.moved(f"a.1.{sequence}")
    assert not place.moved("a.1.4")


def test_the_gateway_says_how_long_to_wait() -> None:
    place = Place(lambda: 0.0)
    place.told_to_wait(3000)
    pause = place.lost()
    assert pause is not None
    assert 3.0 <= pause <= 3.6


def test_an_ingestion_is_followed_likewise(gateway: BrokenGateway) -> None:
    path = "GET /api/novels/7/ingestion-stream"
    gateway.answers[path] = [
        Answer([SOON, frame("progress", 1, progress=20, stage="reading")], whole=False),
        Answer([SOON, frame("gap", 0, first_sequence=2, last_sequence=3), frame("progress", 4, progress=70)]),
        Answer([frame("complete", 5, novel_id="7")]),
    ]
    percents: list[int] = []
    with Gateway(gateway.url) as client:
        assert watch(client, "7", lambda percent, *_: percents.append(percent)) == {"novel_id": "7"}
    assert percents == [20, 70]
    assert [last for *_, last, _ in gateway.asked] == ["", f"{STREAM}.1.1", f"{STREAM}.1.4"]


def shown(*steps: str | int, whole: str = "", mark: str = "") -> str:
    """What is to be seen of pieces of text and of lengths that are kept."""
    pieces: list[str] = []
    reply = Shown("Ines", pieces.append, None)
    for step in steps:
        reply.keep(step) if isinstance(step, int) else reply.add(step)
    reply.end(whole, mark)
    return "".join(pieces)


@pytest.mark.parametrize(
    ("steps", "whole", "expected"),
    [
        (["The lamp ", "is out."], "The lamp is out.", "\nInes: The lamp is out.\n"),
        ([], "The lamp.", "\nInes: The lamp.\n"),
        (["The lamp"], "The lamp is out.", "\nInes: The lamp is out.\n"),
        (["It is late. The lamb", 19, "p."], "It is late. The lamp.", "\nInes: It is late. The lamb\n… The lamp.\n"),
        (["The lamb", 7, "p."], "The lamp.", "\nInes: The lamb\nInes: The lamp.\n"),
        (["The lamb", 0, "No."], "No.", "\nInes: The lamb\nInes: No.\n"),
        (["The lamp.", 9, " Go."], "The lamp. Go.", "\nInes: The lamp. Go.\n"),
        (["늦었다. 등불이 꺼", 9, "졌다."], "늦었다. 등불이 졌다.", "\nInes: 늦었다. 등불이 꺼\n… 등불이 졌다.\n"),
        (["It is late. The lamp"], "It is late. No.", "\nInes: It is late. The lamp\n… No.\n"),
        (["said"], "", "\nInes: said\n"),
    ],
)
def test_a_seam_is_shown_anew_from_where_a_sentence_begins(steps: list[str | int], whole: str, expected: str) -> None:
    assert shown(*steps, whole=whole) == expected


def test_control_characters_do_not_count_as_another_text() -> None:
    assert shown("a\x07b", whole="a\x07b", mark="[stopped]") == "\nInes: ab [stopped]\n"


@pytest.mark.parametrize("known", [True, False], ids=["reply", "opening"])
def test_ctrl_c_stops_the_reply_and_shows_what_is_kept(gateway: BrokenGateway, tmp_path: Path, known: bool) -> None:
    conversation, message = str(uuid.uuid4()), str(uuid.UUID(STREAM))
    path = f"/api/conversations/{conversation}"
    forever = threading.Event()
    stream = Answer([frame("token", 1, content="The lamp ")], then=forever)
    gateway.say("POST /api/auth/guest", access_token="t", refresh_token="r", expires_in=900)
    gateway.say(f"GET {path}", conversation_id=conversation, character_name="Ines")
    gateway.say(f"GET {path}/messages", messages=[])
    gateway.say("GET /api/novels", novels=[{"novel_id": "n", "title": "T", "status": "INGESTION_STATUS_COMPLETE"}])
    gateway.say("GET /api/novels/n/characters", characters=[{"character_id": "c", "name": "Ines"}])
    gateway.say("POST /api/scenarios", scenario_id="s")
    gateway.say("GET /api/conversations", conversations=[{"conversation_id": conversation, "head_message_id": message}])
    gateway.answers[f"POST {path}/messages-stream"] = [stream]
    gateway.answers["GET /api/conversations/create-stream"] = [stream]
    stop = f"{path}/messages/{message}:stop"
    gateway.say(f"POST {stop}", message_id=message, outcome="stopped", content="The lamp is")
    chosen = ["--conversation", conversation] if known else ["--what-if", "x"]
    command = [sys.executable, "-m", "stack.cli", "chat", *chosen, "--message", "hello", "--url", gateway.url]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=clean_environment(tmp_path)
    ) as process:
        try:
            assert process.stdout is not None
            seen, end = b"", time.monotonic() + 60
            while b"The lamp" not in seen:
                assert time.monotonic() < end
                seen += os.read(process.stdout.fileno(), 1024)
            process.send_signal(signal.SIGINT)
            seen += process.stdout.read()
            assert process.wait(60) == 130
        finally:
            forever.set()
            process.kill()
    assert seen.decode().endswith("Ines: The lamp is [stopped]\n")
    assert gateway.times(f"POST {stop}") == 1
