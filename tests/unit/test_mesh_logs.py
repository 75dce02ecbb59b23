"""What of other libraries' lines reaches the log."""

import io
import logging

import orjson
import pytest

from mesh.telemetry.logs import configure

_GRPC = "grpc._cython.cygrpc"


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    root = logging.getLogger()
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging, "captureWarnings", lambda *, capture: None)
    configure("library", "INFO")
    return stream


def test_an_answer_that_nobody_takes_is_no_error(output: io.StringIO) -> None:
    grpc = logging.getLogger(_GRPC)
    grpc.error("ExecuteBatchError raised in core by servicer method [/gaji/Get]")
    grpc.error("something else")
    assert [orjson.loads(line)["message"] for line in output.getvalue().splitlines()] == ["something else"]
