"""Rotations: no valid token is refused at any moment, and none is taken for ever."""

import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner

from mesh.errors import Unauthenticated
from mesh.identity import TokenVerifier
from mesh.keys import parse_key_set, pem_key, thumbprint
from services.library.domain.tokens import parse_private_key
from stack.cli import main
from stack.errors import StackError
from stack.key_ring import Times, held, rotate
from stack.keys import KeyFiles, files_in, key_files
from tests.fixtures.forged import claims

TIMES = Times(settle=7, token=900)


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return key_files(tmp_path / "secrets")


def token(files: KeyFiles) -> str:
    """A token of the key that signs now, as library makes it."""
    key = parse_private_key(files.private.read_bytes())
    return jwt.encode(claims(), key, algorithm="EdDSA", headers={"kid": thumbprint(key.public_key())})


def takes(files: KeyFiles, *tokens: str) -> bool:
    """Whether a verifier that has read the file takes the tokens."""
    verifier = TokenVerifier(None)
    verifier.replace(parse_key_set(files.keys.read_bytes()))
    try:
        return bool([verifier.verify(each) for each in tokens])
    except Unauthenticated:
        return False


def states(files: KeyFiles, now: float = 0) -> list[str]:
    return [entry.state for entry in held(files, now or time.time())]


def nothing(_: float) -> None:
    """Waits for nothing."""


def test_keys_are_made_once_and_for_this_user_alone(files: KeyFiles) -> None:
    assert states(files) == ["signs"]
    assert takes(files, token(files))
    before = [path.read_bytes() for path in files[:3]]
    assert [path.read_bytes() for path in key_files(files.private.parent)[:3]] == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in files[:3])
    assert b"PRIVATE" not in files.keys.read_bytes() + files.public.read_bytes()


def test_a_folder_of_the_release_before_gets_a_set(files: KeyFiles) -> None:
    made = token(files)
    files.keys.unlink()
    key_files(files.private.parent)
    assert takes(files, made)


def test_no_token_is_refused_while_files_propagate(files: KeyFiles) -> None:
    old = token(files)
    late = TokenVerifier(None)  # a process that reads the file no sooner than it must
    seen: list[float] = []

    def settle(seconds: float) -> None:
        seen.append(seconds)
        assert states(files) == ["signs", "published"]
        assert takes(files, old, token(files)), "the old key signs, both are published"
        late.replace(parse_key_set(files.keys.read_bytes()))

    rotate(files, TIMES, sleep=settle)
    assert seen == [7]
    new = token(files)
    assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
    assert late.verify(new).token == new, "it was told in time"
    assert takes(files, old, new)
    assert states(files) == ["signs", "retired"]
    assert pem_key(files.public.read_bytes()).key_id == jwt.get_unverified_header(new)["kid"]
    assert not files.coming.exists()


def test_the_old_key_ends_with_the_last_of_its_tokens_and_is_dropped(files: KeyFiles) -> None:
    began = time.time()
    _, old = rotate(files, TIMES, sleep=nothing)
    assert 907 <= old.expires_at - began <= 930
    assert states(files, old.expires_at - 1) == ["signs", "retired"]
    assert states(files, old.expires_at + 1) == ["signs"]
    rotate(files, TIMES, sleep=nothing, now=lambda: old.expires_at + 1)
    assert old.key_id not in parse_key_set(files.keys.read_bytes())
    assert len(parse_key_set(files.keys.read_bytes())) == 2


class CutError(Exception):
    """The process ended here."""


def test_a_rotation_that_was_broken_off_is_finished_by_the_next(files: KeyFiles) -> None:
    def cut(_: float) -> None:
        raise CutError

    old = token(files)
    with pytest.raises(CutError):
        rotate(files, TIMES, sleep=cut)
    coming = next(entry.key.key_id for entry in held(files, time.time()) if entry.state == "published")
    assert takes(files, old, token(files))
    assert rotate(files, TIMES, sleep=nothing)[0].key_id == coming
    assert takes(files, old, token(files))
    assert states(files) == ["signs", "retired"]


def test_cut_off_after_the_switch_the_old_key_still_gets_its_end(files: KeyFiles) -> None:
    old = token(files)

    def switch_and_cut(_: float) -> None:
        files.coming.replace(files.private)
        raise CutError

    with pytest.raises(CutError):
        rotate(files, TIMES, sleep=switch_and_cut)
    assert takes(files, old, token(files))
    rotate(files, TIMES, sleep=nothing)
    assert takes(files, old, token(files))
    ends = [entry.key.expires_at for entry in held(files, time.time()) if entry.state == "retired"]
    assert len(ends) == 2
    assert max(ends) < time.time() + 1000


def test_one_rotation_at_a_time(files: KeyFiles) -> None:
    def again(_: float) -> None:
        with pytest.raises(StackError, match="under way"):
            rotate(files, TIMES, sleep=nothing)

    rotate(files, TIMES, sleep=again)
    assert states(files) == ["signs", "retired"]


@pytest.mark.parametrize(
    "do", [lambda files: held(files, 0), lambda files: rotate(files, TIMES)], ids=["list", "rotate"]
)
def test_where_no_keys_are_it_says_what_to_do(tmp_path: Path, do: Callable[[KeyFiles], object]) -> None:
    with pytest.raises(StackError, match="no keys"):
        do(files_in(tmp_path))


def test_the_commands_say_what_they_do(files: KeyFiles) -> None:
    data_dir = str(files.private.parents[1])
    first = CliRunner().invoke(main, ["keys", "list", "--data-dir", data_dir]).output.split()
    assert first[1:] == ["signs"]
    done = CliRunner().invoke(main, ["keys", "rotate", "--poll-seconds", "0.01", "--data-dir", data_dir])
    assert done.exit_code == 0, done.output
    listed = CliRunner().invoke(main, ["keys", "list", "--data-dir", data_dir]).output
    assert listed.splitlines()[1].startswith(f"{first[0]}  retired  until ")
    assert listed in done.output
    nowhere = CliRunner().invoke(main, ["keys", "list", "--data-dir", f"{data_dir}/nowhere"])
    assert (nowhere.exit_code, "gaji up" in nowhere.output) == (1, True)
