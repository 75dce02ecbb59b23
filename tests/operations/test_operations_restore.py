"""A restore that is broken off leaves what was there, or is done to its end by the next start."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from services.search.stores.writes import Writes
from stack.backup import archive, unfinished, vectors
from stack.backup.manifest import LIBRARY, VECTORS, Manifest
from stack.backup.places import Places, places_of, running_url
from stack.backup.restoring import put_back
from stack.backup.unfinished import Move
from stack.cli import main
from stack.errors import StackError
from tests.operations.conftest import Gaji, made_of, nobody, rows


class Broken(Exception):  # noqa: N818 - power is cut, which is nobody's error
    pass


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with something old, and something new made ready."""
    for name in ("secrets", "postgres", "valkey"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "what").write_text("old")
    ready = unfinished.begin(tmp_path)
    for name in ("secrets", "postgres"):
        (ready / name).mkdir()
        (ready / name / "what").write_text("new")
    return tmp_path


def moves(house: Path) -> list[Move]:
    ready, aside = unfinished.staging(house), house / "before"
    named = [Move(str(ready / name), str(house / name), str(aside / name)) for name in ("secrets", "postgres")]
    return [*named, Move("", str(house / "valkey"), str(aside / "valkey"))]


def content(house: Path) -> dict[str, str]:
    return {str(path.relative_to(house)): path.read_text() for path in sorted(house.rglob("what"))}


DONE = {
    "before/postgres/what": "old",
    "before/secrets/what": "old",
    "before/valkey/what": "old",
    "postgres/what": "new",
    "secrets/what": "new",
}


def test_without_a_decision_nothing_changes(house: Path) -> None:
    before = content(house)
    assert not unfinished.finish(house)
    assert content(house) == before
    assert not unfinished.is_unfinished(house)


@pytest.mark.parametrize("step", range(6))
def test_broken_off_at_any_step_it_is_done_by_the_next(house: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished.decide(house, moves(house))
    real, done = Path.rename, [0]

    def rename(path: Path, target: Path) -> Path:
        if done[0] == step:
            raise Broken
        done[0] += 1
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        if step < 5:
            with pytest.raises(Broken):
                unfinished.finish(house)
            assert unfinished.is_unfinished(house)
        else:
            unfinished.finish(house)
    assert unfinished.finish(house) is (step < 5)
    assert content(house) == DONE
    assert not unfinished.staging(house).exists()


def test_a_database_elsewhere_that_was_left_half_way_is_told_of(house: Path) -> None:
    unfinished.database_is_next(house)
    with pytest.raises(StackError, match="do it again: gaji restore FILE --force"):
        unfinished.finish(house)


def test_a_database_that_was_left_half_way_stays_so_until_a_restore_ends(house: Path) -> None:
    unfinished.database_is_next(house)
    unfinished.begin(house)
    assert unfinished.is_unfinished(house)


def test_up_says_what_a_broken_restore_needs(house: Path, gaji: Gaji) -> None:
    unfinished.database_is_next(house)
    done = gaji("up", "--data-dir", house, "--port", "0")
    assert done.returncode == 1
    assert "was broken off while it changed the database" in done.stderr


def test_search_waits_with_writing_while_it_is_copied(store: Path) -> None:
    writes, written = Writes(store), threading.Event()

    def write() -> None:
        with writes.one():
            written.set()

    thread = threading.Thread(target=write)
    with vectors.held_still(store):
        thread.start()
        assert not written.wait(0.1)
    thread.join()
    assert written.is_set()
    with writes.one(), pytest.raises(StackError, match="search has been writing"):
        with vectors.held_still(store, patience=0.05):
            pass
    writes.close()


def test_a_copy_of_a_store_that_changes_is_taken_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = shutil.copytree
    tries = [0]

    def changing(limit: int) -> Callable[..., Path]:
        def copytree(source: Any, *arguments: Any, **options: Any) -> Path:
            made: Path = real(source, *arguments, **options)
            tries[0] += source == store  # it calls itself for what is inside
            if source == store and tries[0] <= limit:
                with closing(sqlite3.connect(store / vectors.DATABASE)) as database, database:
                    database.execute("INSERT INTO rows VALUES ('more')")
            return made

        return copytree

    monkeypatch.setattr(shutil, "copytree", changing(2))
    vectors.copy(store, tmp_path / "copy")
    assert tries == [3]
    vectors.check(tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / vectors.DATABASE)) as copied:
        assert copied.execute("SELECT count(*) FROM rows").fetchone() == (3,)
    monkeypatch.setattr(shutil, "copytree", changing(99))
    with pytest.raises(StackError, match="has changed with each try"):
        vectors.copy(store, tmp_path / "other")


def test_a_copy_that_cannot_be_read_is_found(store: Path) -> None:
    (store / vectors.DATABASE).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(StackError, match="the copy of the vector store is damaged"):
        vectors.check(store)


def kept_aside(data_dir: Path) -> list[Path]:
    return list(data_dir.glob("before-restore-*/*"))


async def test_a_database_of_ones_own_is_replaced_whole(
    own_database: Places, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.tar.zst"
    made = await made_of(own_database, file)
    assert dict(made.counts) == {"users": 1, "novels": 1, "scenarios": 0, "conversations": 0, "messages": 0}
    await rows(postgres_url, "DELETE FROM novels RETURNING 1")
    await rows(postgres_url, "INSERT INTO users (user_id, display_name) VALUES (gen_random_uuid(), 'late') RETURNING 1")
    with pytest.raises(StackError, match="GAJI_DATABASE_URL names would be replaced"):
        await put_back(replace(own_database, vectors=tmp_path / "none"), file, force=False, told=nobody, moved=nobody)
    with_redis = replace(own_database, redis=redis_url)
    async with Redis.from_url(redis_url) as client:
        await client.set("gaji:cache:1", "old")
        await client.set("another", "kept")
        await put_back(with_redis, file, force=True, told=nobody, moved=nobody)
        assert await client.keys("*") == [b"another"]
    assert await rows(postgres_url, "SELECT display_name FROM users") == ["Ada; DROP TABLE users; --"]
    assert await rows(postgres_url, "SELECT status FROM novels") == ["complete"]
    assert (tmp_path / "chroma" / "segment" / "data.bin").read_bytes() == b"vectors"
    assert not unfinished.staging(tmp_path).exists()


async def test_without_vectors_novels_are_read_anew(own_database: Places, postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.zst"
    made = await made_of(own_database, file, with_vectors=False)
    assert not any(name.startswith(VECTORS) for name in made.files)
    await put_back(own_database, file, force=True, told=nobody, moved=nobody)
    assert await rows(postgres_url, "SELECT status FROM novels") == ["pending"]
    assert not (tmp_path / "chroma").exists()
    assert [path.name for path in kept_aside(tmp_path)] == ["chroma"]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"schema": "9999"}, "is of revision 9999"), ({"chroma": "99.1.0"}, "are of Chroma 99.1.0")],
)
async def test_a_backup_of_a_later_release_is_refused(
    own_database: Places, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / LIBRARY).write_text("")
    made = Manifest(datetime.now(UTC), "9.0", "0007", "18.6", "", False, {}, archive.parts_in(folder))
    archive.pack(folder, replace(made, **change), tmp_path / "b.tar.zst", nobody)  # type: ignore[arg-type]  # named
    with pytest.raises(StackError, match=words):
        await put_back(own_database, tmp_path / "b.tar.zst", force=True, told=nobody, moved=nobody)


def test_a_stack_on_a_database_of_its_own_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="set GAJI_DATABASE_URL as it has"):
        places_of(tmp_path, {}, {"services": {"valkey": []}})
    state = {"services": {"postgres": [{"url": "postgresql://127.0.0.1:5/gaji"}], "valkey": []}}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "postgres-password").write_text("a/b")
    places = places_of(tmp_path, {"GAJI_DATABASE_URL": "postgresql://elsewhere/x"}, state)
    assert running_url(places, state) == "postgresql://gaji:a%2Fb@127.0.0.1:5/gaji"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backup", "{folder}/none/b.tar.zst"), "there is no folder"),
        (("backup", "{folder}/here.tar.zst"), "is there already; name another file, or say --force"),
        (("backup", "{folder}/new.tar.zst", "--data-dir", "{folder}"), "there is no stack in"),
        (("restore", "{folder}"), "there is no gaji-*.tar.zst in"),
        (("restore", "{folder}/here.tar.zst", "--verify"), "is no backup, or is damaged"),
    ],
    ids=["folder", "there", "nothing", "none", "foreign"],
)
def test_mistakes_are_said_in_a_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "here.tar.zst").write_text("mine")
    done = CliRunner().invoke(main, [argument.format(folder=tmp_path) for argument in arguments])
    assert done.exit_code == 1
    assert words in done.stderr
    assert (tmp_path / "here.tar.zst").read_text() == "mine"
