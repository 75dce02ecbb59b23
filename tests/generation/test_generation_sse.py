from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.providers.sse import EventData


def read(*parts: bytes) -> list[str]:
    events = EventData()
    return [data.decode() for part in parts for data in events.feed(part)]


STREAM = (
    "\ufeff: a comment\r\n\r\nevent: x\rdata: one\r\rdata: two\ndata:three\nid: 4\n\n"
    'data: {"text":"\u2028 안녕 \x85"}\r\n\r\ndata\n\ndata: never ended'
).encode()
EVENTS = ["one", "two\nthree", '{"text":"\u2028 안녕 \x85"}', ""]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30).map(sorted))
def test_events_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        read(b"data: ", *[b"x" * 300_000] * 5)


def test_an_event_of_endless_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        read(*[b"data: " + b"x" * 300_000 + b"\n"] * 5)


PLAIN = b'data: {"a":1}\n\ndata: {"b":"\xc2\x85"}\n\n'


@given(st.lists(st.integers(0, 3 * len(PLAIN)), max_size=12).map(sorted))
def test_events_of_one_line_do_not_depend_on_it_either(cuts: list[int]) -> None:
    edges = [0, *cuts, 3 * len(PLAIN)]
    assert read(*((3 * PLAIN)[a:b] for a, b in pairwise(edges))) == 3 * ['{"a":1}', '{"b":"\x85"}']
