"""Whose reader the command line is: a guest, kept for each gateway, or the stack's own account."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from stack.answers import ApiError, Json
from stack.api import opened_session
from stack.embedded.account import write_private

_EARLY_SECONDS = 30.0


def config_folder() -> Path:
    """The user's configuration of Gaji (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "gaji"


class GuestSession:
    """A guest of one gateway, remembered in a file of mode 0600 and refreshed when its token ends.

    Args:
        url: of the gateway.
        folder: where sessions are kept; None: in the user's configuration.
    """

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self._url = url.rstrip("/")
        name = hashlib.sha256(self._url.encode()).hexdigest()[:16]
        self._file = (folder or config_folder() / "sessions") / f"{name}.json"

    def token(self, http: httpx.Client, refused: str | None = None) -> str:
        """The guest's token; a new guest where the old one is unknown.

        Raises:
            ApiError: the gateway opens no session.
            httpx.HTTPError: there is no answer.
        """
        # A refresh token is good for one use: two commands at once must not both use it.
        with self._locked():
            session = self._read()
            token = str(session.get("access_token", ""))
            if token and token != refused and session.get("expires_at", 0) > time.time() + _EARLY_SECONDS:
                return token
            session = self._renewed(http, str(session.get("refresh_token", "")))
            session["expires_at"] = time.time() + float(session["expires_in"])
            write_private(self._file, json.dumps({"url": self._url, **session}))
            return str(session["access_token"])

    def _renewed(self, http: httpx.Client, refresh_token: str) -> Json:
        if refresh_token:
            try:
                return opened_session(http, "/api/auth/refresh", {"refresh_token": refresh_token})
            except ApiError as error:
                if error.status >= 500 or error.status == 429:
                    raise
        return opened_session(http, "/api/auth/guest", {})

    def _read(self) -> Json:
        try:
            return dict(json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class AccountSession:
    """An account with a password, registered when it is new.

    Args:
        email: of the account.
        password: of the account.
        display_name: shown to others.
    """

    def __init__(self, email: str, password: str, display_name: str) -> None:
        self._login = {"email": email, "password": password}
        self._display_name = display_name
        self._token = ""

    def token(self, http: httpx.Client, refused: str | None = None) -> str:
        """The account's token.

        Raises:
            ApiError: the gateway opens no session.
            httpx.HTTPError: there is no answer.
        """
        if not self._token or self._token == refused:
            try:
                session = opened_session(http, "/api/auth/login", self._login)
            except ApiError as error:
                if error.status != 401:
                    raise
                registration = {**self._login, "display_name": self._display_name}
                session = opened_session(http, "/api/auth/register", registration)
            self._token = str(session["access_token"])
        return self._token
