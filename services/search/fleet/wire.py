"""Batches, and what became of them, as bytes."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import orjson

from services.search.ports import Reading, Tokens

_HEAD = struct.Struct("<16sB")  # of a reply: the batch, the kind
_SHAPE = struct.Struct("<III")  # of a reading: texts, numbers of a vector, numbers of a token's state (0: no tokens)


class Kind(IntEnum):
    """What a worker says of a batch."""

    BEGUN = 1
    READ = 2
    REFUSED = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Passages to be read.

    Attributes:
        replies: the list in Valkey for what becomes of them.
        texts: the passages.
    """

    replies: str
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a batch.

    Attributes:
        batch: its id, 32 hexadecimal digits.
        kind: what became of it.
        body: the reading, or why there is none in UTF-8.
    """

    batch: str
    kind: Kind
    body: bytes = b""


def packed_batch(batch: Batch) -> bytes:
    """A batch as bytes."""
    return orjson.dumps({"replies": batch.replies, "texts": batch.texts})


def batch_of(data: bytes) -> Batch:
    """A batch from bytes.

    Raises:
        ValueError: they are none of a batch.
    """
    try:
        told = orjson.loads(data)
        return Batch(str(told["replies"]), [str(text) for text in told["texts"]])
    except (KeyError, TypeError) as error:
        raise ValueError("not a batch") from error


def packed_reply(reply: Reply) -> bytes:
    """A reply as bytes."""
    return _HEAD.pack(bytes.fromhex(reply.batch), reply.kind) + reply.body


def reply_of(data: bytes) -> Reply:
    """A reply from bytes.

    Raises:
        ValueError: they are none of a reply.
    """
    if len(data) < _HEAD.size:
        raise ValueError("not a reply: too short")
    batch, kind = _HEAD.unpack_from(data)
    return Reply(batch.hex(), Kind(kind), data[_HEAD.size :])


def packed_reading(reading: Reading) -> bytes:
    """A reading as bytes: some 12 KB a passage of MiniLM's, most of it the states of tokens.

    Vectors stay in 32 bits: in 16 they would take 6 % less, and no longer be those that search computes itself.
    """
    tokens = reading.tokens
    numbers = tokens[0].states.shape[1] if tokens else 0
    parts = [_SHAPE.pack(*reading.vectors.shape, numbers), reading.vectors.astype("<f4").tobytes()]
    if tokens:
        parts.append(np.asarray([len(one.ids) for one in tokens], dtype="<u4").tobytes())
        parts += [one.ids.astype("<u2").tobytes() for one in tokens]
        parts += [one.states.astype("i1").tobytes() for one in tokens]
    return b"".join(parts)


def reading_of(data: bytes, texts: int, dimension: int) -> Reading:
    """A reading from bytes.

    Args:
        data: made by `packed_reading`.
        texts: how many it should be of.
        dimension: of their vectors.

    Raises:
        ValueError: they are none of such a reading.
    """
    if len(data) < _SHAPE.size:
        raise ValueError("not a reading: too short")
    rows, width, numbers = _SHAPE.unpack_from(data)
    if (rows, width) != (texts, dimension):
        raise ValueError(f"a reading of {rows} texts and {width} numbers instead of {texts} and {dimension}")
    part = _Parts(data, _SHAPE.size)
    vectors = part.take("<f4", rows * width).astype(np.float32).reshape(rows, width)
    if not numbers:
        part.end()
        return Reading(vectors)
    counts = part.take("<u4", rows).astype(np.int64)
    ends = np.cumsum(counts)[:-1]
    ids = np.split(part.take("<u2", int(counts.sum())).astype(np.uint16), ends)
    states = part.take("i1", int(counts.sum()) * numbers).astype(np.int8).reshape(-1, numbers)
    part.end()
    return Reading(vectors, [Tokens(*one) for one in zip(ids, np.split(states, ends), strict=True)])


class _Parts:
    """Arrays that stand one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def take(self, kind: str, count: int) -> npt.NDArray[np.generic]:
        array: npt.NDArray[np.generic] = np.frombuffer(self._data, dtype=kind, count=count, offset=self._at)
        self._at += array.nbytes
        return array

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError(f"not a reading: {len(self._data) - self._at} bytes too many")
