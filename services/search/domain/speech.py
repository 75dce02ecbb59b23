"""Who says what: quotations with a speaker whom the text names beside them ("...," said Jane).

Only what is told plainly counts: a verb of speech with a name right before or after the quotation, and the other
quotations of the same paragraph where nobody else is told to speak in it. "I said" is the narrator's, where there is
one (`services.search.domain.narrators`). Korean has the speaker as the only subject
of the sentence around the quotation (particles 은, 는, 이, 가).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from services.search.domain.narrators import narrator
from services.search.domain.quotations import Quotation, Quotations
from services.search.domain.spotting import Spotter

_VERBS = (
    "said|says|cried|replied|asked|answered|exclaimed|whispered|murmured|muttered|remarked|observed|added|continued|"
    "returned|shouted|inquired|enquired|began|repeated|interrupted|explained|screamed|called out|sobbed|sighed|growled|"
    "ejaculated|rejoined|suggested|declared|resumed|responded|protested|demanded|pursued|groaned|gasped|retorted|urged|"
    "pleaded|insisted|persisted|echoed|concluded|went on"
)
_BEFORE_NAME = r"(?:(?:the|poor|old|little|young|good|dear|my|our|friend|dear) )*"
_SAID_NAME = re.compile(rf"[\s,]*(?:{_VERBS}) {_BEFORE_NAME}")
_NAME_COMES = re.compile(rf"\s*{_BEFORE_NAME}", re.IGNORECASE)
_NAME_SAID = re.compile(rf" (?:\w+ly |then |only |also |at once |again )?(?:{_VERBS})\b")
# After "!" or "?" a sentence may begin that tells of a deed: these are the verbs that are nothing but speech.
_SAYS_ONLY = re.compile(r" (?:\w+ly |then )?(?:said|cried|replied|asked|answered|exclaimed|whispered|murmured)\b")
_LEADS_IN = re.compile(rf"(?: \w+ly| then| again)? (?:{_VERBS})\b[^.!?;\"\u201c\u201d\u2018]{{0,60}}[,:]\s*$")
_OTHER_TELLS = re.compile(
    rf"^[\s,]*(?:{_VERBS})\b|^[\s,]*(?:she|he|I|they|the [a-z]+|his [a-z]+|her [a-z]+|my [a-z]+) (?:{_VERBS})\b"
)
_I_SAY = re.compile(rf"[\s,]*(?:(?:{_VERBS}) I\b|I (?:\w+ly )?(?:{_VERBS})\b)")
_I_TELL = re.compile(rf"\bI (?:{_VERBS})\b")
_TAG_REACH = 120  # characters before a quotation in which it may be led in

_KOREAN_SUBJECT = re.compile(r"(?:께서는|께서|은|는|이|가)(?![\uac00-\ud7a3])")
_KOREAN_QUOTING = re.compile(r"\s*(?:이?라고|이?라며|이?라는|하고|하며|하는|고)(?![\uac00-\ud7a3])")
_KOREAN_SAYS = re.compile(r"말하|말했|말한|물었|묻는|대답|소리|외쳤|외치|중얼|불렀|부르|지껄|이르|한다|하였|했다")
_SENTENCE_BREAK = re.compile(r"[.!?\u2026]\s|[\u201d\u300d\u300f\"]")


@dataclass(frozen=True, slots=True)
class Speech:
    """What somebody says in one paragraph.

    Attributes:
        person: index of the speaker.
        position: the passage's.
        quotations: the words, in order.
    """

    person: int
    position: int
    quotations: tuple[str, ...]

    @property
    def words(self) -> int:
        """How many words they are."""
        return sum(len(quotation.split()) for quotation in self.quotations)


def speeches(passages: Sequence[str], spotter: Spotter, *, korean: bool) -> list[Speech]:
    """What is said by people whom the text names, in its order.

    Args:
        passages: the novel's, paragraphs apart by an empty line.
        spotter: finds the people.
        korean: whether the text is Korean.
    """
    quotations = Quotations(passages)
    if korean:
        tell: Callable[[str, Sequence[Quotation], Spotter], list[int | None]] = _korean
    else:
        tell = partial(_english, teller=narrator(passages, spotter, quotations))
    found: list[Speech] = []
    for position, passage in enumerate(passages):
        for paragraph in passage.split("\n\n"):
            quoted = quotations.of(paragraph)
            if not quoted:
                continue
            speakers = tell(paragraph, quoted, spotter)
            for person in dict.fromkeys(speaker for speaker in speakers if speaker is not None):
                said = tuple(q.content for q, speaker in zip(quoted, speakers, strict=True) if speaker == person)
                found.append(Speech(person, position, said))
    return found


def _english(paragraph: str, quoted: Sequence[Quotation], spotter: Spotter, *, teller: int | None) -> list[int | None]:
    speakers: list[int | None] = []
    others = False
    for at, quotation in enumerate(quoted):
        before = quoted[at - 1].end if at else 0
        after = quoted[at + 1].start if at + 1 < len(quoted) else len(paragraph)
        mine = _I_SAY.match(paragraph, quotation.end)
        speaker = teller if mine else _said_after(paragraph, quotation, spotter)
        if speaker is None:
            between = paragraph[quotation.end : after]
            others = others or _OTHER_TELLS.match(between) is not None or _I_TELL.search(between) is not None
            speaker = _leads_in(paragraph, max(before, quotation.start - _TAG_REACH), quotation.start, spotter)
        speakers.append(speaker)
    told = {speaker for speaker in speakers if speaker is not None}
    if len(told) == 1 and not others:
        return [told.pop()] * len(quoted)
    return speakers


def _said_after(paragraph: str, quotation: Quotation, spotter: Spotter) -> int | None:
    """The speaker in `"...," said Jane` or `"...?" Jane asked`."""
    if match := _SAID_NAME.match(paragraph, quotation.end):
        spot = spotter.at(paragraph, match.end())
        return spot.person if spot else None
    last = quotation.content[-1:]
    if last not in ",!?-\u2014":
        return None
    start = _NAME_COMES.match(paragraph, quotation.end)
    spot = spotter.at(paragraph, start.end()) if start else None
    tells = _NAME_SAID if last == "," else _SAYS_ONLY
    return spot.person if spot and tells.match(paragraph, spot.end) else None


def _leads_in(paragraph: str, start: int, end: int, spotter: Spotter) -> int | None:
    """The speaker in `Jane answered, "..."`."""
    led = paragraph[start:end]
    if not led.rstrip().endswith((",", ":")):
        return None
    for spot in reversed(list(spotter.spots(led))):
        if _LEADS_IN.match(led, spot.end):
            return spot.person
    return None


def _korean(paragraph: str, quoted: Sequence[Quotation], spotter: Spotter) -> list[int | None]:
    speakers: list[int | None] = []
    for at, quotation in enumerate(quoted):
        before = quoted[at - 1].end if at else 0
        after = quoted[at + 1].start if at + 1 < len(quoted) else len(paragraph)
        behind = paragraph[quotation.end : after]
        stop = _SENTENCE_BREAK.search(behind)
        behind = behind[: stop.start()] if stop else behind
        subjects = _subjects(behind, spotter) if _KOREAN_QUOTING.match(behind) or _KOREAN_SAYS.search(behind) else set()
        if not subjects:
            ahead = paragraph[before : quotation.start]
            if stops := list(_SENTENCE_BREAK.finditer(ahead)):
                ahead = ahead[stops[-1].end() :]
            subjects = _subjects(ahead, spotter)
        speakers.append(subjects.pop() if len(subjects) == 1 else None)
    return speakers


def _subjects(text: str, spotter: Spotter) -> set[int]:
    return {spot.person for spot in spotter.spots(text) if _KOREAN_SUBJECT.match(text, spot.end)}
