"""Estimates of tokens, for models that count only what they are given."""

import math
import string

# Measured with SmolLM2's tokenizer on 400-character pieces of eight novels: letters and spaces of English run at 3.6
# to 5 characters a token; digits and signs have a token each; a byte-level tokenizer never makes more than one token
# of a byte, which is what Korean comes near to. So the estimate is high for nearly all prose. Text that beats it
# (random letters do) is caught by the model itself: see `PromptTooLong`.
_LETTERS_PER_TOKEN = 3.6
_PLAIN = (string.ascii_letters + string.whitespace + "\x1c\x1d\x1e\x1f").encode()


def estimate(text: str) -> int:
    """About how many tokens a text has, rather too many than too few; at least as many for a text as for its parts."""
    if text.isascii():
        signs = len(text.encode().translate(None, _PLAIN))
        return math.ceil((len(text) - signs) / _LETTERS_PER_TOKEN + signs)
    ascii_only = text.encode("ascii", "ignore")
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - len(ascii_only)
    signs = len(ascii_only.translate(None, _PLAIN))
    return math.ceil((len(ascii_only) - signs) / _LETTERS_PER_TOKEN + signs + other_bytes)


def clipped(text: str, tokens: int, *, keep_end: bool = False) -> str:
    """The text within so many tokens, cut at a space where there is one near; the cut is marked with an ellipsis.

    Args:
        text: what to cut.
        tokens: how many tokens it may have; 0 or fewer: an empty text is returned.
        keep_end: whether the middle goes and not the end, as befits a message that ends with its question.
    """
    if tokens <= 0:
        return ""
    if len(text) * _MOST_BYTES <= tokens or estimate(text) <= tokens:  # a text has no more tokens than bytes
        return text
    room = tokens - estimate(_MARK)
    if room <= 0:
        return ""
    if not keep_end:
        return _head(text, room) + _MARK
    head = _head(text, room // 2)
    tail = _head(text[::-1], room - room // 2)[::-1]
    return head + _MARK + tail


_MARK = " ... "
_MOST_BYTES = 4  # of a character


def _head(text: str, tokens: int) -> str:
    # The estimate never falls when a text grows, so the longest head is found by bisection.
    low, high = 0, min(len(text), int(tokens * _LETTERS_PER_TOKEN) + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if estimate(text[:middle]) <= tokens else (low, middle - 1)
    head = text[:low]
    space = head.rfind(" ")
    return head[:space] if space > low * 0.8 else head
