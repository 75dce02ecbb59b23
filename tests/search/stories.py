"""Texts written for these tests, and where the eight public-domain novels lie when they are at hand."""

import os
from pathlib import Path

NOVELS = Path(os.environ.get("GAJI_NOVELS") or Path(__file__).parents[3] / "shared" / "novels")

STORY = """THE LAMP AT HARROW POINT

by Nobody in Particular


CHAPTER I. The Keeper

Old Mr. Tolliver had kept the lamp at Harrow Point for thirty-one years, and in all that time it had gone out only
twice. He was a tall, stooping man with a white beard, and he spoke so seldom that the fishermen believed he had taken
a vow. Every evening at dusk he climbed the hundred and nine steps, trimmed the wick, and wrote the hour in a green
book.

His niece Marian lived with him. Marian was nineteen, quick and merry, and she did the talking for both of them. "You
will turn into a barnacle, Uncle," said Marian, and Mr. Tolliver smiled into his beard and said nothing. She kept two
goats and a garden of sea kale, and on Sundays she rowed across the bay to the village of Pell to hear the news.

It was there, on the first Sunday of October, that Marian met Captain Brandt. The captain had come to buy a boat. He
laughed loudly, wore a ring with a black stone, and asked more questions about the lamp than a stranger ought to ask.
"Does the old man never sleep?" said Captain Brandt. Marian answered that he slept like a cat, with one eye open.


CHAPTER II. The Storm

On the tenth of October the wind went round to the north-east and the sea rose until the spray struck the windows of
the lamp room. Mr. Tolliver did not come down for his supper. Marian carried it up to him, bread and cold mutton under
a cloth, and found him lying beside the stair with a wound on his forehead. The lamp was dark.

Marian did not cry out. She remembered what her uncle had taught her: the oil first, then the wick, then the glass. Her
hands shook so that she broke two matches, but the third one caught, and the great white beam swung out over the water.
In its light she saw a ship, close under the rocks, turning slowly away.

"Somebody has been here," whispered Mr. Tolliver when he opened his eyes. "A man with a ring. He wanted her to strike."
Marian bound up his head with her apron. She thought of Captain Brandt and of all his questions, and she was colder
than the wind could make her.


CHAPTER III. The Ring

They found the captain's boat in the morning, upside down upon the shingle, and no trace of the captain. The ship that
had been saved was the Amity, carrying wool and a chest of silver for the bank at Pell; her master, Mr. Osgood, came up
the hundred and nine steps on his own feet to thank whoever had lit the lamp. He offered Marian a purse. Marian asked
for a barrel of oil instead, and Mr. Osgood laughed until he had to sit down.

In November the tide brought in a ring with a black stone. Marian picked it out of the weed while the goats looked on.
She showed it to her uncle, who turned it over once in his palm, climbed to the gallery, and threw it as far as he could
into the sea. Then he opened the green book and wrote down the hour. "Marian," said Mr. Tolliver, "from tomorrow you
shall keep the lamp, and I shall do the talking." He kept his word, and nobody in Pell has had a quiet Sunday since.
"""

KOREAN_STORY = """제1장 바닷가

할머니는 아침마다 바닷가로 나갔다. 손녀 순이에게 조개를 보여 주려고 할머니가 먼저 물가로 걸어갔다. 순이는 웃으며 말했다.
"할머니, 저기 배가 와요." 할머니는 순이의 손을 꼭 잡았다. 순이가 배를 향해 손을 흔들었다.

제2장 돌아온 배

배에는 오래전에 떠난 아버지가 타고 있었다. 순이는 아버지를 알아보지 못했다. 아버지가 순이에게 다가와 이름을 불렀다.
할머니께서 눈물을 닦으며 말했다. "이제 왔구나." 순이도 아버지도 아무 말을 하지 못했다. 할머니에게 아버지는 절을 했다.
"""


def long_story(paragraphs: int) -> str:
    """A text that takes a while to embed; no two of its paragraphs are alike."""
    return "CHAPTER 1\n\n" + "\n\n".join(
        f"On day {number} the ferry left at dawn with {number * 7 % 100} sheep aboard, and the ferryman told anybody"
        f" who would listen that number {number} was the one that always jumped. " * 3
        for number in range(paragraphs)
    )


def novel(name: str) -> str | None:
    """The text of one of the eight novels, or None where they are not at hand."""
    path = NOVELS / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else None
