"""Words on a terminal: lines broken between words, whatever pieces they come in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from stack.children import children_of, place
from stack.commands.teller import Teller
from stack.commands.text import Flow, command, counted
from stack.ports import Ports
from stack.supervisor import Child


def flowed(pieces: list[str], width: int | None) -> str:
    shown: list[str] = []
    flow = Flow(shown.append, width)
    for piece in pieces:
        flow.add(piece)
    flow.end_word()
    return "".join(shown)


@pytest.mark.parametrize(
    ("pieces", "width", "expected"),
    [
        (["The lamp", "lighter climbs", " the hill"], 16, "The lamplighter\nclimbs the hill"),
        (["one\n\ntwo three"], 8, "one\n\ntwo\nthree"),
        (["exactly ten or more"], 11, "exactly ten\nor more"),
        (["exactly ten"], None, "exactly ten"),
        (["등대지기가 언덕을", " 오른다"], 12, "등대지기가\n언덕을\n오른다"),
        (["灯台守は丘を", "登る"], 8, "灯台守は丘を登る"),
    ],
    ids=["words", "paragraphs", "exact", "pipe", "wide", "no spaces"],
)
def test_lines_break_between_words(pieces: list[str], width: int | None, expected: str) -> None:
    assert flowed(pieces, width) == expected
    assert flowed(list("".join(pieces)), width) == expected


def test_one_is_no_plural() -> None:
    assert (counted(1, "chapter"), counted(0, "passage")) == ("1 chapter", "0 passages")


def test_a_command_is_told_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "gaji"
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert command("chat", "--data-dir", "my data") == f"{program} chat --data-dir 'my data'"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command("chat") == "gaji chat"


def test_a_services_last_words_are_told_without_their_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [child, *_] = children_of(place(Ports(), 0, {})[0], {}, tmp_path)
    line = json.dumps({"level": "ERROR", "message": "cannot go on", "exception": "Traceback ...\nOSError: no disk\n"})
    died(child, f"{child.service} ended with code 1", line)
    assert capsys.readouterr().out.splitlines()[1:] == ["      cannot go on: OSError: no disk"]
    died(child, f"{child.service} cannot start: no disk", line)
    assert len(capsys.readouterr().out.splitlines()) == 1


def died(child: Child, why: str, line: str) -> None:
    Teller(Console(width=200)).died(child, why, [line], 0.2)


def test_services_import_nothing_from_where_people_stand(tmp_path: Path) -> None:
    """A clone is usually called gaji, as is a package of ours."""
    (tmp_path / "gaji" / "cache").mkdir(parents=True)
    (tmp_path / "mesh.py").write_text("raise SystemExit('not ours')")
    [child, *_] = children_of(place(Ports(), 0, {})[0], {}, tmp_path)
    python = child.program.argv[: child.program.argv.index("-m")]
    code = "import mesh, gaji.cache.v1.cache_service_pb2"
    subprocess.run([*python, "-c", code], cwd=tmp_path, check=True)  # noqa: S603 - our own command
