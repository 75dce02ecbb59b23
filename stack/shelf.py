"""Puts novels on the shelf of a gateway, and the sample story on that of a new stack."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.answers import ApiError, Json
from stack.api import Gateway
from stack.embedded.account import secret
from stack.sessions import AccountSession

EMAIL = "stack@gaji.example"
Told = Callable[[int, str, str, int | None], None]


def ingest(gateway: Gateway, novel: Json, told: Told) -> Json:
    """Stores a novel and waits until it can be searched.

    Args:
        gateway: whose shelf.
        novel: the fields of CreateNovel.
        told: hears percent, stage, message and how many seconds are left; None: nobody knows.

    Returns:
        The novel as the library tells of it.

    Raises:
        ApiError: it is refused, or its ingestion fails.
    """
    created = gateway.post("/api/novels", novel)
    return watch(gateway, str(created["novel_id"]), told)


def ingest_file(gateway: Gateway, about: Mapping[str, str], file: bytes, told: Told) -> Json:
    """Stores a novel that is a file, and waits until it can be searched.

    Args:
        gateway: whose shelf.
        about: the other fields of CreateNovel.
        file: the novel.
        told: as for `ingest`.

    Returns:
        The novel as the library tells of it.

    Raises:
        ApiError: it is refused, or its ingestion fails.
    """
    created = gateway.upload("/api/novels:upload", about, file)
    return watch(gateway, str(created["novel_id"]), told)


def watch(gateway: Gateway, novel_id: str, told: Told) -> Json:
    """Follows an ingestion to its end.

    Raises:
        ApiError: the ingestion fails, or nothing is heard of it any more.
    """
    for event in gateway.stream("GET", f"/api/novels/{novel_id}/ingestion-stream"):
        if event.name == "progress":
            data = event.data
            left = data.get("remaining_seconds")
            told(
                int(data.get("progress", 0)),
                str(data.get("stage", "")),
                str(data.get("message", "")),
                None if left is None else int(left),
            )
        elif event.name == "complete":
            return event.data
    raise ApiError("the ingestion's end was not told", "look at it with `gaji status`")


def shelve_sample(url: str, data_dir: Path) -> str | None:
    """Puts the sample story with its scenarios on the shelf, once in a data folder.

    Returns:
        Its title; None: it is there already.

    Raises:
        StackError: it is refused.
    """
    # Loaded when needed: it is a whole story.
    from stack import sample  # noqa: PLC0415 - see above

    story = sample.load()
    if sample.is_shelved(data_dir):
        return None
    session = AccountSession(EMAIL, secret(data_dir / "secrets", "stack-user-password"), "Gaji")
    with Gateway(url, session) as gateway:
        novel = ingest(
            gateway,
            {
                "title": story.title,
                "author": story.author,
                "language": story.language,
                "text": story.text,
                "visibility": "VISIBILITY_PUBLIC",
                "request_id": f"sample-{story.edition}",
            },
            lambda *_: None,
        )
        novel_id = str(novel["novel_id"])
        there = {scenario["title"] for scenario in gateway.all(f"/api/novels/{novel_id}/scenarios", "scenarios")}
        for title, description in story.scenarios:
            if title not in there:
                scenario = {"novel_id": novel_id, "title": title, "description": description}
                gateway.post("/api/scenarios", {**scenario, "visibility": "VISIBILITY_PUBLIC"})
    sample.marker_of(data_dir).write_text(
        json.dumps({"text": story.edition, "novel_id": novel_id}) + "\n", encoding="utf-8"
    )
    return str(story.title)
