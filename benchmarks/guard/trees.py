"""The source tree that this one is compared with."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
WATCHED = ("mesh", "services", "gateway", "generated")
NEEDED = (*WATCHED, "stack")
YARDSTICK = ("benchmarks/__init__.py", "benchmarks/tokens.py", "benchmarks/guard")


def base_commit(tree: Path = HERE) -> str | None:
    """The commit that a tree branched off main at; on main itself the one before; None: git does not know it."""
    for main in ("main", "origin/main"):  # a checkout of another branch by CI has the second alone
        forked = _git(tree, "merge-base", main, "HEAD")
        if forked is not None:
            here = _git(tree, "rev-parse", "HEAD")
            return forked if forked != here else _git(tree, "rev-parse", "--verify", "HEAD~1^{commit}")
    return None


def differs(commit: str, tree: Path = HERE) -> bool:
    """Whether anything that is measured is another in a tree than in a commit."""
    return _git(tree, "diff", "--quiet", commit, "--", *WATCHED) is None


def extract(commit: str, into: Path, tree: Path = HERE) -> None:
    """Writes a commit's sources into an empty folder, and beside them this yardstick, whatever it had of its own.

    Raises:
        subprocess.CalledProcessError: git cannot.
    """
    archive = subprocess.run(  # noqa: S603 - git, with names of ours and a commit that it has named
        ["git", "archive", commit, *NEEDED],  # noqa: S607 - where git is, the machine knows
        cwd=tree,
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(into, filter="data")
    for name in YARDSTICK:
        source, target = HERE / name, into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def _git(tree: Path, *arguments: str) -> str | None:
    """What git says; None: it says no."""
    try:
        done = subprocess.run(  # noqa: S603 - git, with words of ours
            ["git", *arguments],  # noqa: S607 - likewise
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None
