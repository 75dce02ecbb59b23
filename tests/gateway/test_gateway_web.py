"""The web app: its pages and files, and that nothing else is to be had by their ways."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway import static
from gateway.server import RunningGateway
from gateway.static import read_folder
from gateway.web import load_web
from tests.gateway.conftest import Gateway, error_of
from tests.gateway.raw_socket import connected

PAGE = b"<!doctype html><title>Gaji</title>"
SCRIPT = b"export const words = 'what if';" * 100
SCRIPT_PATH = "/assets/index-B4fXa_9-.js"
SECRET = b"nobody's business"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types vue"
)


def build(folder: Path) -> Path:
    """What a build leaves, with secrets beside it and behind a dot."""
    root = folder / "dist"
    (root / "assets").mkdir(parents=True)
    (root / ".vite").mkdir()
    (root / "index.html").write_bytes(PAGE)
    script = root / SCRIPT_PATH.removeprefix("/")
    script.write_bytes(SCRIPT)
    Path(f"{script}.gz").write_bytes(gzip.compress(SCRIPT))
    Path(f"{script}.br").write_bytes(b"shorter")  # its bytes are not looked into
    (root / "favicon.svg").write_bytes(b"<svg/>")
    (root / ".vite" / "manifest.json").write_bytes(SECRET)
    (root / ".source").write_bytes(SECRET)
    (folder / "secret.txt").write_bytes(SECRET)
    return root


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
async def site(gateway: Gateway, dist: Path) -> AsyncIterator[tuple[httpx.AsyncClient, RunningGateway]]:
    """A gateway that serves the app."""
    async with gateway(web_root=str(dist)) as running:
        yield running


@pytest.fixture
def browser(site: tuple[httpx.AsyncClient, RunningGateway]) -> httpx.AsyncClient:
    return site[0]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?from=mail",
        "/account",
        "/status/",
        "/conversations",
        "/conversations/0b6c0b9e-7d43-4a57-9a35-2f8f0c7a1c11",
        "/novels/0b6c0b9e-7d43-4a57-9a35-2f8f0c7a1c11/scenarios/new",
        "/scenarios/0b6c0b9e/edit",
    ],
)
async def test_every_path_of_the_app_is_its_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_files_whose_names_change_with_them_are_kept(browser: httpx.AsyncClient) -> None:
    script, icon = await browser.get(SCRIPT_PATH), await browser.get("/favicon.svg")
    assert (script.content, icon.content) == (SCRIPT, b"<svg/>")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert icon.headers["cache-control"] == "no-cache"
    assert icon.headers["content-type"] == "image/svg+xml"
    for answer in (script, icon):
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("BR;q=0.1, gzip", "br"),
        ("br; q=0, gzip;q=0.001", "gzip"),
        ("br;q=0.000, gzip;q=0", None),
        ("*", "br"),
        ("*;q=0, gzip", "gzip"),
        ("br;q=2, gzip;q=-1", None),
        ("gzip;level=9", None),
        (",;,=", None),
        ("x" * 5000 + ", gzip", None),
    ],
)
async def test_a_client_gets_the_smallest_form_that_it_takes(
    browser: httpx.AsyncClient, dist: Path, accepted: str, coding: str | None
) -> None:
    async with browser.stream("GET", SCRIPT_PATH, headers={"accept-encoding": accepted}) as answer:
        body = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == coding
    suffix = {None: "", "gzip": ".gz", "br": ".br"}[coding]
    assert body == (dist / f"{SCRIPT_PATH[1:]}{suffix}").read_bytes()
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_what_a_client_has_is_not_sent_again(browser: httpx.AsyncClient) -> None:
    plain = await browser.get(SCRIPT_PATH, headers={"accept-encoding": "identity"})
    zipped = await browser.get(SCRIPT_PATH, headers={"accept-encoding": "gzip"})
    tag, other = plain.headers["etag"], zipped.headers["etag"]
    assert tag != other
    for known in (tag, f"W/{tag}", f'"x", {other}, {tag}', "*"):
        answer = await browser.get(SCRIPT_PATH, headers={"accept-encoding": "identity", "if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == plain.headers["cache-control"]
        assert "content-length" not in answer.headers
    for unknown in (other, tag.strip('"'), '"', ""):
        answer = await browser.get(SCRIPT_PATH, headers={"accept-encoding": "identity", "if-none-match": unknown})
        assert answer.status_code == 200


async def test_head_says_what_get_would_send(browser: httpx.AsyncClient) -> None:
    for path in ("/", SCRIPT_PATH):
        get, head = await browser.get(path), await browser.head(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "cache-control"):
            assert head.headers[name] == get.headers[name]
    assert (await browser.get("/")).content == PAGE  # on the same connection: nothing was left over


async def test_the_app_hides_nothing_and_takes_nothing(browser: httpx.AsyncClient) -> None:
    for path in ("/health", "/ready", "/docs", "/openapi.json", "/.well-known/jwks.json", "/probe/anybody"):
        answer = await browser.get(path)
        assert answer.status_code == 200
        assert answer.content != PAGE
    for path in ("/api/nothing", "/assets/index-old.js", "/index.html", "/novel", "/novels/a.b", "/novels//x"):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert error_of(answer)["reason"] == "ROUTE_NOT_FOUND"
    refused = await browser.post("/", json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (await browser.options(SCRIPT_PATH)).headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/novels/../../secret.txt",
        "/novels/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/.source",
        "/%2esource",
        "/.vite/manifest.json",
        "/assets//../.source",
        "/favicon.svg%00.js",
        "/assets%2findex-B4fXa_9-.js",
        pytest.param(
            "/assets\\index-B4fXa_9-.js",
            marks=pytest.mark.not_through_edge("it makes a slash of it, as browsers do", edge="envoy"),
        ),
        "/favicon.svg/",
        "/FAVICON.SVG",
        "/novels/%00",
        "/novels/%e0%a4%a",
        "//favicon.svg",
        "*",
        "http://elsewhere.example/favicon.svg",
    ],
)
async def test_no_way_leads_out_of_the_app(site: tuple[httpx.AsyncClient, RunningGateway], target: str) -> None:
    async with connected(site[1]) as (reader, writer):
        writer.write(f"GET {target} HTTP/1.1\r\nHost: gaji\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    status = int(head.split()[1])
    if target.startswith("http:"):  # RFC 9112, section 3.2.2: a server takes it as the path, whatever the host
        assert status in {200, 400}
    else:
        assert status in {400, 404}
    assert SECRET not in body


async def test_files_have_a_rate_of_their_own(gateway: Gateway, dist: Path) -> None:
    limits = {"files_rate": 0.001, "files_burst": 2, "rate_limit": 0.001, "rate_burst": 2}
    async with gateway(web_root=str(dist), **limits) as (client, _):
        for path in ("/", SCRIPT_PATH):
            answer = await client.get(path)
            assert answer.is_success
            assert "ratelimit" not in answer.headers  # it may be kept for a year
        refused = await client.get("/favicon.svg")
        assert refused.status_code == 429
        assert error_of(refused)["reason"] == "RATE_LIMITED"
        assert int(refused.headers["retry-after"]) > 0
        for _ in range(2):
            assert (await client.get("/probe/anybody")).is_success
        assert (await client.get("/probe/anybody")).status_code == 429


async def test_without_an_app_there_is_an_api_alone(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 404
    assert error_of(answer)["reason"] == "ROUTE_NOT_FOUND"


def test_what_is_no_build_of_the_app_is_refused_by_the_setting_s_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"GAJI_WEB_ROOT: .*no index\.html"):
        load_web(str(tmp_path / "nowhere"), [])
    root = build(tmp_path)
    assert load_web(str(root), ["/health", "/api/novels"]) is not None
    with pytest.raises(ValueError, match=r"GAJI_WEB_ROOT: .* would hide /favicon\.svg, /novels"):
        load_web(str(root), ["/novels/{novel_id}", "/favicon.svg"])


def test_a_folder_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build(tmp_path)
    assert sorted(read_folder(root)) == [SCRIPT_PATH.removeprefix("/"), "favicon.svg", "index.html"]
    (root / "leak.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ValueError, match=r"leak\.txt is a link out of its folder"):
        read_folder(root)
    (root / "leak.txt").unlink()
    for name in ("MAX_FILES", "MAX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(static, name, 4)
            with pytest.raises(ValueError, match="at most"):
                read_folder(root)
