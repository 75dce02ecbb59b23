"""What one reader hears of a reply: the events of its log, and what is made for him where he has seen others.

Also the events of a reply whose log is no longer kept, made of the stored message.
"""

from dataclasses import dataclass
from uuid import UUID

from mesh.streamlog import Cursor, Lapse, Stream
from services.generation.domain.events import Event, Gap, Progress, Seam, Text, end_of, text_of
from services.generation.metrics import GAPS
from services.generation.ports import Reply


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that is made for one reader.

    Attributes:
        event: what happened.
        sequence: that of the entry it stands behind.
        cursor: the place behind it; empty: nobody can go on from there.
    """

    event: Event
    sequence: int
    cursor: str = ""


def mended(stream: Stream[Event], lapse: Lapse) -> list[Heard]:
    """What a reader is told who has seen events that do not count."""
    stand = stream.entries[: lapse.stand]
    if not stand:
        GAPS.inc()
        return [Heard(Gap(lapse.first, lapse.last), 0), Heard(Seam(0), 0)]
    return [Heard(Seam(len(text_of(stand))), lapse.stand, str(stream.cursor(stand[-1])))]


def stored(reply: Reply, after: Cursor | None) -> list[Heard]:
    """The events of a reply that has ended and whose log is no longer kept."""
    last = max(reply.record.last_sequence, 1)
    end = Cursor(UUID(reply.message_id), max(reply.epoch, 1), last)
    if after is not None and (after.epoch, after.sequence) >= (end.epoch, end.sequence):
        return []
    heard = [Heard(Progress(100, "writing", "The reply is there"), 0)] if after is None else []
    if after is not None and after.sequence < last:
        GAPS.inc()
        heard.append(Heard(Gap(after.sequence + 1, last), 0))
    # None of it can be gone on after, so whoever is cut off in it gets it again; the seam voids what came before.
    heard += [Heard(Seam(0), 0), Heard(Text(reply.content), 0)]
    return [*heard, Heard(end_of(reply), last, str(end))]
