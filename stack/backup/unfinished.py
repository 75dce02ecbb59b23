"""A restore's last step, which is taken whole however often it is broken off.

What is restored is made ready in ``DIR/restore.new``. Then it is decided: a list of moves is written there, each done
by renaming and each to be done again without harm, and a start that finds the list does the rest. Without the list
nothing has changed, and what lies there is rubbish.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stack.embedded.account import write_private
from stack.errors import StackError

_FOLDER = "restore.new"
_LIST = "moves.json"
_BEGUN = "database"


@dataclass(frozen=True, slots=True)
class Move:
    """Something takes a place.

    Attributes:
        new: what does; empty: nothing, the place is only cleared.
        place: where.
        aside: where goes what is there.
    """

    new: str
    place: str
    aside: str


def staging(data_dir: Path) -> Path:
    """Where a restore makes ready."""
    return data_dir / _FOLDER


def begin(data_dir: Path) -> Path:
    """An empty folder to make ready in.

    Raises:
        StackError: it can't be made.
    """
    folder = staging(data_dir)
    begun = (folder / _BEGUN).exists()
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        if begun:  # by one that was broken off, and is not made good yet
            database_is_next(data_dir)
    except OSError as error:
        raise StackError(f"{folder} can't be made ({error.strerror})", "make room, or become who owns it") from None
    return folder


def database_is_next(data_dir: Path) -> None:
    """From now on a database elsewhere may have changed, and the rest has not."""
    write_private(staging(data_dir) / _BEGUN, "")


def database_is_as_before(data_dir: Path) -> None:
    """It was not changed after all."""
    (staging(data_dir) / _BEGUN).unlink(missing_ok=True)


def decide(data_dir: Path, moves: Sequence[Move]) -> None:
    """From now on the restore is made, though not all of it may be in its place."""
    write_private(staging(data_dir) / _LIST, json.dumps([asdict(move) for move in moves], indent=2) + "\n")


def is_decided(data_dir: Path) -> bool:
    """Whether a restore was broken off after its decision."""
    return (staging(data_dir) / _LIST).exists()


def finish(data_dir: Path) -> bool:
    """Does what was decided and not done; whether there was anything.

    Raises:
        StackError: a restore was broken off that only itself can end.
        OSError: something can't be moved.
    """
    folder = staging(data_dir)
    if not is_decided(data_dir):
        if (folder / _BEGUN).exists():
            raise StackError(
                f"a restore on {data_dir} was broken off while it changed the database that GAJI_DATABASE_URL names",
                "do it again: gaji restore FILE --force",
            )
        return False
    for move in json.loads((folder / _LIST).read_text(encoding="utf-8")):
        _do(Move(**move))
    (folder / _LIST).unlink()
    shutil.rmtree(folder, ignore_errors=True)
    return True


def is_unfinished(data_dir: Path) -> bool:
    """Whether a restore was broken off after its decision, or while it changed a database elsewhere."""
    return is_decided(data_dir) or (staging(data_dir) / _BEGUN).exists()


def _do(move: Move) -> None:
    new, place, aside = Path(move.new), Path(move.place), Path(move.aside)
    ready = bool(move.new) and new.exists()
    if place.exists() and (ready or not move.new):
        aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.rename(aside)
    if ready:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.rename(place)
