"""Stored values as bytes: a header of fixed width, then the value, compressed where that pays.

::

    w   form   margin   renewed until   lease
    1   1      12       12              32      characters

``form`` is the flag of what follows: ``r`` the value as it came, ``z`` compressed by Zstandard (RFC 8878), ``n``
nothing: there is no such thing. ``margin``: the value is stale when it has no more than so many milliseconds to live.
``renewed until`` and ``lease``: who computes it anew, until it has no more than so many milliseconds to live; NEVER:
nobody. A release before this one knew ``v`` and the value alone, which is read here too; it takes ours for a lease of
somebody else, so that both may work on one store.
"""

import asyncio
import sys

from services.cache.ports import Absent, Hit, Lease

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEADER = 58
NEVER = "9" * 12
MIN_COMPRESSED = 1_024
"""Smaller values gain little."""
_OFF_LOOP = 128 * 1024
"""From this size on a thread does it; it takes more than half a millisecond there."""
_LEVEL = 1
_MOST = 2 * 1024 * 1024
_NOBODY = "-" * 32


class DamagedError(Exception):
    """What is stored is not what was written."""


async def written(value: bytes | None, margin_ms: int) -> bytes:
    """The entry of a value, or with None of the knowledge that there is none."""
    form, packed = b"n", b""
    if value is not None:
        form, packed = await asyncio.to_thread(_packed, value) if len(value) >= _OFF_LOOP else _packed(value)
    return b"w%b%012d%b%b%b" % (form, margin_ms, NEVER.encode(), _NOBODY.encode(), packed)


async def read(entry: bytes, ttl_ms: int, renewal: Lease | None) -> Hit | Absent | None:
    """What an entry holds; None: a lease.

    Args:
        entry: as it was written.
        ttl_ms: how long it has to live.
        renewal: the lease that came with it.

    Raises:
        DamagedError: it can't be read.
    """
    kind, form = entry[:1], entry[1:2]
    if kind == b"v":
        return Hit(entry[1:], ttl_ms, ttl_ms)
    if kind != b"w":
        return None
    if form == b"n":
        return Absent(ttl_ms)
    value = entry[HEADER:]
    try:
        if form == b"z":
            value = await asyncio.to_thread(_unpacked, value) if len(value) >= _OFF_LOOP else _unpacked(value)
        return Hit(value, ttl_ms, max(0, ttl_ms - int(entry[2:14])), renewal)
    except (zstd.ZstdError, ValueError) as error:
        raise DamagedError(str(error)) from error


def _packed(value: bytes) -> tuple[bytes, bytes]:
    if len(value) < MIN_COMPRESSED:
        return b"r", value
    packed = zstd.compress(value, _LEVEL)
    return (b"z", packed) if len(packed) < len(value) * 0.9 else (b"r", value)


def _unpacked(packed: bytes) -> bytes:
    unpacking = zstd.ZstdDecompressor()
    value = unpacking.decompress(packed, _MOST)
    if not unpacking.eof:
        raise DamagedError("the value is cut off")
    return value
