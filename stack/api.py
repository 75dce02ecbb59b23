"""A client of any gateway over HTTP. Blocking: it serves people, one request at a time."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import httpx
import httpx_sse

from stack.answers import ApiError, Json, failure, refusal
from stack.resume import LOST_SECONDS, Place

_TIMEOUT = httpx.Timeout(15.0)
_UPLOAD_TIMEOUT = httpx.Timeout(60.0)
# A stream is never silent for long: the gateway sends a comment every 15 s.
_STREAM_TIMEOUT = httpx.Timeout(15.0, read=60.0)
_ENDS = frozenset({"complete", "failed", "stopped"})
_PASSING = frozenset({0, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event: its name, its JSON, and the id to go on after."""

    name: str
    data: Json
    cursor: str = ""


class Session(Protocol):
    """Gives access tokens."""

    def token(self, http: httpx.Client, refused: str | None = None) -> str:
        """A token; another one than that which was refused."""


class Gateway:
    """A gateway, as one reader sees it.

    Args:
        url: of the gateway.
        session: whose reader; None: nobody, for open doors.
    """

    def __init__(self, url: str, session: Session | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = session
        # A proxy for the wide world has no business with one's own gateway.
        self._http = httpx.Client(base_url=self.url, timeout=_TIMEOUT, trust_env="127.0.0.1" not in url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        """The answer to a GET.

        Raises:
            ApiError: it says no, or there is none.
        """
        return self._json(lambda headers: self._http.get(path, params=params, headers=headers))

    def post(self, path: str, body: Json) -> Json:
        """The answer to a POST.

        Raises:
            ApiError: it says no, or there is none.
        """
        return self._json(lambda headers: self._http.post(path, json=body, headers=headers, timeout=_UPLOAD_TIMEOUT))

    def upload(self, path: str, params: Mapping[str, str], data: bytes) -> Json:
        """The answer to a POST of a file.

        Raises:
            ApiError: it says no, or there is none.
        """
        typed = {"Content-Type": "application/octet-stream"}
        return self._json(
            lambda headers: self._http.post(
                path, params=params, content=data, headers={**headers, **typed}, timeout=_UPLOAD_TIMEOUT
            )
        )

    def readiness(self) -> Json:
        """What ``/ready`` tells: ``status`` and ``services``, each with its state; also where not all is well.

        Raises:
            ApiError: there is no answer, or not a gateway's.
        """
        try:
            answer = self._http.get("/ready").json()
            return {"status": str(answer["status"]), "services": dict(answer["services"])}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._broken(error) from None

    def all(self, path: str, items: str) -> Iterator[Json]:
        """Every item of a list, page after page.

        Raises:
            ApiError: an answer says no, or there is none.
        """
        token = ""
        while True:
            page = self.get(path, {"page_size": "100", **({"page_token": token} if token else {})})
            yield from page.get(items, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def stream(self, method: str, path: str, **request: Any) -> Generator[Event, None, None]:
        """The events of a stream, as they come, until its end: ``complete``, ``stopped`` or ``failed``.

        A connection that is lost, or closed before the end, is followed by another one, which goes on after the last
        id; the request has to be one that may be repeated. To be closed by who leaves early, which ends no reply.

        Args:
            method: GET or POST.
            path: of the stream.
            request: ``params`` or ``json``.

        Raises:
            ApiError: the stream is refused, an event named ``failed`` comes, or nothing does for 30 s however often it
                is tried.
        """
        place = Place()
        while True:
            try:
                if (yield from self._connected(method, path, request, place)):
                    return
                lost = ApiError("the stream broke off", "look at `gaji status` and try again")
            except (httpx.HTTPError, httpx_sse.SSEError, ValueError) as error:
                lost = self._broken(error)
            except _LostError as error:
                lost = error.lost
            if lost.status not in _PASSING or (not place.begun and (lost.status or lost.unreached)):
                raise lost
            pause = place.lost()
            if pause is None:
                raise ApiError(f"nothing more came for {LOST_SECONDS:g} s: {lost.message}", lost.remedy)
            time.sleep(pause)

    def _connected(self, method: str, path: str, request: Json, place: Place) -> Generator[Event, None, bool]:
        """What comes on one connection; returns whether it was the stream's end."""
        token, refused = self._token(None), False
        while True:
            headers = {**_bearer(token), **({"Last-Event-ID": place.cursor} if place.cursor else {})}
            with httpx_sse.connect_sse(
                self._http, method, path, headers=headers, timeout=_STREAM_TIMEOUT, **request
            ) as source:
                if source.response.status_code == 401 and self._session is not None and not refused:
                    refused = True
                elif source.response.is_error:
                    source.response.read()
                    raise _LostError(refusal(source.response))
                else:
                    place.begun = True
                    # Without content: the last id was that of the end.
                    return source.response.status_code == 204 or (yield from _events(source, place))
            token = self._token(token)

    def _json(self, call: Callable[[dict[str, str]], httpx.Response]) -> Json:
        token = self._token(None)
        try:
            response = call(_bearer(token))
            if response.status_code == 401 and self._session is not None:
                response = call(_bearer(self._token(token)))
            if response.is_error:
                raise refusal(response)
            return dict(response.json()) if response.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise self._broken(error) from None

    def _token(self, refused: str | None) -> str:
        if self._session is None:
            return ""
        try:
            return self._session.token(self._http, refused)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> ApiError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol | httpx.InvalidURL):
            return ApiError(
                f"no gateway answers at {self.url}",
                "start one with `gaji up`, or say where it is with --url",
                unreached=True,
            )
        if isinstance(error, httpx.TimeoutException):
            return ApiError(f"{self.url} did not answer in time", "look at `gaji status` and try again")
        if isinstance(error, httpx.HTTPError):
            return ApiError(f"the connection to {self.url} broke", "look at `gaji status` and try again")
        return ApiError(f"{self.url} does not answer like a Gaji gateway", "check --url")


def opened_session(http: httpx.Client, path: str, body: Json) -> Json:
    """A session from one of the doors under /api/auth.

    Raises:
        ApiError: it is refused.
        httpx.HTTPError: there is no answer.
    """
    response = http.post(path, json=body)
    if response.is_error:
        raise refusal(response)
    return dict(response.json())


class _LostError(Exception):
    """A connection that was lost with words."""

    def __init__(self, lost: ApiError) -> None:
        self.lost = lost


def _events(source: httpx_sse.EventSource, place: Place) -> Generator[Event, None, bool]:
    """A connection's events; returns whether the last one was the stream's end."""
    for event in source.iter_sse():
        if event.retry is not None:
            place.told_to_wait(event.retry)
        if not event.data:
            continue
        moved, data = place.moved(event.id), json.loads(event.data)
        if event.event == "failed":
            # Without an id of its own it is the gateway's word, not the stream's: what is streamed may go on.
            if data.get("retryable") and not moved:
                raise _LostError(failure(data))
            raise failure(data)
        yield Event(event.event, data, event.id)
        if event.event in _ENDS:
            return True
    return False


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
