"""Whatever is asked of the web app, the answer is a file that was read at start, or nothing; and no route is hidden."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import EdgeError
from gateway.static import Form
from gateway.web import WebApp
from tests.hostile.test_hostile_fuzz import ROUTER, fuzzed, hostile_text, outcome_of, segments

pytestmark = pytest.mark.timeout(3000)  # as many cases as are asked for

PAGE = Form("", b"<!doctype html>", '"page"')
FORMS = (Form("br", b"1", '"1"'), Form("gzip", b"22", '"2"'), Form("", b"333", '"3"'))
APP = WebApp({"index.html": (PAGE,), "assets/index-a_b-C.js": FORMS, "favicon.svg": (Form("", b"<svg/>", '"4"'),)})
FILES = {"/assets/index-a_b-C.js", "/favicon.svg"}
own = st.sampled_from(
    ["assets", "index-a_b-C.js", "favicon.svg", "index.html", "novels", "conversations", "", "..", "."]
)


@fuzzed
@given(st.lists(st.one_of(segments, own), max_size=5))
def test_a_path_finds_a_page_or_a_file_that_was_read(parts: list[str]) -> None:
    raw = "/" + "/".join(parts)
    found = APP.find(raw)
    if found is None:
        assert raw not in FILES | {"/"}
        return
    if found.forms == (PAGE,):
        assert re.fullmatch(r"[A-Za-z0-9_/-]+", raw)
    else:
        assert raw in FILES
    assert isinstance(outcome_of(lambda: ROUTER.match("GET", raw)), EdgeError)


@fuzzed
@given(st.one_of(hostile_text, st.text("brgzip*;q=0.1, \t", max_size=40)))
def test_a_coding_is_used_where_it_was_named(header: str) -> None:
    found = APP.find("/assets/index-a_b-C.js")
    assert found is not None
    form = found.form_for(header)
    assert form in FORMS
    assert not form.coding or form.coding in header.lower() or "*" in header
