"""``openai``: the ways to a server: names, proxies, TLS."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from mesh.errors import FailedPrecondition, Unavailable
from services.generation.providers import openai
from services.generation.providers.openai import open_provider
from stack.cert_paths import paths_of
from stack.certs import renew
from tests.generation.conftest import make_settings, said
from tests.generation.http_fake import HttpFake
from tests.generation.test_generation_openai import whole_answer

pytestmark = pytest.mark.usefixtures("no_proxy")


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    provider = await open_provider(make_settings(openai_base_url="http://127.0.0.1:1/v1", openai_model="tiny"))
    with pytest.raises(Unavailable) as caught:
        await said(provider)
    await provider.aclose()
    assert caught.value.reason == "MODEL_UNREACHABLE"


@pytest.mark.parametrize("where", ["the server's name", "the proxy"])
async def test_a_way_that_leads_nowhere_is_unreachable(
    http_fake: HttpFake, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(openai, "_CONNECT_SECONDS", 0.1)
    http_fake.answer = never
    if where == "the proxy":
        monkeypatch.setenv("https_proxy", http_fake.url)
    else:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    provider = await open_provider(make_settings(openai_base_url="https://model.invalid/v1", openai_model="tiny"))
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable) as caught:
            await said(provider)
    await provider.aclose()
    assert caught.value.reason == "MODEL_UNREACHABLE"
    assert [exchange.path for exchange in http_fake.exchanges] == ["model.invalid:443"] * (where == "the proxy")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_the_proxy_is_the_environment_s(
    http_fake: HttpFake, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    http_fake.answer = whole_answer
    monkeypatch.setenv(variable, scheme + http_fake.url.removeprefix("http://"))
    provider = await open_provider(make_settings(openai_base_url="http://model.invalid/v1", openai_model="tiny"))
    assert (await said(provider))[0] == "I am Alice\u2028안녕."
    await provider.aclose()
    assert [exchange.path for exchange in http_fake.exchanges] == ["http://model.invalid/v1/chat/completions"]


async def test_a_proxy_that_is_not_one_for_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:1080")
    settings = make_settings(openai_base_url="http://model.invalid/v1", openai_model="tiny")
    with pytest.raises(FailedPrecondition, match=r"ALL_PROXY .* socks5h.* http:// .* model\.invalid in NO_PROXY"):
        await open_provider(settings)
    monkeypatch.setenv("NO_PROXY", "model.invalid")
    await (await open_provider(settings)).aclose()


@pytest.fixture
async def secure_url(http_fake: HttpFake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[str]:
    """The fake's address behind TLS; whom to trust is named in a folder."""

    def prepare() -> ssl.SSLContext:
        renew(tmp_path)
        certificate, key, authorities = paths_of(tmp_path, "generation")
        (tmp_path / "named").mkdir()
        (tmp_path / "named" / _hashed(authorities)).symlink_to(authorities)
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        serving.load_cert_chain(certificate, key)
        return serving

    serving = await asyncio.to_thread(prepare)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "named"))
    http_fake.answer = whole_answer
    async with await asyncio.start_server(http_fake.connected, "127.0.0.1", 0, ssl=serving) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        await http_fake.close()


async def test_authorities_may_be_a_folder(secure_url: str) -> None:
    provider = await open_provider(make_settings(openai_base_url=secure_url, openai_model="tiny"))
    assert (await said(provider))[0] == "I am Alice\u2028안녕."
    await provider.aclose()


async def test_a_proxy_tunnels_to_a_server_with_tls(
    http_fake: HttpFake, secure_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heads[-1].split(b" ")[1].decode().partition(":")
        there, to_there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, to_there), pump(there, writer))

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
        address = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        monkeypatch.setenv("https_proxy", f"http://me:p%40ss@{address}")
        provider = await open_provider(make_settings(openai_base_url=secure_url, openai_model="tiny"))
        assert [(await said(provider))[0] for _ in range(2)] == ["I am Alice\u2028안녕."] * 2
        await provider.aclose()
    (head,) = heads
    assert b"proxy-authorization: Basic bWU6cEBzcw==\r\n" in head
    assert "proxy-authorization" not in http_fake.exchanges[0].headers


def _hashed(authority: Path) -> str:
    """The name by which OpenSSL looks for an authority in a folder: the hash of its own in small letters."""
    (part,) = x509.load_pem_x509_certificate(authority.read_bytes()).subject
    name = x509.Name([x509.NameAttribute(part.oid, str(part.value).lower())]).public_bytes()
    digest = hashlib.sha1(name[2:], usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"
