"""A novel on the shelf of a stack under test."""

import uuid
from dataclasses import dataclass

from tests.e2e.reader import STORY, reader_at


@dataclass(frozen=True, slots=True)
class Tale:
    """A novel that everybody may read, with a scenario.

    Attributes:
        novel_id, title: the novel's; no other has the title.
        scenario_id, scenario: the scenario's id and title.
        character: the name of one of its people.
    """

    novel_id: str
    title: str
    scenario_id: str
    scenario: str
    character: str


async def tale_at(url: str) -> Tale:
    """Puts a novel on everybody's shelf at a gateway."""
    async with reader_at(url) as author:
        title = f"The Ferry {uuid.uuid4().hex[:6]}"
        about = {"author": "The Gaji project", "language": "en", "visibility": "VISIBILITY_PUBLIC"}
        novel_id = await author.add_novel(title, STORY, **about)
        scenario = {
            "novel_id": novel_id,
            "title": "The ferryman refuses",
            "description": "What if Tobias had refused the coins?",
            "visibility": "VISIBILITY_PUBLIC",
        }
        made = await author.ok("POST", "/api/scenarios", scenario)
        characters = (await author.ok("GET", f"/api/novels/{novel_id}/characters"))["characters"]
    return Tale(novel_id, title, made["scenario_id"], scenario["title"], characters[0]["name"])
