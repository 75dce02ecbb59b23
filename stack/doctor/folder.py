"""The data folder: whose it is, what is left there by a stack that was killed, its certificates and its time."""

import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.identity import SKEW_SECONDS
from stack.backup.unfinished import is_unfinished
from stack.cert_paths import NAMES, paths_of
from stack.doctor.finding import Finding
from stack.state import read_state, state_file

_GIB = 1024**3
_OTHERS = 0o077
_SOON = timedelta(days=1)


def disk(data_dir: Path, free: int | None = None) -> Iterator[Finding]:
    """Whether the folder can be written, and whether there is room.

    Args:
        data_dir: the folder.
        free: bytes that are free; None: as the system says.
    """
    folder = data_dir.resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    writable = os.access(there, os.W_OK | os.X_OK)
    yield Finding("data folder", str(folder), "" if writable else "choose one that you may write to, with --data-dir")
    free = shutil.disk_usage(there).free if free is None else free
    remedy = "" if free > 2 * _GIB else "make room: a stack takes 0.2 GiB, each novel some 20 MiB"
    yield Finding("disk", f"{free / _GIB:.1f} GiB free", remedy, fatal=free < _GIB // 4)


def owner(data_dir: Path) -> Iterator[Finding]:
    """Whose the folder is, and who may read its secrets."""
    secrets = data_dir / "secrets"
    for path in (data_dir, data_dir / "run", secrets):
        try:
            uid = path.stat().st_uid
        except FileNotFoundError:
            continue
        except PermissionError:
            uid = -1
        if uid != os.geteuid():
            whose = f"is user {uid}'s" if uid >= 0 else "is closed to you"
            yield Finding(
                "owner",
                f"{path} {whose}, and you are user {os.geteuid()}",
                "run gaji as whoever ran it first, or chown -R it",
                fatal=os.geteuid() != 0,
            )
            return
    open_files = [path.name for path in sorted(secrets.glob("*")) if stat.S_IMODE(path.stat().st_mode) & _OTHERS]
    if open_files:
        yield Finding(
            "secrets",
            f"others can read {', '.join(open_files)}",
            f"chmod -R go-rwx {secrets}, and a new key: gaji keys rotate",
            fatal=False,
        )


def leftovers(data_dir: Path) -> Iterator[Finding]:
    """What a stack that was killed, or a restore that was broken off, has left."""
    if is_unfinished(data_dir):
        yield Finding("restore", "one was broken off", "gaji up ends it, or says how to", fatal=False)
    if read_state(data_dir) is not None:
        return
    if _is_held(data_dir / "run" / "lock"):
        yield Finding("lock", "a stack starts or stops there, or a backup is made", "wait for its end", fatal=False)
        return
    alive = sorted(f"{pid} ({name})" for name, pid in _processes(data_dir) if _runs(pid))
    if alive:
        yield Finding(
            "left over",
            f"processes of a stack that is gone: {', '.join(alive)}",
            f"end them: kill {' '.join(entry.split()[0] for entry in alive)}",
        )
    elif state_file(data_dir).exists():
        yield Finding("left over", "the last stack was killed", "nothing to do: gaji up clears it away", fatal=False)


def clock(data_dir: Path, now: float | None = None) -> Finding:
    """Whether the clock was set back: tokens are good from a moment on, and files are of the past.

    Args:
        data_dir: the folder.
        now: seconds since the epoch; None: as the system says.
    """
    now = time.time() if now is None else now
    files = [path for name in ("secrets", "run", "logs") for path in (data_dir / name).glob("*")]
    newest = max((path.stat().st_mtime for path in files), default=0.0)
    if newest > now + SKEW_SECONDS:
        ahead = timedelta(seconds=int(newest - now))
        return Finding(
            "clock", f"files of the stack are of {ahead} from now", "set the clock, by NTP: timedatectl set-ntp true"
        )
    return Finding("clock", f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC")


def certificates(folder: Path, now: datetime | None = None) -> Iterator[Finding]:
    """Whether those of ``gaji up --tls`` are good; nothing where there are none.

    Args:
        folder: where they are.
        now: the time.
    """
    now = now or datetime.now(UTC)
    if not (folder / "ca.pem").exists():
        return
    wrong = {name: trouble for name in NAMES if (trouble := _trouble(folder, name, now))}
    if wrong:
        what = "; ".join(f"{name}: {trouble}" for name, trouble in wrong.items())
        yield Finding("certificates", what, "make them anew: gaji certs", fatal=False)
    else:
        yield Finding("certificates", f"{len(NAMES)} in {folder}")


def _trouble(folder: Path, name: str, now: datetime) -> str:  # noqa: PLR0911 - one return for each mistake
    files = paths_of(folder, name)
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), None)
        authorities = x509.load_pem_x509_certificates(files.authorities.read_bytes())
    except OSError as error:
        return f"can't be read ({error.strerror})"
    except (ValueError, TypeError):
        return "is no certificate with its key"
    if certificate.not_valid_after_utc < now:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"is good from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
    if certificate.public_key() != key.public_key():
        return "is of another key"
    if not any(_issued(certificate, authority) for authority in authorities if authority.not_valid_after_utc > now):
        return "is of an authority that ca.pem does not name"
    return ""


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _processes(data_dir: Path) -> Iterator[tuple[str, int]]:
    """What the last stack ran, as far as it told."""
    try:
        services = json.loads(state_file(data_dir).read_text(encoding="utf-8"))["services"]
        for name, replicas in services.items():
            for replica in replicas:
                yield name, int(replica["pid"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    try:
        lines = (data_dir / "postgres" / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()
        yield "postgres", int(lines[0])
    except (OSError, ValueError, IndexError):
        pass


def _runs(pid: int) -> bool:
    """Whether a process runs that looks like one of a stack: pids come again."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(word in words for word in (b"services.", b"gateway", b"postgres", b"valkey"))
