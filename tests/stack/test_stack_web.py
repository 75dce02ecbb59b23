"""The web app is built once for each state of its sources, by the Node that comes as a wheel."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.web import build, install

# Does what a bundler does, as far as it matters here: node build.mjs --outDir FOLDER --emptyOutDir
BUILD = """
import { cpSync, mkdirSync, readFileSync } from "node:fs";
const folder = process.argv[process.argv.indexOf("--outDir") + 1];
mkdirSync(`${folder}/assets`, { recursive: true });
if (readFileSync("src/main.ts", "utf8").includes("?")) throw new Error("main.ts is no program");
cpSync("index.html", `${folder}/index.html`);
cpSync("src/main.ts", `${folder}/assets/main.js`);
"""


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """An app that needs no packages."""
    web = tmp_path / "web"
    (web / "src").mkdir(parents=True)
    package = {"name": "app", "private": True, "type": "module", "scripts": {"build": "node build.mjs"}}
    lock = {"name": "app", "lockfileVersion": 3, "requires": True, "packages": {"": {"name": "app"}}}
    (web / "package.json").write_text(json.dumps(package))
    (web / "package-lock.json").write_text(json.dumps(lock))
    (web / "build.mjs").write_text(BUILD)
    (web / "index.html").write_text("<!doctype html>")
    (web / "src" / "main.ts").write_text("one")
    return web


def test_the_app_is_built_when_it_has_changed_and_not_again(web: Path) -> None:
    said: list[str] = []
    assert build(web, said.append)
    assert (web / "dist" / "assets" / "main.js").read_text() == "one"
    assert [line.partition(" (once)")[0] for line in said[::2]] == [
        "Installing what builds the web app",
        "Building the web app",
    ]
    said.clear()
    (web / "tests").mkdir()
    (web / "tests" / "one.test.ts").write_text("a test is no part of the app")
    assert not build(web, said.append)
    (web / "src" / "main.ts").write_text("two")
    assert build(web, said.append)
    assert (web / "dist" / "assets" / "main.js").read_text() == "two"
    assert len(said) == 2  # nothing is installed anew


def test_a_build_that_fails_says_why_and_leaves_the_one_before(web: Path) -> None:
    build(web, lambda _: None)
    (web / "src" / "main.ts").write_text("what?")
    with pytest.raises(StackError, match="npm run ended with code 1"):
        build(web, lambda _: None)
    assert (web / "dist" / "assets" / "main.js").read_text() == "one"
    (web / "src" / "main.ts").write_text("one")
    assert not build(web, lambda _: None)


def test_what_builds_does_not_count_as_what_tests(web: Path) -> None:
    assert install(web, lambda _: None, tools=False)
    assert not install(web, lambda _: None, tools=False)
    assert install(web, lambda _: None, tools=True)
    assert not install(web, lambda _: None, tools=False)


def test_an_app_that_cannot_be_built_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("no lock")
    code = "import sys, stack.web as web; web.WEB = web.Path(sys.argv.pop(1)); web.main()"
    for more, returncode in ((["--or-without"], 0), ([], 1)):
        command = [sys.executable, "-c", code, str(tmp_path), "build", *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
        assert done.returncode == returncode
        assert "the web app could not be built: npm ci ended with code 1" in done.stderr
        assert ("Gaji runs without it." in done.stderr) == (returncode == 0)
