"""How a gateway says no."""

from typing import Any

import httpx

from stack.commands.text import one_line
from stack.errors import StackError

Json = dict[str, Any]


class ApiError(StackError):
    """An answer that says no.

    Attributes:
        status: the HTTP status; 0: there was no answer.
        code: the gRPC status code's name.
        reason: the machine-readable reason.
        unreached: nobody listens there.
    """

    def __init__(
        self, message: str, remedy: str, *, status: int = 0, code: str = "", reason: str = "", unreached: bool = False
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.code = code
        self.reason = reason
        self.unreached = unreached


def refusal(response: httpx.Response) -> ApiError:
    """What an answer that is an error says."""
    try:
        error = dict(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        error = {"message": f"{response.request.url} answered {response.status_code}"}
    remedy = "try again in a moment" if response.status_code in {429, 503, 504} else "check what was asked for"
    return ApiError(
        one_line(str(error.get("message", "refused"))),
        "" if error.get("fields") else remedy,  # the message names the fields, each with its remedy
        status=response.status_code,
        code=str(error.get("code", "")),
        reason=str(error.get("reason", "")),
    )


def failure(data: Json) -> ApiError:
    """What an event named ``failed`` says."""
    return ApiError(
        one_line(str(data.get("message") or "it failed")),
        "try again" if data.get("retryable") else "see the services' logs",
        code=str(data.get("code", "")),
        reason=str(data.get("reason", "")),
    )
