"""Finds the people of a Korean text by the particles behind a word; no model is used.

A word that takes many particles is a noun. One that also takes those of living beings (에게, 한테, 께서) or begins what
is told with a verb of speech is somebody. This finds what a story calls its people, names ("김첨지") and roles ("아내")
alike.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from services.search.domain.lexicon import words
from services.search.models import Name

MIN_MENTIONS = 5
MIN_PARTICLES = 3
"""Different particles that make a word a noun."""

_WORD = re.compile(r"[\uac00-\ud7a3]+")
_PARTICLES = (
    *("에게서는", "에게서", "에게는", "에게도", "에게로", "에게", "한테서", "한테", "께서는", "께서", "더러"),
    *("이라는", "라는", "이나", "까지", "부터", "처럼", "하고", "이랑", "랑"),
    *("은", "는", "이", "가", "을", "를", "의", "와", "과", "도", "만", "야", "아"),
)
_LIVING = ("에게", "한테", "께서", "더러")
_SUBJECT = frozenset({"은", "는", "이", "가", "도", "께서", "께서는"})
_SPEECH = re.compile(r"(말하|말했|물었|묻|대답|소리|외쳤|외치|중얼|불렀|부르|웃|울었|울며|지껄|이르)")
_REACH = 40  # characters after a subject in which its verb of speech stands
_NOT_NAMES = words(
    """
    나 너 저 내 네 제 그 이 우리 저희 너희 그들 자기 자신 누구 무엇 아무 그녀 당신 여러분 이것 그것
    저것 여기 거기 저기 사람 사람들 것 일 말 때 곳 수 번 날 밤 오늘 내일 어제 지금 하나 둘 모두
    서로 다시 소리 생각 마음 얼굴 손 눈 입 몸 머리 돈 집 방
    """
)


def find_names(passages: Sequence[str]) -> list[Name]:
    """The people that the passages name, most named first; an empty list when nothing looks like one."""
    particles: dict[str, Counter[str]] = defaultdict(Counter)
    places: dict[str, Counter[int]] = defaultdict(Counter)
    living: defaultdict[str, float] = defaultdict(float)
    for position, passage in enumerate(passages):
        for match in _WORD.finditer(passage):
            stem, particle = _split(match.group())
            if len(stem) < 2 or stem in _NOT_NAMES:
                continue
            particles[stem][particle] += 1
            places[stem][position] += 1
            if particle.startswith(_LIVING):
                living[stem] += 1
            elif particle in _SUBJECT and _SPEECH.search(passage, match.end(), match.end() + _REACH):
                living[stem] += 0.5
    names = [
        Name(stem, {stem: places[stem].total()}, dict(places[stem]))
        for stem, taken in particles.items()
        if places[stem].total() >= MIN_MENTIONS
        and len(taken.keys() - {""}) >= MIN_PARTICLES
        and living[stem] >= max(1, places[stem].total() * 0.06)
    ]
    return sorted(names, key=lambda name: (-name.mentions, name.name))


def _split(word: str) -> tuple[str, str]:
    for particle in _PARTICLES:
        if word.endswith(particle) and len(word) - len(particle) >= 2:
            return word[: -len(particle)], particle
    return word, ""
