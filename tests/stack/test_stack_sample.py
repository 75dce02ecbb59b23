"""The sample story is fit to be shown."""

import re

from stack.sample import load


def test_the_story_has_chapters_and_characters_and_two_hinges() -> None:
    story = load()
    assert (story.title, story.author, story.language) == ("The Lamplighter of Gull Stair", "The Gaji project", "en")
    assert re.findall(r"^Chapter (\d)\. ", story.text, re.MULTILINE) == ["1", "2", "3", "4", "5", "6"]
    assert 2_500 <= len(story.text.split()) <= 3_500
    for name in ("Ines Corrow", "Toby Fenn", "Augustin Pell", "Doctor Okell", "Lise"):
        assert story.text.count(name) >= 3, name
    assert len(story.scenarios) == 2
    for title, description in story.scenarios:
        assert title.startswith("What if ")
        assert title.endswith("?")
        assert 200 <= len(description) <= 1_000
        assert "\n" not in description


def test_the_text_is_plain() -> None:
    assert load().text.isascii()
