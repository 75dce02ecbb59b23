"""What Gemini's two interfaces share."""

import re
from typing import Final

from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.generation.domain import failures
from services.generation.ports import PromptTooLong

log = get_logger(__name__)
_WHOLE: Final = frozenset({"STOP", "MAX_TOKENS"})
_BROKEN: Final = frozenset({"OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"})
_REMEDIES: Final = {
    401: "Gemini does not accept the key: set GEMINI_API_KEY",
    403: "Gemini does not accept the key: set GEMINI_API_KEY",
    404: "Gemini has no such model: set GAJI_GEMINI_MODEL",
}
_TOKENS = re.compile(r"token count \((\d+)\)")


def thinking_budget(model: str) -> int | None:
    """Tokens that the model may think before it answers; None: its own default.

    The thoughts count towards the limit of the answer and come before its first word, so a reply of a few sentences
    would be all thought. Of the models that think, the flash ones can be told not to.
    """
    return 0 if model.startswith("gemini-2.5-flash") else None


def check_finish(reason: str) -> bool:
    """Whether an answer is whole by its finish reason; an unspecified one says that it goes on.

    Raises:
        FailedPrecondition: filters stopped it.
        Unavailable: it broke off.
    """
    if reason in _WHOLE:
        return True
    if reason in ("", "FINISH_REASON_UNSPECIFIED"):
        return False
    log.warning("the model ended early", extra={"finish_reason": reason})
    raise failures.broken() if reason in _BROKEN else failures.refused()


def failure(status: int, message: str, retry_after: float | None = None) -> MeshError:
    """The failure that an HTTP status of the API means (https://ai.google.dev/gemini-api/docs/troubleshooting)."""
    log.warning("the model's server refused", extra={"status": status, "error": message[:500]})
    if status == 400 and (counted := _TOKENS.search(message)):
        return PromptTooLong(int(counted[1]))
    if status == 429:
        return failures.busy(retry_after)
    if status >= 500:
        return failures.too_slow() if status == 504 else failures.unreachable()
    if "API key" in message:
        status = 401
    return failures.misconfigured(_REMEDIES.get(status, f"Gemini refused the request ({status})"))
