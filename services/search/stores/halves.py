"""Small whole numbers as text, two in a byte: the store has a type for text and none for bytes."""

from base64 import b64decode, b64encode

import numpy as np
import numpy.typing as npt

LEVEL = 7
"""Numbers go from minus to plus this."""


def packed(levels: npt.NDArray[np.int8]) -> bytes:
    """Numbers in bytes, the first of two in the high half.

    Args:
        levels: from -7 to 7, of shape (rows, numbers), which are even in number.
    """
    halves = (levels + np.int8(LEVEL)).view(np.uint8)
    return (halves[:, 0::2] << 4 | halves[:, 1::2]).tobytes()


def unpacked(data: npt.NDArray[np.uint8], numbers: int) -> npt.NDArray[np.int8]:
    """The numbers again, of shape (rows, numbers)."""
    halves = data.reshape(-1, numbers // 2)
    levels = np.empty((len(halves), numbers), dtype=np.int8)
    levels[:, 0::2], levels[:, 1::2] = halves >> 4, halves & 15
    levels -= np.int8(LEVEL)
    return levels


def text_of(data: bytes) -> str:
    """Bytes as text."""
    return b64encode(data).decode()


def bytes_of(text: str) -> npt.NDArray[np.uint8]:
    """The bytes of a text."""
    return np.frombuffer(b64decode(text), dtype=np.uint8)
