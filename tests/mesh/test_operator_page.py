"""Who may set what over the admin port."""

import io
from typing import Any

import pytest

from mesh.operator_page import operator_page

_BODY = b'{"on": 1}'


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("127.0.0.1", "200 OK"),
        ("::1", "200 OK"),
        ("::ffff:127.0.0.1", "200 OK"),
        ("10.7.0.3", "403 Forbidden"),
        ("", "403 Forbidden"),
    ],
)
def test_only_this_machine_sets_anything(address: str, status: str) -> None:
    changed: list[Any] = []

    def change(values: Any) -> dict[str, Any]:
        changed.append(values)
        return {}

    look: Any = dict
    set_: Any = change
    page = operator_page(look, set_, what="switches", command="gaji", example="{}")
    told: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "REMOTE_ADDR": address,
        "HTTP_HOST": "127.0.0.1:9100",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(_BODY)),
        "wsgi.input": io.BytesIO(_BODY),
    }
    page(environ, lambda line, _headers: told.append(line))
    assert told == [status]
    assert changed == ([{"on": 1}] if status == "200 OK" else [])
    page({**environ, "REQUEST_METHOD": "GET"}, lambda line, _headers: told.append(line))
    assert told[1] == "200 OK"  # who looks may be anybody that the port lets in
