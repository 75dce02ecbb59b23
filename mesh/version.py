"""Which release this is."""

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("gaji")
    except PackageNotFoundError:  # run from its folder
        return ""


VERSION = _version()
"""Read when the module is, for it is in a file; empty: not known."""
