"""What strangers wrote, on a terminal: text, and nothing that the terminal obeys."""

import io
import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stack.answers import failure, refusal
from stack.api import Gateway
from stack.commands import chat, choice
from stack.commands.shown import Shown
from stack.commands.teller import Teller
from stack.commands.text import one_line, printable
from tests.stack.broken_gateway import Answer, broken_gateway, frame

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202e\r\x08 [/x] [link=http://e.test]name\x00"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@given(st.lists(st.text() | st.sampled_from([EVIL, "\x1b", "\n"]), max_size=8), st.integers(20, 100) | st.none())
def test_no_reply_moves_the_cursor(pieces: list[str], width: int | None) -> None:
    out: list[str] = []
    shown = Shown(one_line(EVIL), out.append, width)
    for piece in pieces:
        shown.add(piece)
    shown.end("".join(pieces))
    assert not OBEYED.search("".join(out))


@given(st.text() | st.just(EVIL))
def test_what_is_printable(text: str) -> None:
    assert not OBEYED.search(printable(text))
    assert "\n" not in one_line(text)


def test_errors_and_log_lines_are_words() -> None:
    answer = httpx.Response(400, json={"error": {"message": EVIL}}, request=httpx.Request("GET", "http://x"))
    assert not OBEYED.search(str(refusal(answer)))
    assert not OBEYED.search(str(failure({"message": f"{EVIL}\nsecond"})))
    out = io.StringIO()
    Teller(Console(file=out, force_terminal=False)).say(f"  {EVIL}")
    assert not OBEYED.search(out.getvalue())
    assert "[/x] [link=http://e.test]name" in out.getvalue(), "brackets are text"


def test_a_choice_names_one_thing_a_line() -> None:
    items = [{"id": "1", "title": f"{EVIL}\nTwo"}, {"id": "2", "title": "Other"}]
    with pytest.raises(Exception, match="more than one") as caught:
        choice.choose("novel", items, "t", key="id", label="title")
    assert not OBEYED.search(str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_name_in_the_progress_is_text_and_a_poorer_reply_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    err = io.StringIO()
    monkeypatch.setattr(chat, "_err", Console(file=err, force_terminal=True, highlight=False, width=200))
    events = [
        frame("progress", 1, progress=70, stage="prompt", message=f"{EVIL} is thinking"),
        frame("token", 2, content=f"Hello {EVIL}"),
        frame("complete", 3, content=f"Hello {EVIL}", degraded=["SEARCH_UNAVAILABLE", "PROVIDER_FALLBACK"]),
    ]
    with broken_gateway() as gateway:
        gateway.answers["POST /api/conversations/7/messages-stream"] = [Answer(events)]
        with Gateway(gateway.url) as client:
            chat._say(client, "7", one_line(EVIL), "hi")
    shown = capsys.readouterr().out
    assert not OBEYED.search(shown)
    assert "Hello" in shown
    assert "owned" in err.getvalue()
    assert "\x1b]0" not in err.getvalue()
    assert "passages that were kept" in err.getvalue()
    assert "another one wrote this" in err.getvalue()
