"""How a reply goes on whose writer has died in the middle of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from mesh.plain_text import disarmed
from services.generation.ports import Passage, Prompt, Turn

# The end of a sentence: a stop with its quotes and brackets, before a space. Of a text that ends with a stop nobody
# knows whether it goes on ("3.14"), so its last sentence only counts when something follows.
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u2019\u201d\u300d\u300f)\]]*(?=\s)|\n")
_GO_ON = "(You were interrupted. Go on exactly where your answer ends, and repeat none of it.)"


def whole_sentences(text: str) -> str:
    """The text up to its last whole sentence; empty: there is none."""
    end = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
    return text[:end]


def to_be_continued(prompt: Prompt, text: str, *, continues: bool) -> Prompt:
    """The prompt of the rest of a reply.

    Args:
        prompt: that of the whole.
        text: what stands of the reply.
        continues: whether the model can go on behind a given beginning; others are shown it as their own words and
            asked for more.
    """
    if not text:
        return prompt
    text = disarmed(text)
    if continues:
        return replace(prompt, prefix=text)
    return replace(prompt, turns=(*prompt.turns, Turn("assistant", text), Turn("user", _GO_ON)))


def joined(text: str, piece: str) -> str:
    """A piece that follows a text which was cut at the end of a sentence, with a space between them."""
    return f" {piece}" if text and piece and not text[-1].isspace() and not piece[0].isspace() else piece


@dataclass(frozen=True, slots=True)
class How:
    """Who writes a reply and in which ways it is less than it could be.

    A note of its own: a replica of a release that knows none may take the reply over.
    """

    NAME = "how"

    provider: str
    model: str
    degraded: tuple[str, ...] = ()

    def dumps(self) -> bytes:
        """The note as JSON."""
        return orjson.dumps([self.provider, self.model, self.degraded])

    @classmethod
    def loads(cls, data: bytes) -> "How":
        """What `dumps` gave."""
        provider, model, degraded = orjson.loads(data)[:3]
        return cls(provider, model, tuple(degraded))


@dataclass(frozen=True, slots=True)
class Notes:
    """What a successor must know beside the text: the same prompt, and when the reply was asked for.

    Attributes:
        passages: what the model was given.
        started: when the reply was begun, in seconds since the epoch.
        first_token_ms: how long the first token took; 0: there was none yet.
        text_is_whole: whether the model had said all that it had to say.
        counts: tokens of prompt and reply as counted so far.
    """

    NAME = "notes"

    passages: Sequence[Passage] = ()
    started: float = 0.0
    first_token_ms: int = 0
    text_is_whole: bool = False
    counts: tuple[int, int] = (0, 0)

    def dumps(self) -> bytes:
        """The notes as JSON."""
        passages = [(passage.passage_id, passage.content, passage.chapter) for passage in self.passages]
        return orjson.dumps([passages, self.started, self.first_token_ms, self.text_is_whole, self.counts])

    @classmethod
    def loads(cls, data: bytes) -> "Notes":
        """What `dumps` gave."""
        passages, started, first_token_ms, text_is_whole, counts = orjson.loads(data)
        return cls([Passage(*passage) for passage in passages], started, first_token_ms, text_is_whole, tuple(counts))
