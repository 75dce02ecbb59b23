"""What a reply is made of, as its reader is told: the passages that the model was given, as citations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import orjson

from mesh import plain_text
from services.generation.ports import Citation, Passage

EXCERPT = 200
"""Characters of an excerpt at most."""
_CUT = "…"


def citations(passages: Sequence[Passage], ids: Sequence[str]) -> tuple[Citation, ...]:
    """The passages with these ids, in the order of the ids; those that are not at hand are left out."""
    known = {passage.passage_id: passage for passage in passages}
    return tuple(_citation(known[passage_id]) for passage_id in ids if passage_id in known)


def within(passages: Sequence[Passage], until_chapter: int | None) -> list[Passage]:
    """The passages that may be shown under a spoiler limit, whoever found them; None: there is none."""
    return [passage for passage in passages if until_chapter is None or passage.chapter <= until_chapter]


def excerpt(content: str) -> str:
    """The beginning of a passage in one line: a model whose prompt has no room for all of it is given that too."""
    text = plain_text.line(content[: 2 * EXCERPT].replace("\0", ""))
    if len(text) <= EXCERPT and len(content) <= 2 * EXCERPT:
        return text
    head = text[: EXCERPT - len(_CUT)]
    word, space, _ = head.rpartition(" ")
    return (word if space and len(word) > EXCERPT // 2 else head) + _CUT


def _citation(passage: Passage) -> Citation:
    return Citation(
        passage_id=passage.passage_id,
        chapter=passage.chapter,
        chapter_title=plain_text.line(passage.chapter_title.replace("\0", "")),
        position=passage.position,
        excerpt=excerpt(passage.content),
        score=passage.score,
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """What a successor must know to cite the same passages and to show the same character.

    A note of its own: a replica of a release that knows none may take the reply over.

    Attributes:
        description: what the chapters within the spoiler limit show of the character; empty: nothing is known.
        places: of each passage its chapter's title, its position and its score.
    """

    NAME = "sources"

    description: str = ""
    places: Sequence[tuple[str, int | None, float]] = ()

    @classmethod
    def of(cls, passages: Sequence[Passage], description: str) -> "Sources":
        """What is to be noted beside the passages themselves."""
        return cls(description, [(one.chapter_title, one.position, one.score) for one in passages])

    def told(self, passages: Collection[Passage]) -> list[Passage]:
        """The passages as they were before only id, text and chapter of them were noted."""
        places = [*self.places, *((("", None, 0.0),) * (len(passages) - len(self.places)))]
        return [
            replace(passage, chapter_title=title, position=position, score=score)
            for passage, (title, position, score) in zip(passages, places, strict=False)
        ]

    def dumps(self) -> bytes:
        """The note as JSON."""
        return orjson.dumps([self.description, self.places])

    @classmethod
    def loads(cls, data: bytes) -> "Sources":
        """What `dumps` gave."""
        description, places = orjson.loads(data)[:2]
        return cls(description, [(title, position, score) for title, position, score in places])
