"""What a reader hears of a reply."""

from dataclasses import dataclass

from mesh.errors import MeshError
from services.generation.ports import BegunReply, Record


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
class Complete:
    """The reply is whole and stored; its content is that of all its `Text` events, joined."""

    begun: BegunReply
    content: str
    record: Record


@dataclass(frozen=True, slots=True)
class Failed:
    """The reply could not be completed."""

    error: MeshError


Event = Progress | Text | Complete | Failed
