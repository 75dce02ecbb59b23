"""What the vendors of language models share: answers in JSON, and the ways in which they fail."""

import orjson

from mesh.errors import FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.search.ports import MODEL_REFUSED

LONGEST_ANSWER = 1_048_576
"""Bytes of an answer; what is longer is none."""


def json_of(text: str) -> object:
    """The JSON of an answer, which some models put between words or fences.

    Raises:
        ValueError: there is none.
    """
    start = min((at for mark in "{[" if (at := text.find(mark)) >= 0), default=0)
    end = max(text.rfind("}"), text.rfind("]")) + 1
    value: object = orjson.loads(text[start : end or None])
    return value


def refused(why: str) -> FailedPrecondition:
    """The model does not answer this, and may answer others."""
    return FailedPrecondition(f"the language model declined: {why}", reason=MODEL_REFUSED)


def unreachable() -> Unavailable:
    """The model's server does not answer, or its answer breaks off."""
    return Unavailable("the language model does not answer; try again", reason="MODEL_UNREACHABLE")


def failure(status: int, message: str, remedies: str, retry_after: float | None = None) -> MeshError:
    """The failure that an HTTP status means.

    Args:
        status: the status.
        message: what the vendor says.
        remedies: the settings to look at, should it be the operator's to mend.
        retry_after: seconds after which the vendor wants to be asked again.
    """
    if status == 429:
        return ResourceExhausted(
            "the language model's quota is used up", reason="MODEL_QUOTA", retry_after=retry_after or 30.0
        )
    if status in {401, 403, 404} or "API key" in message:
        return FailedPrecondition(
            f"the language model's server refuses ({status}): check {remedies}", reason="MODEL_MISCONFIGURED"
        )
    return refused(f"{status}: {message[:200]}") if status < 500 else unreachable()
