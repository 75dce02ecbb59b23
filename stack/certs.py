"""A certificate authority for one's own machine, and a certificate for each process of a stack.

Certificates live a week and are made anew when less than half of it is left; the authority lives a year. A folder holds
``ca.pem`` (what peers trust), ``ca-key.pem``, and ``<name>.pem`` with ``<name>-key.pem`` for each process. Keys are of
mode 0600. Each file is replaced whole; a process that reads in between sees that a pair does not match and looks again.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.tls import peer_id, server_name
from stack.cert_paths import NAMES, OPERATOR, TlsPaths, paths_of
from stack.embedded.account import write_private
from stack.errors import StackError

LIFE = timedelta(days=7)
AUTHORITY_LIFE = timedelta(days=365)
_AUTHORITY_REST = timedelta(days=30)
_LOOK_SECONDS = 3600.0
_SKEW = timedelta(minutes=5)  # clocks differ
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def renew(folder: Path, *, hosts: Sequence[str] = (), force: bool = True, now: datetime | None = None) -> list[str]:
    """Makes what is missing in a folder, and anew what is to be.

    A new authority is trusted beside the one before it, for as long as that lives. Hosts that the operator's
    certificate names already stay.

    Args:
        folder: made with mode 0700.
        hosts: further DNS names and addresses by which servers are reached, beside those of this machine.
        force: whether certificates are made anew that have more than half of their life left.
        now: the time.

    Returns:
        The names of the processes that got a new certificate.

    Raises:
        StackError: the folder can't be used, or a host is neither a name nor an address.
    """
    now = now or datetime.now(UTC)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = [_general(host) for host in dict.fromkeys((*_HERE, *_hosts_in(folder), *hosts))]
        authority = _authority(folder, now)
        made = []
        for name in NAMES:
            paths = paths_of(folder, name)
            if force or not _is_young(paths, authority, now):
                _issue(paths, name, names, authority, now)
                made.append(name)
    except (OSError, ValueError, TypeError) as error:
        raise StackError(
            f"certificates can't be made in {folder}: {error}", "choose another folder, or remove what is broken there"
        ) from None
    return made


async def keep_young(folder: Path, told: "Told") -> None:
    """Renews what is to be renewed in a folder, for as long as it runs."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            made = await asyncio.to_thread(renew, folder, force=False)
        except StackError as error:
            told.say(str(error), "yellow")
        else:
            if made:
                told.say(f"  new certificates: {', '.join(made)}", "dim")


class Told(Protocol):
    """Tells people."""

    def say(self, text: str, style: str = "") -> None:
        """Tells a line."""


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not host or not host.isascii() or any(c in host for c in " /:@"):
            raise ValueError(f"{host!r} is neither a host's name nor an address") from None
        return x509.DNSName(host)


def _hosts_in(folder: Path) -> list[str]:
    file = paths_of(folder, OPERATOR).certificate
    if not file.exists():
        return []
    named = x509.load_pem_x509_certificate(file.read_bytes()).extensions
    names = named.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return [host for host in hosts if host != server_name(OPERATOR)]


def _authority(folder: Path, now: datetime) -> _Authority:
    trusted, key_file = folder / "ca.pem", folder / "ca-key.pem"
    before: list[x509.Certificate] = []
    if trusted.exists() and key_file.exists():
        before = x509.load_pem_x509_certificates(trusted.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            for certificate in before:
                if (
                    certificate.public_key() == key.public_key()
                    and now < certificate.not_valid_after_utc - _AUTHORITY_REST
                ):
                    return _Authority(certificate, key)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gaji development CA {now:%F}")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_file, key)
    kept = [certificate, *(old for old in before if now < old.not_valid_after_utc)]
    write_private(trusted, b"".join(c.public_bytes(Encoding.PEM) for c in kept).decode("ascii"))
    return _Authority(certificate, key)


def _is_young(paths: TlsPaths, authority: _Authority, now: datetime) -> bool:
    if not (paths.certificate.exists() and paths.key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(paths.certificate.read_bytes())
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, InvalidSignature):
        return False  # the authority before made it
    return now < certificate.not_valid_after_utc - LIFE / 2


def _issue(paths: TlsPaths, name: str, hosts: Sequence[x509.GeneralName], authority: _Authority, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    own: list[x509.GeneralName] = [x509.UniformResourceIdentifier(peer_id(name)), x509.DNSName(server_name(name))]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        _builder(subject, authority.certificate.subject, key.public_key(), now, LIFE)
        .add_extension(x509.SubjectAlternativeName([*own, *hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write_key(paths.key, key)
    write_private(paths.certificate, certificate.public_bytes(Encoding.PEM).decode("ascii"))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(path, pem.decode("ascii"))
