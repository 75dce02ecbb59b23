"""Text of strangers without what is not text: controls, invisible and direction-changing characters.

What is left shows on any screen as what it is, and hides nothing from whoever reads it: neither escape sequences of
terminals nor words that only a model would see. Zero-width joiners stay, which Persian, Indic scripts and emoji need.
NUL stays as well, so that the checks of requests can refuse it by name: no client sends one by mistake of a person.
"""

_REMOVED = (
    *((1, 8), (0x0E, 0x1F), (0x7F, 0x9F)),  # C0 but tab and line feed, DEL, C1
    *((0xAD, 0xAD), (0x180E, 0x180E), (0x200B, 0x200B), (0xFEFF, 0xFEFF)),  # soft hyphen, zero-width spaces
    *((0x61C, 0x61C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F)),  # directions and invisible operators
    *((0xFFF9, 0xFFFB), (0xE0000, 0xE007F)),  # interlinear annotation, tags
    (0xD800, 0xDFFF),  # lone surrogates, which no encoding carries
)
_INVISIBLE: dict[int, str | None] = dict.fromkeys(code for first, last in _REMOVED for code in range(first, last + 1))
_LINE_ENDS = str.maketrans(dict.fromkeys("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", "\n"))
_TEXT = {**_INVISIBLE, **_LINE_ENDS}
# A model's pieces may be cut anywhere, so what ends a line is not looked for across them.
_CONTROLS = {**_INVISIBLE, 0: None, 0x0B: "\n", 0x0C: "\n", 0x0D: None, 0x2028: "\n", 0x2029: "\n"}
# All that Unicode's compatibility forms turn into these: the tests look at every character there is.
_FOLDED: dict[str, str | None] = {
    **dict.fromkeys("<\ufe64\uff1c\u226e", "\u2039"),
    **dict.fromkeys(">\ufe65\uff1e\u226f", "\u203a"),
    **dict.fromkeys("[\ufe47\uff3b", "("),
    **dict.fromkeys("]\ufe48\uff3d", ")"),
    "\0": None,
}
_DISARMED = {**_TEXT, **str.maketrans(_FOLDED)}


def text(value: str) -> str:
    """Lines of text; all that ends a line has become a line feed."""
    if value.isprintable():  # by far the faster test, which all that is cut or replaced below fails
        return value
    return value.replace("\r\n", "\n").translate(_TEXT)


def line(value: str) -> str:
    """One line of text, without outer spaces; white space of any kind and length has become one space."""
    return " ".join(text(value).split())


def piece(value: str) -> str:
    """A piece of a longer text, cut anywhere; without NUL."""
    return value if value.isprintable() else value.translate(_CONTROLS)


def disarmed(value: str) -> str:
    """Lines of text that cannot end the section of a model's prompt that they stand in.

    Angle brackets are replaced, and those that a normalizing tokenizer would make into such (NFKC); square ones become
    round. So the text holds no tag of ours and no control token of a chat template: ``<|im_end|>``, ``[INST]``.
    """
    return value.replace("\r\n", "\n").translate(_DISARMED)


def disarmed_line(value: str) -> str:
    """The same in one line, without outer spaces."""
    return " ".join(disarmed(value).split())
