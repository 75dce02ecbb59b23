"""What `gaji ingest` shows, and what it takes for a novel."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from stack.commands.ingest import About, Display
from stack.commands.sources import Source, sources_of
from stack.errors import StackError


def shown(*told: tuple[int, str, str, int | None], terminal: bool, several: bool = False) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    with Display(console, several=several) as show:
        tell = show(Source("a.epub"))
        for one in told:
            tell(*one)
    return out.getvalue()


def test_a_terminal_has_a_bar_with_what_is_left() -> None:
    all_ = shown((0, "sending", "sending", None), (40, "embedding", "Read 4 of 10", 65), terminal=True)
    last = all_[all_.rindex("Read 4 of 10") :].splitlines()[0]
    assert "40 %" in last
    assert last.rstrip().endswith("1:05 left")
    assert "a.epub: Read 4 of 10" in shown((40, "embedding", "Read 4 of 10", None), terminal=True, several=True)


def test_a_pipe_has_lines_when_something_changes() -> None:
    told = [(n, "embedding", f"Read {n}", 60 - n) for n in range(10, 31)]
    assert shown((0, "sending", "sending", None), *told, (99, "storing", "", None), terminal=False).splitlines() == [
        " 10 %  Read 10, 0:50 left",
        " 20 %  Read 20, 0:40 left",
        " 30 %  Read 30, 0:30 left",
        " 99 %  storing",
    ]


def test_sources_are_files_folders_and_addresses_each_once(tmp_path: Path) -> None:
    for name in ("b.TXT", "a.epub", "c.pdf", ".d.txt", "sub/e.md", ".git/f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = sources_of([str(tmp_path), str(tmp_path / "a.epub"), "https://example.org/x", "-"])
    names = [source.name.removeprefix(f"{tmp_path}/") for source in found]
    assert names == ["a.epub", "b.TXT", "sub/e.md", "https://example.org/x", "standard input"]
    assert found[0].read() == ("a.epub", b"x")
    with pytest.raises(FileNotFoundError):
        sources_of([str(tmp_path / "nothing")])
    with pytest.raises(StackError, match=r"holds no text"):
        (tmp_path / "b.TXT").write_text(" \n")
        found[1].read()


def test_only_what_is_said_is_sent() -> None:
    assert About().fields("a.txt") == {"file_name": "a.txt"}
    assert About("T", "A", "en", "public").fields("") == {
        "title": "T",
        "author": "A",
        "language": "en",
        "visibility": "VISIBILITY_PUBLIC",
    }
