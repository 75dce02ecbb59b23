"""Mutual TLS between processes: who they are by certificate, and the files that say so, read again when they change.

A process is known by the URI in its certificate, ``spiffe://gaji/<name>`` (SPIFFE ID,
https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md), and a server also by the DNS name
``<name>.gaji.internal``, which every channel insists on: the certificate of one room does not pass for another's.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import Counter, Gauge

from mesh.config import MeshSettings
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY

log = get_logger(__name__)

_ID = "spiffe://gaji/"
_REMEDY = "`gaji certs` makes what a process needs"
_RELOADS = Counter("gaji_tls_reloads_total", "Changed certificates, taken or refused.", ["result"], registry=REGISTRY)
_NOT_AFTER = Gauge(
    "gaji_tls_not_after_timestamp_seconds", "When this process's certificate ends (Unix time).", registry=REGISTRY
)


def peer_id(name: str) -> str:
    """The SPIFFE ID of a process."""
    return _ID + name


def peer_name(spiffe_id: str) -> str:
    """The process that a SPIFFE ID names; empty: none of ours."""
    return spiffe_id.removeprefix(_ID) if spiffe_id.startswith(_ID) else ""


def server_name(name: str) -> str:
    """The DNS name that a server's certificate must bear."""
    return f"{name}.gaji.internal"


def server_name_of(services: Sequence[ServiceDescriptor]) -> str:
    """The DNS name of the room that offers services (``gaji.library.v1`` is library's).

    Raises:
        ValueError: none are given, or they are of several rooms: it would be anybody's guess who answers.
    """
    rooms = {service.full_name.split(".")[1] for service in services}
    if len(rooms) != 1:
        raise ValueError(f"with TLS a channel leads to one room: give its services (these are of {sorted(rooms)})")
    return server_name(rooms.pop())


@dataclass(frozen=True, slots=True)
class Material:
    """What a process shows and whom it trusts, in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a client."""
        return grpc.ssl_channel_credentials(self.authorities, self.key, self.certificate)

    def server_configuration(self) -> Any:
        """For a server."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authorities)


class TlsFiles:
    """The three files of a process and what was last read of them. Every method reads from disk.

    Args:
        certificate: PEM of the certificate, followed by intermediate ones if there are any.
        key: PEM of its private key.
        authorities: PEM of the certificates that are trusted to vouch for peers.
    """

    def __init__(self, certificate: Path, key: Path, authorities: Path) -> None:
        self._paths = (certificate, key, authorities)
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self._refused = ""
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: MeshSettings) -> Self | None:
        """Those of the settings; None: TLS is off."""
        if settings.tls_cert_file is None or settings.tls_key_file is None or settings.tls_ca_file is None:
            return None
        return cls(settings.tls_cert_file, settings.tls_key_file, settings.tls_ca_file)

    def load(self) -> Material:
        """What the files hold.

        Raises:
            OSError: one can't be read.
            ValueError: they don't parse, don't belong together, or the certificate has ended.
        """
        with self._lock:
            return self._load(self._stamps())

    def changed(self) -> Material | None:
        """What the files hold, if that is new since the last look, and whole; a warning says when it is not."""
        with self._lock:
            try:
                stamps = self._stamps()
                if stamps == self._seen:
                    return None
                self._seen = stamps  # what is refused is not looked at again until it changes
                material = self._load(stamps)
            except (OSError, ValueError) as error:
                # Between the two renames of a renewal the pair does not match: the next look will find it whole.
                if str(error) != self._refused:
                    self._refused = str(error)
                    _RELOADS.labels("refused").inc()
                    log.warning("changed TLS files are not taken", extra={"error": self._refused})
                return None
            self._refused = ""
        _RELOADS.labels("taken").inc()
        return material

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in (path.stat() for path in self._paths))

    def _load(self, stamps: tuple[tuple[int, int, int], ...]) -> Material:
        certificate, key, authorities = (path.read_bytes() for path in self._paths)
        ends = self._checked(certificate, key, authorities)
        self._seen = stamps
        _NOT_AFTER.set(ends.timestamp())
        return Material(certificate, key, authorities)

    def _checked(self, certificate: bytes, key: bytes, authorities: bytes) -> datetime:
        """When the certificate ends."""
        names = ("GAJI_TLS_CERT_FILE", "GAJI_TLS_KEY_FILE", "GAJI_TLS_CA_FILE")
        parsed: list[Any] = []
        readers: tuple[Callable[[bytes], Any], ...] = (
            x509.load_pem_x509_certificate,
            _load_key,
            x509.load_pem_x509_certificates,
        )
        for name, path, read, data in zip(names, self._paths, readers, (certificate, key, authorities), strict=True):
            try:
                parsed.append(read(data))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{name} ({path}) holds no usable PEM: {error}; {_REMEDY}") from error
        leaf, private, _ = parsed
        if _public(leaf.public_key()) != _public(private.public_key()):
            raise ValueError(f"{names[1]} ({self._paths[1]}) is not the key of {names[0]}; {_REMEDY}")
        ends: datetime = leaf.not_valid_after_utc
        if ends <= datetime.now(UTC):
            raise ValueError(f"the certificate in {names[0]} ({self._paths[0]}) ended at {ends:%F %T} UTC; {_REMEDY}")
        return ends


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """For a server: clients must show a certificate, and each handshake looks whether the files have changed.

    The look is three ``stat`` calls, in the thread of gRPC that shakes hands.

    Raises:
        OSError: a file can't be read.
        ValueError: the files are unusable.
    """

    def fetch() -> Any:
        material = files.changed()
        return None if material is None else material.server_configuration()

    return grpc.dynamic_ssl_server_credentials(
        files.load().server_configuration(), fetch, require_client_authentication=True
    )


def _load_key(data: bytes) -> Any:
    return load_pem_private_key(data, None)


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
