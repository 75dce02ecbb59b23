"""How much a character matters: named often, in much of the book, and heard."""

MENTIONS, SPREAD, DIALOGUE = 0.5, 0.3, 0.2


def importance(mentions: float, spread: float, dialogue: float | None) -> float:
    """The weighted mean of three shares, 0 to 1, in steps of 0.0001.

    Args:
        mentions: how often the character is named, as a share of the one who is named most.
        spread: the share of the chapters that name the character.
        dialogue: the words that the character is told to say, as a share of the one who says most; None: the text
            tells of nobody who says what, so the other two count alone.
    """
    weighed = MENTIONS * mentions + SPREAD * spread
    if dialogue is None:
        return round(weighed / (MENTIONS + SPREAD), 4)
    return round(weighed + DIALOGUE * dialogue, 4)
