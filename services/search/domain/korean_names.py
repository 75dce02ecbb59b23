"""Finds the people of a Korean text by the particles behind a word; no model is used.

A word that takes many particles is a noun. One that also takes those of living beings (에게, 한테, 께서), bears an
honorific (씨, 군, 양, 님) or begins what is told with a verb of speech is somebody. This finds what a story calls its
people, names ("김첨지") and roles ("아내") alike.

Then the forms of a name are brought together: with and without the 이 that follows a name's last consonant (치삼,
치삼이), an honorific (영희, 영희 씨, 영희양), or the family name (김영희), where it is one person's alone.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from services.search.domain.lexicon import words
from services.search.domain.spotting import PARTICLES
from services.search.models import Name

MIN_MENTIONS = 5
MIN_PARTICLES = 3
"""Different particles that make a word a noun."""

_WORD = re.compile(r"[\uac00-\ud7a3]+")
_LIVING = ("에게", "한테", "께서", "더러")
_SUBJECT = frozenset({"은", "는", "이", "가", "도", "께서", "께서는"})
_SPEECH = re.compile(
    r"(말하|말했|물었|묻|대답|소리치|소리쳤|소리를 지르|소리를 질|외쳤|외치|중얼|불렀|부르|웃|울었|울며|지껄|이르)"
)
_REACH = 40  # characters after a subject in which its verb of speech stands
_NOT_NAMES = words(
    """
    나 너 저 내 네 제 그 이 우리 저희 너희 그들 자기 자신 누구 무엇 아무 그녀 당신 여러분 이것 그것
    저것 여기 거기 저기 사람 사람들 것 일 말 때 곳 수 번 날 밤 오늘 내일 어제 지금 하나 둘 모두
    서로 다시 소리 생각 마음 얼굴 손 눈 입 몸 머리 돈 집 방
    """
)
_HONORIFICS = ("선생님", "선생", "아저씨", "아주머니", "씨", "군", "양", "님")
# As words of their own; a sheep (양) or a county (군) follows no name without a particle.
_HONORIFIC_BEHIND = re.compile(rf" (?P<title>씨|군|양|님|선생님|선생)(?:{'|'.join(PARTICLES)})?(?![\uac00-\ud7a3])")
# The hundred commonest family names, which nine in ten Koreans bear (Statistics Korea, census of 2015), as far as they
# are no common syllable of other words, and those of two syllables.
_FAMILY_NAMES = words(
    """
    김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 전 홍 유 고 문 양 손 배 백 허 남 심 노 하 곽 성 차 주
    우 구 민 류 나 진 지 엄 채 원 천 방 공 현 함 변 염 여 추 도 소 석 선 설 마 길 연 위 표 명 기 반 왕 금 옥 육 인
    맹 제 모 탁 국 어 은 편 용 예 경 봉 사 부 가 복 태 목 형 피 두 감 음 빈 동 온 호 범 좌 팽 승 간 견
    남궁 황보 제갈 선우 독고 사공 서문 동방
    """
)
_BY_END = {end: tuple(one for one in PARTICLES if one[-1] == end) for end in {one[-1] for one in PARTICLES}}
_FIRST, _FINALS = 0xAC00, 28  # Unicode: a syllable's final consonant is its number from 가 on, modulo 28; 0: none


def find_names(passages: Sequence[str]) -> list[Name]:
    """The people that the passages name, most named first; an empty list when nothing looks like one."""
    particles: dict[str, Counter[str]] = defaultdict(Counter)
    places: dict[str, Counter[int]] = defaultdict(Counter)
    living: defaultdict[str, float] = defaultdict(float)
    titled: defaultdict[str, Counter[str]] = defaultdict(Counter)
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
            elif not particle and (behind := _HONORIFIC_BEHIND.match(passage, match.end())):
                titled[stem][f"{stem} {behind['title']}"] += 1
                living[stem] += 1
    for stem in list(places):
        base = _without_ending(stem)
        if base is not None and len(particles[base].keys() - {"", "이"}) > 1:  # 치삼이가 beside 치삼은: only of names
            living[base] += places[stem].total()
    groups = _merged(places, living)
    names = []
    for name, forms in groups.items():
        taken = {particle for form in forms for particle in particles[form]} - {""}
        named: Counter[int] = Counter()
        for form in forms:
            named.update(places[form])
        alive = sum(living[form] for form in forms)
        if named.total() >= MIN_MENTIONS and len(taken) >= MIN_PARTICLES and alive >= max(1, named.total() * 0.06):
            names.append(_name(name, forms, places, titled, named))
    return sorted(names, key=lambda name: (-name.mentions, name.name))


def _name(
    name: str,
    forms: Sequence[str],
    places: Mapping[str, Counter[int]],
    titled: Mapping[str, Counter[str]],
    named: Counter[int],
) -> Name:
    spelled = Counter({form: places[form].total() for form in forms})
    firsts = {form: min(places[form]) for form in forms}
    for form in forms:
        for spelling, count in titled.get(form, {}).items():
            spelled[spelling] = count
            firsts[spelling] = firsts[form]
    return Name(name, dict(spelled.most_common()), dict(named), firsts)


def _split(word: str) -> tuple[str, str]:
    for particle in _BY_END.get(word[-1], ()):
        if word.endswith(particle) and len(word) - len(particle) >= 2:
            return word[: -len(particle)], particle
    return word, ""


def _merged(places: Mapping[str, Counter[int]], living: Mapping[str, float]) -> dict[str, list[str]]:
    """Stems by the person's most used stem."""
    whole: dict[str, str] = {stem: stem for stem in places}
    for stem in places:
        base = _without_honorific(stem) or _without_ending(stem)
        if base is not None and base in places and living.get(base):
            whole[stem] = base
    bearers: dict[str, list[str]] = defaultdict(list)
    for stem in places:
        if whole[stem] == stem and (given := _given_name(stem)) and living.get(stem) and living.get(given):
            bearers[whole[given]].append(stem)
    for given, full in bearers.items():
        if len(full) == 1:  # of two families' children neither is meant for sure
            whole[full[0]] = given
    groups: dict[str, list[str]] = defaultdict(list)
    for stem in places:
        root = stem
        while whole[root] != root:
            root = whole[root]
        groups[root].append(stem)
    return {max(forms, key=lambda form: (places[form].total(), form)): forms for forms in groups.values()}


def _without_honorific(stem: str) -> str | None:
    for title in _HONORIFICS:
        if stem.endswith(title) and len(stem) - len(title) >= 2:
            return stem[: -len(title)]
    return None


def _without_ending(stem: str) -> str | None:
    """The name that takes 이 behind its last consonant: 치삼 of 치삼이."""
    base = stem[:-1]
    return base if stem[-1] == "이" and len(base) >= 2 and (ord(base[-1]) - _FIRST) % _FINALS else None


def _given_name(stem: str) -> str | None:
    """What follows the family name in a whole name of the usual length."""
    for length in (2, 1):
        if stem[:length] in _FAMILY_NAMES and len(stem) == length + 2:
            return stem[length:]
    return None
