"""The keys that access tokens are verified with, for whoever verifies them elsewhere (RFC 7517, RFC 8615)."""

import orjson

from gateway.app import Answer, Page
from gateway.http import JSON
from mesh.identity import TokenVerifier
from mesh.keys import to_document

PATH = "/.well-known/jwks.json"
# A key is published for some seconds before it signs. Who meets one that he does not know yet asks again.
_CACHED = (b"cache-control", b"public, max-age=60")


def keys_page(verifier: TokenVerifier) -> Page:
    """The page: public keys alone."""

    async def page() -> Answer:
        return Answer(200, orjson.dumps(to_document(verifier.keys)), JSON, [_CACHED])

    return page
