"""Bytes become characters, whatever writes them; what is no text is refused."""

import codecs
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.library.intake import UnreadableError
from services.library.intake.encodings import decode

TEXTS = {
    "cp932": "今日は朝から雨が降っていたので、私は駅の前の古い喫茶店で友人を二時間も待っていた。" * 20,
    "euc_jp": "今日は朝から雨が降っていたので、私は駅の前の古い喫茶店で友人を二時間も待っていた。" * 20,
    "gb18030": "从前有一座山,山里有一座庙,庙里有一个老和尚在讲故事。" * 20,
    "big5": "從前有一座山,山裡有一座廟,廟裡有一個老和尚在講故事。" * 20,
    "koi8_r": "Сегодня утром шёл дождь, и мы долго ждали поезда на старой станции. " * 20,
    "cp1251": "Сегодня утром шёл дождь, и мы долго ждали поезда на старой станции. " * 20,
    "cp1250": "Był sobie raz król, który miał trzy córki, a każda z nich była piękniejsza. " * 20,
    "cp1252": "Il était une fois une “reine” très âgée… qui n’aimait pas l’hiver à la forêt. " * 20,  # noqa: RUF001 - French
    "cp949": "제1장 바닷가\n\n할머니는 아침마다 “바닷가”로 나갔다. 똠방각하와 펲시콜라도 있었다. " * 5,
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_other_scripts(encoding: str) -> None:
    assert decode(TEXTS[encoding].encode(encoding)) == TEXTS[encoding]


@pytest.mark.parametrize("declared", ["euc-kr", "ks_c_5601-1987", "cp949"])
def test_what_is_declared_counts_when_it_fits(declared: str) -> None:
    short = "뷁"  # beyond EUC-KR, which is what browsers read as CP949
    assert decode(short.encode("cp949"), declared) == short
    assert decode("가을".encode(), "iso-8859-1") == "가을"
    assert decode("é".encode("cp1252"), "no such encoding") == "é"


def test_a_broken_character_does_not_change_the_encoding() -> None:
    text = "가나다라마바사 " * 300
    broken = text.encode()[:-5] + b"\xff " + b"end"
    assert decode(broken).startswith(text[:500])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(range(256)) * 20, "holds NUL bytes"),
        (b"\x01\x02\x03\x04abc" * 50, "holds control characters"),
        (codecs.BOM_UTF16_LE + b"a", "says that it is UTF-16 and is not at byte 0"),
        (codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le"), "holds control characters"),
    ],
    ids=["bytes", "controls", "half", "nul"],
)
def test_what_is_no_text(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        decode(data)
    assert words in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["", "utf-8", "cp949", "utf-16", "idna", "base64", "x" * 30]))
def test_any_bytes_are_a_text_or_refused(data: bytes, declared: str) -> None:
    with suppress(UnreadableError):
        assert "\0" not in decode(data, declared)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
def test_what_marks_itself_is_never_mistaken(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert decode(text.encode(encoding)) == text.removeprefix("\ufeff")
