"""Who has a certificate in a stack, and where its files are. Apart from `stack.certs`, which loads what makes them."""

from pathlib import Path
from typing import NamedTuple

NAMES = ("gateway", "library", "search", "generation", "cache", "jobs", "worker", "operator")
OPERATOR = "operator"


class TlsPaths(NamedTuple):
    """The files of one process."""

    certificate: Path
    key: Path
    authorities: Path

    def variables(self) -> dict[str, str]:
        """The settings that name them."""
        names = ("GAJI_TLS_CERT_FILE", "GAJI_TLS_KEY_FILE", "GAJI_TLS_CA_FILE")
        return dict(zip(names, map(str, self), strict=True))


def paths_of(folder: Path, name: str) -> TlsPaths:
    """Where a process's files are in a folder."""
    return TlsPaths(folder / f"{name}.pem", folder / f"{name}-key.pem", folder / "ca.pem")
