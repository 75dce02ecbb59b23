"""Text without what is not text, and logs that no text can break."""

import json
import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import plain_text
from mesh.telemetry.logs import JsonFormatter

NASTY = [
    *("\x1b[31m", "\x1b]0;owned\x07", "\x9b2J", "\u202egnp.exe", "\u2066", "a\u200bb", "\ufeff", "\U000e0041"),
    *("\r\n", "\x85", "\u2028", "\x0b", "\ud800", "\u2060", "\x7f"),
]
texts = st.one_of(st.text(), st.text(st.characters()), st.lists(st.sampled_from(NASTY)).map("".join))
logged = st.text() | st.lists(st.sampled_from([*NASTY, '"', "\\n"])).map("".join)


@given(texts)
def test_what_is_left_is_text(value: str) -> None:
    left = plain_text.text(value)
    assert not [c for c in left if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} and c not in "\0\n\t"]
    assert plain_text.text(left) == left
    assert [c for c in left if not c.isspace()] == [c for c in value if not c.isspace() and c in left], (
        "what is kept is kept in its order"
    )


@given(texts)
def test_a_line_is_one_line(value: str) -> None:
    line = plain_text.line(value)
    assert line.splitlines() in ([], [line])
    assert line == line.strip()


@given(texts)
def test_a_piece_holds_no_controls(value: str) -> None:
    assert not [c for c in plain_text.piece(value) if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]


@pytest.mark.parametrize(
    "value",
    [
        "Ein Sátz. Zwei!",
        "그녀는 편지를 읽었다",
        "\u0645\u06cc\u200c\u062e",
        "👩\u200d👩\u200d👧 ❤\ufe0f",
        "שלום",
        "a\tb\n\nc",
        "x²\uff1cy",
    ],
)
def test_the_text_of_people_stays(value: str) -> None:
    assert plain_text.text(value) == plain_text.piece(value) == value


def test_what_hides_or_moves_is_gone() -> None:
    assert (
        plain_text.line("A\u202e\u2066 \x1b]0;x\x07name\u200b\r\nand\u2028more\U000e0041\ud800")
        == "A ]0;xname and more"
    )
    assert plain_text.text("one\r\ntwo\rthree\x85four\x0bfive") == "one\ntwo\nthree\nfour\nfive"


@given(logged, logged)
def test_no_text_breaks_out_of_its_log_line(message: str, fact: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s", (message,), None)
    record.fact = fact
    line = JsonFormatter("test").format(record)
    assert "\n" not in line
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Zl", "Zp"}]
    read = json.loads(line)
    assert (read["message"], read["fact"]) == (message, fact)
