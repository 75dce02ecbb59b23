"""A client of any gateway over HTTP. Blocking: it serves people, one request at a time."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import httpx
import httpx_sse

from stack.errors import StackError

Json = dict[str, Any]
_TIMEOUT = httpx.Timeout(15.0)
_UPLOAD_TIMEOUT = httpx.Timeout(60.0)
# A stream is never silent for long: the gateway sends a comment every 15 s.
_STREAM_TIMEOUT = httpx.Timeout(15.0, read=60.0)


class ApiError(StackError):
    """An answer that says no.

    Attributes:
        status: the HTTP status; 0: there was no answer.
        code: the gRPC status code's name.
        reason: the machine-readable reason.
    """

    def __init__(self, message: str, remedy: str, *, status: int = 0, code: str = "", reason: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event: its name and its JSON."""

    name: str
    data: Json


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
        """The events of a stream, as they come; to be closed, which ends the stream.

        Args:
            method: GET or POST.
            path: of the stream.
            request: ``params`` or ``json``.

        Raises:
            ApiError: the stream is refused, an event named ``failed`` comes, or the connection breaks.
        """
        token = self._token(None)
        try:
            yield from self._events(method, path, token, request)
        except ApiError as error:
            if error.status != 401:
                raise
            yield from self._events(method, path, self._token(token), request)

    def _events(self, method: str, path: str, token: str, request: Json) -> Iterator[Event]:
        headers = _bearer(token)
        try:
            with httpx_sse.connect_sse(
                self._http, method, path, headers=headers, timeout=_STREAM_TIMEOUT, **request
            ) as source:
                if source.response.is_error:
                    source.response.read()
                    raise _refusal(source.response)
                for event in source.iter_sse():
                    if not event.data:
                        continue
                    data = json.loads(event.data)
                    if event.event == "failed":
                        raise _failure(data)
                    yield Event(event.event, data)
        except (httpx.HTTPError, httpx_sse.SSEError, ValueError) as error:
            raise self._broken(error) from None

    def _json(self, call: Callable[[dict[str, str]], httpx.Response]) -> Json:
        token = self._token(None)
        try:
            response = call(_bearer(token))
            if response.status_code == 401 and self._session is not None:
                response = call(_bearer(self._token(token)))
            if response.is_error:
                raise _refusal(response)
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
                f"no gateway answers at {self.url}", "start one with `gaji up`, or say where it is with --url"
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
        raise _refusal(response)
    return dict(response.json())


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refusal(response: httpx.Response) -> ApiError:
    try:
        error = dict(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        error = {"message": f"{response.request.url} answered {response.status_code}"}
    remedy = "try again in a moment" if response.status_code in {429, 503, 504} else "check what was asked for"
    return ApiError(
        str(error.get("message", "refused")),
        "" if error.get("fields") else remedy,  # the message names the fields, each with its remedy
        status=response.status_code,
        code=str(error.get("code", "")),
        reason=str(error.get("reason", "")),
    )


def _failure(data: Json) -> ApiError:
    return ApiError(
        str(data.get("message") or "it failed"),
        "try again" if data.get("retryable") else "see the services' logs",
        code=str(data.get("code", "")),
        reason=str(data.get("reason", "")),
    )
