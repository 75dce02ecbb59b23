"""Queries about the test novels in another language than theirs, and where in the novels the answers stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.search.models import Passage


@dataclass(frozen=True, slots=True)
class Asked:
    """A query.

    Attributes:
        novel: the name of the novel's file.
        language: the query's.
        query: what is looked for.
        at: where it stands, each as the number of white-space separated words of the file before it.
    """

    novel: str
    language: str
    query: str
    at: tuple[int, ...]


def spans(text: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """The words of a text from which to which each of its passages goes, the last not included."""
    words, found, start = text.split(), [], 0
    for passage in passages:
        inside = passage.content.split()
        head = inside[:8]
        while words[start : start + len(head)] != head:  # headings are in no passage
            start += 1
        found.append((start, start + len(inside)))
        start += len(inside)
    return found


def found_at(asked: Asked, ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the ranges of words holds an answer."""
    return any(start <= at + 3 < end for start, end in ranges for at in asked.at)


QUERIES = [
    Asked("pride-and-prejudice", "ko", "다아시가 엘리자베스에게 처음으로 사랑을 고백하며 청혼한다", (58335,)),
    Asked(
        "pride-and-prejudice", "ko", "무도회에서 다아시가 엘리자베스를 별로 예쁘지 않다며 춤추기를 거절한다", (2695,)
    ),
    Asked("pride-and-prejudice", "ko", "엘리자베스가 아픈 언니를 보려고 진흙탕 길을 걸어간다", (9078, 9257)),
    Asked("pride-and-prejudice", "ko", "숲이 끝나고 펨벌리 저택이 처음으로 눈에 들어온다", (74902,)),
    Asked("pride-and-prejudice", "ko", "콜린스의 청혼을 엘리자베스가 받아들였다면?", (32465, 33614)),
    Asked("dracula", "ko", "면도하는데 백작이 거울에 비치지 않는다", (10603,)),
    Asked("dracula", "ko", "백작이 도마뱀처럼 성벽을 기어 내려간다", (14571, 14645)),
    Asked("dracula", "ko", "아서가 루시의 심장에 말뚝을 박는다", (90672, 90874)),
    Asked("dracula", "ko", "정신병원 환자가 파리와 거미를 모아 키운다", (29149, 29227)),
    Asked("dracula", "ko", "하커가 성에서 만난 세 여자에게 피를 빨렸다면?", (15821,)),
    Asked("frankenstein", "ko", "괴물이 누런 눈을 뜨며 깨어난다", (14815,)),
    Asked("frankenstein", "ko", "결혼식 날 밤에 찾아오겠다고 괴물이 협박한다", (54742, 54911)),
    Asked("frankenstein", "ko", "눈먼 노인이 악기를 연주하는 오두막", (34094,)),
    Asked("alice-in-wonderland", "ko", "나를 마시라고 쓰인 병을 발견한다", (1443, 6460)),
    Asked("alice-in-wonderland", "ko", "나뭇가지 위에서 씩 웃고 있는 고양이에게 길을 묻는다", (12644, 12692)),
    Asked("alice-in-wonderland", "ko", "버섯 위에서 물담배를 피우는 애벌레", (8595, 8633)),
    Asked("jane-eyre", "ko", "벌로 붉은 방에 갇힌다", (2810, 3456)),
    Asked("jane-eyre", "ko", "한밤중에 주인의 침대에 불이 난다", (59745, 59766)),
    Asked("jane-eyre", "ko", "결혼식 도중에 이의가 제기되어 식이 중단된다", (116707, 116828, 117058)),
    Asked("jane-eyre", "ko", "헬렌이 제인의 품에 안긴 채 숨을 거둔다", (32182,)),
    Asked("adventures-of-sherlock-holmes", "ko", "언니가 죽기 전에 얼룩 끈이라고 외쳤다", (61447,)),
    Asked(
        "adventures-of-sherlock-holmes", "ko", "거위를 메고 가던 남자가 시비에 휘말려 거위를 떨어뜨린다", (51311, 51399)
    ),
    Asked("adventures-of-sherlock-holmes", "ko", "머리에 뱀을 감은 채 죽어 있는 의사", (67510,)),
    Asked("nalgae", "en", "burning tissue paper with a magnifying glass in the sunlight", (847,)),
    Asked("nalgae", "en", "sniffing the perfume bottles on his wife's dressing table", (950,)),
    Asked("nalgae", "en", "he throws the piggy bank full of silver coins into the toilet", (2206,)),
    Asked("nalgae", "en", "out in the rain at night without an umbrella", (4324,)),
    Asked("nalgae", "en", "he discovers a box of sleeping pills under her dressing table", (4818,)),
    Asked("nalgae", "en", "watching goldfish from the roof of a department store", (5543,)),
    Asked("nalgae", "en", "longing to grow wings and fly once more", (5800,)),
    Asked("nalgae", "en", "bedbugs bite him in his dark room", (1292,)),
    Asked("nalgae", "en", "drinking coffee in the tea room of the railway station", (4197,)),
    Asked("nalgae", "en", "What if the pills she gave him had really been aspirin?", (5140, 5654)),
    Asked("nalgae", "en", "waking up in his wife's bed for the first time", (3208,)),
    Asked("unsu-joeun-nal", "en", "the rickshaw man brings home beef soup for his dead wife", (2610,)),
    Asked("unsu-joeun-nal", "en", "his sick wife begs him not to go out today", (524,)),
    Asked("unsu-joeun-nal", "en", "a student asks the fare to Namdaemun station", (410, 598)),
    Asked("unsu-joeun-nal", "en", "meeting his fat friend in front of a tavern", (1424,)),
    Asked("unsu-joeun-nal", "en", "drunk, he throws his money against the wall and curses it", (1865,)),
    Asked("unsu-joeun-nal", "en", "the baby sucks at an empty breast in the silent house", (2337,)),
    Asked("unsu-joeun-nal", "en", "he weeps in the bar and says that his wife has died", (2077,)),
    Asked("unsu-joeun-nal", "en", "What if he had not slapped his ailing wife for eating too greedily?", (293,)),
]
