"""The nouns of the search room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of a novel.

    Attributes:
        number: from 1 in the order of the text; 0: what stands before the first heading.
        title: its heading in one line; empty where there is none.
        text: its text without the heading.
    """

    number: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """About 140 words of one chapter, 150 at most unless a single sentence has more.

    Attributes:
        id: a UUID made from novel, position and text.
        content: its text, lines joined, paragraphs kept apart by an empty line.
        chapter: its chapter's number.
        chapter_title: that chapter's heading.
        position: its place in the novel, from 0.
        previous_id: the passage before it; empty at the beginning of the novel.
        next_id: the passage after it; empty at the end.
    """

    id: str
    content: str
    chapter: int
    chapter_title: str
    position: int
    previous_id: str = ""
    next_id: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage stands.

    Attributes:
        id: the passage's id.
        chapter: its chapter's number.
        chapter_title: that chapter's heading.
        position: its place in the novel, from 0.
    """

    id: str
    chapter: int
    chapter_title: str
    position: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A chapter in a table of contents.

    Attributes:
        chapter: its number.
        title: its heading; empty where there is none.
        first_passage_id: its first passage.
        passages: how many it has.
    """

    chapter: int
    title: str
    first_passage_id: str
    passages: int


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a search brought.

    Attributes:
        passage: the passage.
        distance: cosine distance to the query, 0 to 2.
        score: how well it fits by all that is looked at, 0 to 1; to be compared within one answer only.
    """

    passage: Passage
    distance: float
    score: float


@dataclass(frozen=True, slots=True)
class Relation:
    """What somebody is to a character.

    Attributes:
        character_id: the other one's id.
        name: the other one's name.
        kind: what the other one is, e.g. ``"sister"``; empty: the text does not say it plainly.
        strength: how much they are named together, 0 to 1: of the passages that name one, and those that name the
            other, the geometric mean of the shares that name both (the cosine of Salton and McGill, 1983).
        together: passages that name both.
        first_chapter: the chapter of the first of them.
        kind_chapter: the chapter in which the text first says the kind.
    """

    character_id: str
    name: str
    kind: str
    strength: float
    together: int
    first_chapter: int
    kind_chapter: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A line that a character says.

    Attributes:
        content: the words without their quotation marks.
        chapter: the chapter that it stands in, for a spoiler limit.
        passage_id: the passage.
    """

    content: str
    chapter: int
    passage_id: str


@dataclass(frozen=True, slots=True)
class Character:
    """Somebody in a novel.

    Attributes:
        id: a UUID made from novel and name.
        name: the name most used.
        aliases: other names in the text, most used first.
        description: excerpts of the passages that show the character.
        mentions: how often the character is named.
        first_chapter: the chapter of the first mention.
        passage_ids: the passages that the description is made of.
        importance: 0 to 1, see `services.search.domain.importance`.
        alias_chapters: the chapter in which each alias first stands; empty: not known.
        relations: with whom the character is named most, strongest first.
        samples: lines of theirs, in the order of the text.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    description: str
    mentions: int
    first_chapter: int
    passage_ids: tuple[str, ...]
    importance: float = 0.0
    alias_chapters: tuple[int, ...] = ()
    relations: tuple[Relation, ...] = ()
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class CharacterEdit:
    """What a novel's owner has changed about a character; None: as in the book.

    Attributes:
        merged_into: the id of the character that this one is joined with; empty: none.
    """

    character_id: str
    name: str | None = None
    aliases: tuple[str, ...] | None = None
    description: str | None = None
    hidden: bool = False
    merged_into: str = ""


@dataclass(frozen=True, slots=True)
class Edits:
    """All that is changed about a novel's characters.

    Attributes:
        revision: grows with every change; 0: nothing was ever changed.
    """

    revision: int = 0
    edits: tuple[CharacterEdit, ...] = ()


@dataclass(frozen=True, slots=True)
class Novel:
    """The record of a novel: who may see it, and which generation of its rows counts.

    Attributes:
        id: its UUID.
        owner_id: its owner's UUID.
        public: whether everybody may search it.
        generation: the rows that count; 0: none yet, the novel is being ingested for the first time.
        language: a BCP 47 tag.
        embedder: the embedding provider of its passages, which its queries must use.
        dimension: numbers in each of its vectors.
        words: words in its text.
        chapters: chapters found.
        passages: passages stored.
        characters: characters found.
    """

    id: str
    owner_id: str
    public: bool
    generation: int = 0
    language: str = ""
    embedder: str = ""
    dimension: int = 0
    words: int = 0
    chapters: int = 0
    passages: int = 0
    characters: int = 0

    @property
    def ready(self) -> bool:
        """Whether it can be searched."""
        return self.generation > 0

    def visible_to(self, user_id: str | None) -> bool:
        """Whether this reader, or an anonymous caller (None), may know of it."""
        return self.public or (user_id is not None and user_id == self.owner_id)


@dataclass(frozen=True, slots=True)
class Ingested:
    """A novel that was taken in.

    Attributes:
        novel: its record.
        defaults: passages that stand for it where it cannot be searched, in its order.
        characters: most important first.
    """

    novel: Novel
    defaults: Sequence[Passage]
    characters: Sequence[Character]


@dataclass(frozen=True, slots=True)
class Manuscript:
    """A novel as it is handed in.

    Attributes:
        novel_id: its UUID.
        owner_id: its owner's UUID.
        public: whether everybody may search it.
        language: a BCP 47 tag; empty: found from the text.
        text: its text.
    """

    novel_id: str
    owner_id: str
    public: bool
    language: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingestion has come.

    Attributes:
        percent: 0 to 100, never falling.
        stage: a stable word.
        message: the same for people.
        remaining_seconds: how long the rest is going to take; None: nobody knows yet.
    """

    percent: int
    stage: str
    message: str
    remaining_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name in a text, with the spellings that mean the same person.

    Attributes:
        name: the form most used.
        forms: every form with how often it stands in the text, most used first.
        places: where it is named: passage position -> how often.
        firsts: form -> the first passage that has it.
        sex: more than 0 for a man, less for a woman, 0: not known.
    """

    name: str
    forms: Mapping[str, int]
    places: Mapping[int, int]
    firsts: Mapping[str, int] = field(default_factory=dict)
    sex: int = 0

    @property
    def mentions(self) -> int:
        """How often the person is named."""
        return sum(self.places.values())
