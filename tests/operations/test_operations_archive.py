"""The file of a backup: what is damaged, foreign or of a later release is refused in words."""

import io
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.backup import archive
from stack.backup.manifest import FORMAT, NAME, Manifest
from stack.errors import StackError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def nobody(_count: int) -> None:
    pass


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    (folder / "vectors" / "segment").mkdir(parents=True)
    (folder / "library.sql").write_text("SELECT 1;\n" * 10_000)
    (folder / "vectors" / "segment" / "data.bin").write_bytes(bytes(range(256)) * 4096)
    (folder / "empty").touch()
    return folder


@pytest.fixture
def manifest(parts: Path) -> Manifest:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Manifest(made, "0.1.0", "0007", "18.6", "1.5.9", True, {"users": 2}, archive.parts_in(parts))


def test_what_was_packed_is_unpacked(parts: Path, manifest: Manifest, tmp_path: Path) -> None:
    file, out = tmp_path / "b.tar.zst", tmp_path / "out"
    counted: list[int] = []
    archive.pack(parts, manifest, file, counted.append)
    assert sum(counted) == manifest.size
    assert archive.read_manifest(file) == archive.verify(file, nobody) == manifest
    out.mkdir()
    assert archive.unpack(file, out, nobody) == manifest
    assert archive.parts_in(out) == manifest.files
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


def test_it_is_a_tar_for_everybody(parts: Path, manifest: Manifest, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.zst"
    archive.pack(parts, manifest, file, nobody)
    with tarfile.open(fileobj=io.BytesIO(zstd.decompress(file.read_bytes()))) as tar:
        assert tar.getnames() == [NAME, *manifest.files]


@pytest.mark.parametrize("where", [0.01, 0.5, 0.99])
def test_damage_is_found(parts: Path, manifest: Manifest, tmp_path: Path, where: float) -> None:
    file = tmp_path / "b.tar.zst"
    archive.pack(parts, manifest, file, nobody)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * where)])
    with pytest.raises(StackError, match="is no backup, or is damaged"):
        archive.verify(file, nobody)
    flipped = bytearray(whole)
    flipped[int(len(whole) * where)] ^= 0xFF
    file.write_bytes(flipped)
    with pytest.raises(StackError, match="is no backup, or is damaged"):
        archive.verify(file, nobody)


def packed(file: Path, members: dict[str, bytes]) -> Path:
    """A file made by somebody else."""
    with zstd.ZstdFile(file, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head: {"library.sql": b"x"}, "does not begin with a manifest"),
        (lambda head: {NAME: head}, "library.sql is missing"),
        (lambda head: {NAME: b"[]"}, "no manifest"),
        (lambda head: {NAME: head, "library.sql": b"other"}, "library.sql has changed"),
        (lambda head: {NAME: head, "library.sql": b"longer"}, "library.sql is not what the manifest says"),
        (lambda head: {NAME: head, "passwd": b"words"}, "passwd is not what the manifest says"),
        (lambda head: {NAME: head.replace(b"library.sql", b"../evil.sql"), "../evil.sql": b"words"}, "leads out"),
        (lambda head: {NAME: head.replace(b"library.sql", b"/evil.files"), "/evil.files": b"words"}, "leads out"),
    ],
)
def test_a_forged_file_is_refused(
    tmp_path: Path, manifest: Manifest, change: Callable[[bytes], dict[str, bytes]], words: str
) -> None:
    parts, out = tmp_path / "forged", tmp_path / "out"
    parts.mkdir()
    out.mkdir()
    (parts / "library.sql").write_bytes(b"words")
    head = replace(manifest, files=archive.parts_in(parts)).to_json()
    with pytest.raises(StackError, match=words):
        archive.unpack(packed(tmp_path / "b.tar.zst", change(head)), out, nobody)
    assert not (tmp_path / "evil.sql").exists()


def test_what_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Chapter 1")
    with pytest.raises(StackError, match="is no backup, or is damaged"):
        archive.read_manifest(tmp_path / "novel.txt")
    with pytest.raises(StackError, match=r"there is no .*; name the file"):
        archive.read_manifest(tmp_path / "nowhere")


def test_a_later_format_names_the_release_that_made_it(manifest: Manifest, tmp_path: Path) -> None:
    head = manifest.to_json().replace(f'"format": {FORMAT}'.encode(), f'"format": {FORMAT + 1}'.encode())
    with pytest.raises(StackError, match=r"install the release that made it, 0\.1\.0"):
        archive.read_manifest(packed(tmp_path / "b.tar.zst", {NAME: head}))
