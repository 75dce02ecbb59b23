import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import pages
from mesh.errors import InvalidArgument
from mesh.validation import Violations


def fields_of(check: Violations) -> dict[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        check.raise_if_any()
    assert caught.value.reason == "INVALID_FIELD"
    return caught.value.fields


def test_all_that_is_wrong_is_said_at_once() -> None:
    check = Violations()
    check.uuid("novel_id", "")
    check.text("query", "  ", 1, 10)
    check.range("top_k", 0, 1, 50)
    check.request_id("request_id", "white space")
    assert fields_of(check) == {
        "novel_id": "is missing; give a UUID",
        "query": "is empty; give some text",
        "top_k": "is 0; give a number from 1 to 50",
        "request_id": "may only hold 1 to 128 letters, digits, '-', '_', '.' or ':'",
    }


@pytest.mark.parametrize(
    "value", ["x", "0B8F4A52-6C1D-4A7E-9B57-0D3C8A1F2E64", "{0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64}", "é" * 36]
)
def test_only_canonical_uuids_pass(value: str) -> None:
    check = Violations()
    check.uuid("novel_id", value)
    assert "is not a UUID" in fields_of(check)["novel_id"]


def test_too_long_text_and_nul() -> None:
    check = Violations()
    check.text("query", "x" * 11, 1, 10)
    check.text("title", "a\0b", 1, 10)
    assert fields_of(check) == {
        "query": "has 11 characters; give at most 10",
        "title": "holds a NUL character; remove it",
    }


def test_good_values_pass() -> None:
    check = Violations()
    check.uuid("novel_id", "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64")
    check.text("query", "x", 1, 10)
    check.range("top_k", 50, 1, 50)
    check.request_id("request_id", "")
    check.request_id("request_id", "a:b-c_d.9")
    assert pages.page_size(check, 0) == pages.DEFAULT_SIZE
    assert pages.page_size(check, 7) == 7
    check.raise_if_any()


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_page_tokens_come_back(parts: list[str]) -> None:
    check = Violations()
    assert pages.decode_token(check, pages.encode_token(*parts), len(parts)) == tuple(parts)
    check.raise_if_any()


@given(st.text(min_size=1))
def test_a_token_that_is_none_of_ours_is_a_violation(token: str) -> None:
    check = Violations()
    if pages.decode_token(check, token, 2) is None:
        assert "page_token" in fields_of(check)


@pytest.mark.parametrize("text", [b"[" * 20_000, b"[" * 20_000 + b"]" * 20_000, b'{"a":' * 20_000, b"1" * 20_000])
def test_a_page_token_of_any_depth_is_refused(text: bytes) -> None:
    check = Violations()
    assert pages.decode_token(check, base64.urlsafe_b64encode(text).decode(), 2) is None
    assert "is not a token" in fields_of(check)["page_token"]
