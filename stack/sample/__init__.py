"""The sample story: written for this project, for those who have no novel at hand yet."""

import hashlib
import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple


class Scenario(NamedTuple):
    """A what-if of the story."""

    title: str
    description: str


class Story(NamedTuple):
    """A novel and its what-ifs.

    Attributes:
        title: the novel's.
        author: the novel's.
        language: as a BCP 47 tag, e.g. ``"en"``.
        text: the whole text, with its chapters' headings.
        scenarios: what-ifs to begin with.
    """

    title: str
    author: str
    language: str
    text: str
    scenarios: tuple[Scenario, ...]

    @property
    def edition(self) -> str:
        """Of the text: another one has another."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def load() -> Story:
    """Reads the story from the package; blocks for some milliseconds at most."""
    folder = files(__name__)
    about = tomllib.loads((folder / "sample.toml").read_text(encoding="utf-8"))
    return Story(
        title=about["title"],
        author=about["author"],
        language=about["language"],
        text=(folder / about["text"]).read_text(encoding="utf-8"),
        scenarios=tuple(Scenario(**scenario) for scenario in about["scenarios"]),
    )


def is_shelved(data_dir: Path) -> bool:
    """Whether a stack on this folder has the story in its present edition."""
    marker = marker_of(data_dir)
    return marker.exists() and json.loads(marker.read_text(encoding="utf-8")).get("text") == load().edition


def marker_of(data_dir: Path) -> Path:
    """The file that remembers it."""
    return data_dir / "sample.json"
