"""What of other libraries' lines reaches the log."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mesh.telemetry.logs import configure, log_texts

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "logs.schema.json"
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


SECRETS = [
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "Bearer 0123456789abcdef",
    "postgresql://gaji:s3cr3t-pw@127.0.0.1/gaji",
    "AIzaSyA" + "x" * 32,
    "sk-proj-" + "y" * 24,
    "redis+sentinel://10.0.0.1/gaji/0?sentinel_password=s3cr3t-pw&x=1",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_not_written(output: io.StringIO, secret: str) -> None:
    log = logging.getLogger("mesh.test")
    log.warning("it said %s to us", secret, extra={"error": f"in {secret}."})
    log.error("broke", exc_info=ValueError(secret))
    text = output.getvalue()
    hidden = secret.partition("Bearer ")[2] or ("s3cr3t-pw" if "s3cr3t" in secret else secret)
    assert hidden not in text
    assert text.count("[secret]") >= 3
    assert [orjson.loads(line)["level"] for line in text.splitlines()] == ["WARNING", "ERROR"]


class RowError(Exception):
    """As asyncpg tells of one."""

    detail = "Failing row contains (7, The lamp is out,\n\nsaid Ines)."

    def __str__(self) -> str:
        return f"new row violates a constraint\nDETAIL:  {self.detail}"


def test_rows_of_the_database_are_not_written(output: io.StringIO) -> None:
    log = logging.getLogger("mesh.test")
    error = RuntimeError("a call has failed")
    error.__cause__ = ExceptionGroup("several", [RowError()])
    log.error("broke", exc_info=error, extra={"error": str(RowError())})
    (line,) = output.getvalue().splitlines()
    assert "lamp" not in line
    assert "Ines" not in line
    assert orjson.loads(line)["error"] == "new row violates a constraint"
    assert "new row violates a constraint" in orjson.loads(line)["exception"]


def test_texts_are_written_when_that_is_switched_on(output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("mesh.test")
    log_texts(log, "a search", query="a bell")
    assert output.getvalue() == ""
    monkeypatch.setattr(logging.getLogger("mesh"), "level", logging.getLogger("mesh").level)
    configure("library", "DEBUG", texts=True)
    handler: Any = logging.getLogger().handlers[0]
    handler.setStream(output)
    log_texts(log, "a search", query="a bell")
    configure("library", "INFO")
    assert [orjson.loads(line)["query"] for line in output.getvalue().splitlines()] == ["a bell"]


def test_every_field_in_the_code_is_declared() -> None:
    known = set(json.loads(SCHEMA.read_text())["properties"])
    used = {name for path in _sources() for name in _fields(ast.parse(path.read_text()))}
    assert len(used) > 40
    assert used <= known, f"say in docs/logs.schema.json what they are: {sorted(used - known)}"
    listed = SCHEMA.with_name("logs.md").read_text().splitlines()
    table = {line.split("`")[1] for line in listed if line.startswith("| `")}
    assert table == known


def _sources() -> Iterator[Path]:
    for package in ("mesh", "gateway", "services"):
        yield from (path for path in (ROOT / package).rglob("*.py") if "get_logger" in path.read_text())


def _fields(tree: ast.AST) -> Iterator[str]:
    """The keys of dictionaries that are handed to a logger as ``extra``, or are made for that."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    extras = [word.value for call in calls for word in call.keywords if word.arg == "extra"]
    names = {node.id for extra in extras for node in ast.walk(extra) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and target.id in names:
            extras += [node.value] if isinstance(node.value, ast.Dict) else []
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            yield from [str(target.slice.value)] if getattr(target.value, "id", "") in names else []
    for extra in extras:
        for node in ast.walk(extra):
            if isinstance(node, ast.Dict):
                yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))
