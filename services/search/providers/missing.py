"""What to say when a provider's package is not installed."""

from mesh.errors import FailedPrecondition


def not_installed(provider: str, extra: str, error: ImportError) -> FailedPrecondition:
    """The error for a provider that cannot be loaded.

    Args:
        provider: its name.
        extra: the extra of this project that brings what is missing.
        error: what the import said.
    """
    return FailedPrecondition(
        f"the embedding provider {provider!r} is not installed here ({error}): "
        f"install gaji[{extra}], or set GAJI_EMBEDDER",
        reason="EMBEDDER_NOT_INSTALLED",
    )
