"""The watch over pages sees what it watches for; else the other tests would find nothing since they see nothing."""

import pytest

from tests.web.conftest import Visiting
from tests.web.pages import opened

pytestmark = pytest.mark.timeout(300)  # the stack and the browser come first


@pytest.mark.parametrize(
    ("deed", "complaint"),
    [
        ("console.error('a word')", "a word"),
        ("setTimeout(() => { throw new Error('thrown'); })", "thrown"),
        ("void Promise.reject(new Error('never heard'))", "never heard"),
        ("document.body.append(Object.assign(new Image(), { src: 'data:image/gif;base64,R0lGODlh' }))", "img-src"),
        ("fetch('http://127.0.0.1:9/').catch(() => 0)", "connect-src|Content Security Policy"),
        ("try { document.body.innerHTML = '<b>text</b>'; } catch {}", "TrustedHTML|require-trusted-types-for"),
        ("try { trustedTypes.createPolicy('mine', {}); } catch {}", "trusted-types"),
        (
            "document.head.append(Object.assign(document.createElement('style'), { textContent: 'b{}' }))",
            "style-src|Content Security Policy",
        ),
    ],
)
async def test_what_pages_must_not_do_fails_their_visit(visit: Visiting, deed: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        async with visit() as visited:
            await opened(visited.page, "/account")
            await visited.page.evaluate(f"() => {{ {deed} }}")
            await visited.page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    async with visit() as visited:
        visited.allow(complaint)
        await opened(visited.page, "/account")
        await visited.page.evaluate(f"() => {{ {deed} }}")


async def test_axe_sees_what_is_wrong(visit: Visiting) -> None:
    async with visit() as visited:
        await opened(visited.page, "/account")
        assert await visited.axe() == []
        await visited.page.evaluate("() => document.querySelector('main').append(new Image())")
        found = await visited.axe()
    assert len(found) == 1
    assert found[0].startswith("image-alt: ")
