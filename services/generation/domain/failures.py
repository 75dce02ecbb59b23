"""The ways in which a model fails, with one reason each; readers see the messages."""

from mesh.errors import DeadlineExceeded, FailedPrecondition, ResourceExhausted, Unavailable

MISCONFIGURED = "MODEL_MISCONFIGURED"


def misconfigured(what: str) -> FailedPrecondition:
    """The model can't be used until its operator changes something."""
    return FailedPrecondition(what, reason=MISCONFIGURED)


def busy(retry_after: float | None = None) -> ResourceExhausted:
    """The model has more to do than it can.

    Args:
        retry_after: seconds after which it may have room; None: 5.
    """
    return ResourceExhausted(
        "the model is busy; try again soon",
        reason="MODEL_BUSY",
        retry_after=5.0 if retry_after is None else retry_after,
    )


def unreachable() -> Unavailable:
    """The model's server does not answer, or is in trouble."""
    return Unavailable("the model does not answer; try again", reason="MODEL_UNREACHABLE")


def broken() -> Unavailable:
    """The answer ended in the middle, or can't be read."""
    return Unavailable("the model's answer broke off; try again", reason="MODEL_STREAM_BROKEN")


def too_slow() -> DeadlineExceeded:
    """The model, or the rest of the way, took too long."""
    return DeadlineExceeded("the reply took too long; try again", reason="MODEL_TOO_SLOW")


def refused() -> FailedPrecondition:
    """The model's filters stopped the answer."""
    return FailedPrecondition("the model declined to answer this; say it in another way", reason="MODEL_REFUSED")


def silent() -> Unavailable:
    """The model ended without a word."""
    return Unavailable("the model had nothing to say; try again", reason="MODEL_SILENT")
