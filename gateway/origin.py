"""Whether a request comes from a page of our own: what keeps other sites from using a reader's cookies.

Cookies are SameSite=Strict, which another site's page cannot send; a page of a sibling domain can, and so could any
page in a browser that does not know the attribute. Browsers say where a request comes from, and pages cannot change it:
Fetch Metadata (https://www.w3.org/TR/fetch-metadata/) and, before it, Origin
(https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html).
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from gateway.bindings import Route
from gateway.http import Request
from mesh.errors import PermissionDenied

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def changes(route: Route) -> bool:
    """Whether requests of a route change something: EventSource knows only GET, so a GET with a key may create."""
    return route.verb not in _SAFE or bool(route.key_field)


def keeps_cookies(route: Route) -> bool:
    """Whether a route sets, takes or clears cookies: to log a reader in or out is not for other sites either."""
    return bool(route.response_cookies or route.cleared_cookies or route.request_cookies)


def check_origin(request: Request, origins: Collection[str]) -> None:
    """Refuses what a browser sends for a page that is neither ours nor one of the origins that may call.

    Who sends neither header is no browser, and nobody's cookies are at stake but his own.

    Raises:
        PermissionDenied: reason CROSS_SITE.
    """
    origin = request.header(b"origin")
    if origin and origin in origins:
        return
    site = request.header(b"sec-fetch-site").lower()
    if site == "none":  # the reader's own doing: an address typed in, but also a link in a mail, which must not create
        own = request.method not in _SAFE
    elif site:
        own = site == "same-origin"
    else:
        own = not origin or _authority(origin) == request.header(b"host").lower() != ""
    if not own:
        raise PermissionDenied(
            "this request comes from a page of another origin: send an Authorization header, or have the origin added"
            " to GAJI_CORS_ORIGINS",
            reason="CROSS_SITE",
        )


def _authority(origin: str) -> str:
    """Host and port; the scheme is not known behind a proxy that ends TLS."""
    try:
        return urlsplit(origin.lower()).netloc
    except ValueError:
        return ""
