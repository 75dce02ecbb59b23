"""The web app: the files of its build, and the paths that are pages of it.

What is asked for is looked up among the names that were read at start and never opened, so that nothing in a path
(``..``, ``%2e``, an encoded slash, NUL) leads anywhere.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from gateway.errors import Header
from gateway.static import File, Form, content_type, read_folder
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

NONE = "none"
BUILT = Path(__file__).parents[1] / "web" / "dist"
"""Where the app is built in a checkout."""
PAGE = "web page"
FILE = "web file"
"""The labels of both in logs and metrics."""
# One page for all of them: which view is shown is the app's own affair (web/src/router.ts).
_FIRST = ("account", "conversations", "novels", "scenarios", "status")
_PAGES = re.compile(rf"/(?:(?:{'|'.join(_FIRST)})(?:/[A-Za-z0-9_-]+)*/?)?")
_INDEX = "index.html"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        # Text can become script by the policies that Vue makes for its own templates, and by no other.
        "require-trusted-types-for 'script'",
        "trusted-types vue",
    )
)
_OURS: Header = (b"cross-origin-resource-policy", b"same-origin")
_PAGE_HEADERS: tuple[Header, ...] = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    _OURS,
)
# Names of assets bear a hash of what is in them; other names stay, and what they name may change.
_ASSETS = "assets/"
_ASSET_HEADERS: tuple[Header, ...] = ((b"cache-control", b"public, max-age=31536000, immutable"), _OURS)
_FILE_HEADERS: tuple[Header, ...] = ((b"cache-control", b"no-cache"), _OURS)


class WebApp:
    """What is answered by path.

    Args:
        forms: of the build's files, by name.

    Raises:
        ValueError: there is no page among them.
    """

    def __init__(self, forms: Mapping[str, tuple[Form, ...]]) -> None:
        if _INDEX not in forms:
            raise ValueError(f"there is no {_INDEX}")
        self._files = dict(_files(forms))
        self._page = File(PAGE, content_type(_INDEX), forms[_INDEX], _PAGE_HEADERS)
        self.size = sum(len(form.body) for of in forms.values() for form in of)

    def find(self, raw_path: str) -> File | None:
        """What stands at a path as it came, percent-encoded; None: nothing of the app."""
        if raw_path in self._files:
            return self._files[raw_path]
        return self._page if _PAGES.fullmatch(raw_path) else None

    def first_segments(self) -> set[str]:
        """What its paths begin with, the page at ``/`` left out."""
        return {path.split("/", 2)[1] for path in self._files} | set(_FIRST)

    def __len__(self) -> int:
        return len(self._files) + 1


def load_web(setting: str, paths: Collection[str]) -> WebApp | None:
    """Reads the app; None: there is none to serve.

    Args:
        setting: GAJI_WEB_ROOT.
        paths: what the gateway answers otherwise, none of which may be hidden.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no build of the app, is too large, or would hide something.
    """
    if setting == NONE or (not setting and not (BUILT / _INDEX).is_file()):
        return None
    root = Path(setting) if setting else BUILT
    try:
        app = WebApp(read_folder(root))
    except ValueError as error:
        raise ValueError(
            f"GAJI_WEB_ROOT: {root} is no web app: {error}; build it by `make web`, or say {NONE}"
        ) from error
    if hidden := app.first_segments() & {path.split("/", 2)[1] for path in paths}:
        raise ValueError(f"GAJI_WEB_ROOT: {root} would hide /{', /'.join(sorted(hidden))}")
    log.info("the web app is served", extra={"folder": str(root), "files": len(app), "bytes": app.size})
    return app


def _files(forms: Mapping[str, tuple[Form, ...]]) -> Iterator[tuple[str, File]]:
    for name, of in forms.items():
        if name != _INDEX:
            headers = _ASSET_HEADERS if name.startswith(_ASSETS) else _FILE_HEADERS
            yield f"/{name}", File(FILE, content_type(name), of, headers)
