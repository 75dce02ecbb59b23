"""The commands, run as people run them, against a whole stack."""

# Every command run here is our own.
# ruff: noqa: S603

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stack.shelf import EMAIL
from tests.fixtures.stack import RunningStack, clean_environment, start_stack
from tests.intake.books import epub, html
from tests.search.stories import KOREAN_STORY

TALE = "\n\n".join(
    f"Chapter {number}\n\nThe lamplighter Orla climbed the hill with her brother Tomas. “The wind is early,” said "
    f"Orla. “Then we must be earlier,” said Tomas, and Orla laughed. They lit lamp number {number} above the harbour, "
    f"and Captain Brandt waved from the deck of the Heron. Orla waved back, but Tomas did not look at Captain Brandt."
    for number in range(1, 5)
)
Gaji = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gaji(tmp_path: Path) -> Gaji:
    """Runs a command to its end."""

    def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "stack.cli", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=clean_environment(tmp_path, COLUMNS="200", **env),
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tale(running_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a tale on the shelf, with a scenario that only its maker sees."""
    folder = tmp_path_factory.mktemp("tale")
    (folder / "the-lamps-of-orla.txt").write_text(TALE)
    command = ["ingest", str(folder / "the-lamps-of-orla.txt"), "--language", "en", "--visibility", "public", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "stack.cli", *command, "--url", running_stack.url],
        capture_output=True,
        text=True,
        timeout=100,
        env=clean_environment(folder),
        check=True,
    )
    [line] = done.stdout.splitlines()
    novel = json.loads(line)
    assert (novel["title"], novel["chapters"]) == ("The Lamps of Orla", 4)
    assert min(novel["words"], novel["passages"], novel["characters"]) > 0
    return str(novel["novel_id"])


def refused(done: "subprocess.CompletedProcess[str]", code: int = 1) -> str:
    """The one line that a mistake is answered with."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_ingest_tells_how_it_goes(running_stack: RunningStack, gaji: Gaji, tmp_path: Path) -> None:
    file = tmp_path / "tale.txt"
    file.write_text(TALE)
    done = gaji("ingest", str(file), "--title", "A Tale", "--url", running_stack.url)
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout
    assert "“A Tale” is on the shelf" in done.stdout
    assert "4 chapters" in done.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no text; give a novel"),
        (b" \n\n ", "holds no text; give a novel"),
        (b"a" * (20 * 1024 * 1024 + 1), "is larger than 20 MiB; split it"),
    ],
    ids=["empty", "blank", "size"],
)
def test_ingest_refuses_what_is_no_novel(gaji: Gaji, tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    assert words in refused(gaji("ingest", str(file), "--url", "http://127.0.0.1:1"))


def test_several_are_taken_in_at_once_and_the_bad_ones_named(
    running_stack: RunningStack, gaji: Gaji, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "more").mkdir(parents=True)
    (shelf / "a-korean-tale.txt").write_bytes(KOREAN_STORY.encode("cp949"))
    (shelf / "more" / "tale.epub").write_bytes(epub(TALE, 3, "The Lamps", "N. Body"))
    (shelf / "more" / "program.txt").write_bytes(b"\x7fELF\x02\0\xff" * 10)
    (shelf / "picture.png").write_bytes(b"not looked at")
    (shelf / ".hidden.txt").write_text("nor this")
    web = tmp_path / "web"
    web.mkdir()
    (web / "page.html").write_bytes(html(TALE))
    with served(web) as address:
        sources = [str(shelf), f"{address}/page.html", f"{address}/gone.epub"]
        done = gaji("ingest", *sources, "--json", "--url", running_stack.url)
    assert done.returncode == 1
    novels = {novel["title"]: novel for novel in map(json.loads, done.stdout.splitlines())}
    assert {title: novel["chapters"] for title, novel in novels.items()} == {
        "A Korean Tale": 2,
        "The Lamps": 4,
        "Chapter 1": 4,
    }
    errors = done.stderr.splitlines()
    assert f"gaji: {shelf}/more/program.txt is a program; give EPUB, HTML, Markdown or plain text" in errors
    assert f"gaji: {address}/gone.epub answered 404; check the address" in errors
    assert errors[-1] == "gaji: 2 of 5 novels are not on the shelf"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder on the web of this machine; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_ingest_says_what_is_no_source(gaji: Gaji, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there is no novel in" in refused(gaji("ingest", str(tmp_path / "empty")))
    done = gaji("ingest", "http://127.0.0.1:1/a.txt", "--url", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1/a.txt cannot be downloaded" in refused(done)
    both = gaji("ingest", __file__, str(tmp_path / "stack.log"), "--title", "x")
    assert "No such file" in refused(both, code=2)


def test_ingest_passes_the_gateways_word_on(running_stack: RunningStack, gaji: Gaji, tmp_path: Path) -> None:
    file = tmp_path / "tale.txt"
    file.write_text(TALE)
    words = refused(gaji("ingest", str(file), "--title", "t" * 301, "--url", running_stack.url))
    assert words == "gaji: title has 301 characters; give at most 300"


def test_a_missing_file_is_a_usage_error(gaji: Gaji) -> None:
    assert "No such file" in refused(gaji("ingest", "/nowhere/tale.txt"), code=2)


def test_no_gateway_is_one_line_with_a_remedy(gaji: Gaji) -> None:
    expected = "gaji: no gateway answers at http://127.0.0.1:1; start one with `gaji up`, or say where it is with --url"
    assert refused(gaji("chat", "--message", "hello", "--url", "http://127.0.0.1:1")) == expected
    assert refused(gaji("status", GAJI_URL="http://127.0.0.1:1")) == expected
    assert "is not a URL" in refused(gaji("status", "--url", "somewhere"), code=2)


def test_chat_in_one_line(running_stack: RunningStack, tale: str, gaji: Gaji, tmp_path: Path) -> None:
    where = ("--url", running_stack.url)
    done = gaji("chat", "--novel", tale, "--what-if", "What if Orla had sailed?", "--character", "Orla",
                "--message", "Are you well?", *where)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Orla: ") == 2  # the opening and the answer
    files = list((tmp_path / "config" / "gaji" / "sessions").glob("*.json"))
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--novel", "No such title"], "no novel fits 'No such title'; name one of:"),
        (["--character", "Nobody Here"], "no character fits 'Nobody Here'; name one of:"),
        (["--conversation", "00000000-0000-4000-8000-000000000000"], "conversation"),
    ],
    ids=["novel", "character", "conversation"],
)
def test_chat_says_what_does_not_fit(
    running_stack: RunningStack, tale: str, gaji: Gaji, options: list[str], words: str
) -> None:
    chosen = ["--what-if", "x", *(["--novel", tale] if "--novel" not in options else [])]
    done = gaji("chat", *chosen, *options, "--message", "x", "--url", running_stack.url)
    assert words in refused(done)
    if "--character" in options:  # and the scenario was not written for nobody
        again = gaji("chat", "--novel", tale, "--message", "x", "--url", running_stack.url)
        assert "no scenario yet" in refused(again, code=2)


def test_chat_does_not_begin_with_nothing_to_say(gaji: Gaji) -> None:
    words = refused(gaji("chat", "--message", " ", "--url", "http://127.0.0.1:1"), code=2)
    assert words == "Error: Invalid value for --message: is empty; say something, or leave it away to be asked"


def test_chat_asks_when_a_person_is_there(running_stack: RunningStack, tale: str, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stack.cli", "chat", "--novel", tale, "--url", running_stack.url],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=clean_environment(tmp_path, TERM="xterm"),
        start_new_session=True,
    )
    os.close(slave)
    seen = ""

    def expect(text: str) -> None:
        nonlocal seen
        end = time.monotonic() + 60
        while text not in seen:
            assert time.monotonic() < end, seen
            if select.select([master], [], [], 1)[0]:
                seen += os.read(master, 65536).decode(errors="replace")
        seen = seen.partition(text)[2]

    def type_in(text: str) -> None:
        os.write(master, text.encode())

    try:
        if process.poll() is None:
            expect("What if ... ")
            type_in("What if the harbour froze?\n")
            expect("character [1]: ")
            type_in("99\n")
            expect("a number from 1 to")
            type_in("1\n")
            expect("Ctrl-D leaves")
            expect("you: ")
            type_in("Tell me a long story.\n")
            expect("0")  # the scripted words are numbered
            process.send_signal(signal.SIGINT)
            expect("[stopped]")
            expect("you: ")
            type_in("\x04")
            expect(f"gaji chat --url {running_stack.url} --conversation ")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_status_shows_services_and_what_the_cache_saves(running_stack: RunningStack, tale: str, gaji: Gaji) -> None:
    running_stack.wait_for_workers()
    done = gaji("status", "--data-dir", str(running_stack.data_dir))
    assert done.returncode == 0, done.stdout
    for service in running_stack.state["services"]:
        assert re.search(rf"^ +{service} +(running|SERVING|ready) ", done.stdout, re.MULTILINE), service
    assert "hit rate" in done.stdout
    far = gaji("status", "--url", running_stack.url)
    assert far.returncode == 0
    assert "generation" in far.stdout


def test_doctor_finds_all_well(running_stack: RunningStack, gaji: Gaji) -> None:
    done = gaji("doctor", "--data-dir", str(running_stack.data_dir), "--url", running_stack.url)
    assert done.returncode == 0, done.stdout
    assert re.search(r"PostgreSQL \(embedded\) +18\.\d+\n", done.stdout)
    assert re.search(r"settings +in order\n", done.stdout)
    assert "✗" not in done.stdout


def test_doctor_names_what_is_wrong_with_a_remedy(running_stack: RunningStack, gaji: Gaji, tmp_path: Path) -> None:
    database = running_stack.state["services"]["postgres"][0]["url"].replace("://", "://gaji:wrong@")
    done = gaji("doctor", "--data-dir", str(tmp_path), "--port", running_stack.url.rpartition(":")[2],
                GAJI_PROVIDER="gemini", GAJI_DATABASE_URL=database, GAJI_REDIS_URL="redis://127.0.0.1:1")  # fmt: skip
    assert done.returncode == 1
    for words in (
        "set GEMINI_API_KEY",
        "password authentication failed",
        "check GAJI_REDIS_URL",
        "gaji up --port PORT",
    ):
        assert words in done.stdout
    assert "wrong" not in done.stdout


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GAJI_DRAIN_SECONDS", "soon", "GAJI_DRAIN_SECONDS: Input should be a valid number"),
        ("GAJI_PROVDER", "openai", "unknown: GAJI_PROVDER"),
        ("GAJI_DATABASE_URL", "here", "GAJI_DATABASE_URL is not a PostgreSQL URL"),
        ("GAJI_REDIS_URL", "redis://127.0.0.1:99999", "GAJI_REDIS_URL is not a Redis URL"),
    ],
)
def test_doctor_reads_the_settings(gaji: Gaji, tmp_path: Path, name: str, value: str, words: str) -> None:
    done = gaji("doctor", "--data-dir", str(tmp_path), "--port", "0", **{name: value})
    assert words in done.stdout
    assert done.returncode == (0 if name == "GAJI_PROVDER" else 1)


@pytest.mark.timeout(300)
def test_the_sample_is_shelved_once(server_folder: Path, gaji: Gaji) -> None:
    with start_stack(server_folder / "data") as running:
        running.wait_for("on the shelf: ")
        novels = gaji("chat", "--novel", "?", "--message", "x", "--url", running.url).stderr
        assert "no novel fits '?'; name one of: " in novels
        assert novels.count(";") == 1
        scenarios = gaji("chat", "--scenario", "?", "--message", "x", "--url", running.url).stderr
        assert scenarios.count(";") == 2
        assert EMAIL not in running.output
    with start_stack(server_folder / "data") as running:
        again = gaji("chat", "--novel", "?", "--message", "x", "--url", running.url).stderr
        assert again == novels


def test_help_is_quick_to_load() -> None:
    code = "import sys, stack.cli; print([m for m in ('grpc', 'httpx', 'rich', 'asyncpg') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
