"""What a reader hears of a reply, and what its log holds."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.errors import MeshError
from mesh.streamlog import COMPLETE, FAILED, STOPPED, Entry
from services.generation.ports import Outcome, Record, Reply


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the preparation has come."""

    percent: int
    stage: str
    message: str


@dataclass(frozen=True, slots=True)
class Text:
    """More of the text."""

    content: str


@dataclass(frozen=True, slots=True)
class Seam:
    """The text goes on in another way: only so many code points of it stand."""

    keep: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are no longer kept, by their sequences; never part of a log."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Complete:
    """The reply is whole and stored; its content is what all events before it make."""

    conversation_id: str
    message_id: str
    content: str
    record: Record


@dataclass(frozen=True, slots=True)
class Stopped:
    """The reply was stopped; what was written of it is stored."""

    conversation_id: str
    message_id: str
    content: str
    record: Record


@dataclass(frozen=True, slots=True)
class Failed:
    """The reply could not be completed."""

    error: MeshError


Event = Progress | Text | Seam | Gap | Complete | Stopped | Failed

LOG_ENDS = {Outcome.COMPLETE: COMPLETE, Outcome.FAILED: FAILED, Outcome.STOPPED: STOPPED}


def end_of(reply: Reply) -> Complete | Stopped | Failed:
    """The last event of a reply that has ended."""
    if reply.outcome is Outcome.FAILED:
        return Failed(reply.failure or MeshError("the reply could not be completed", reason="REPLY_FAILED"))
    kind = Stopped if reply.outcome is Outcome.STOPPED else Complete
    return kind(reply.conversation_id, reply.message_id, reply.content, reply.record)


def text_of(entries: Iterable[Entry[Event]]) -> str:
    """The text that a log's entries make; positions in it are Unicode code points, as everywhere."""
    text: list[str] = []
    for entry in entries:
        if isinstance(entry.event, Text):
            text.append(entry.event.content)
        elif isinstance(entry.event, Seam):
            text = ["".join(text)[: entry.event.keep]]
    return "".join(text)
