from uuid import UUID

import pytest
from gaji.generation.v1 import generation_service_pb2 as pb

from mesh.streamlog import Entry, Stream
from services.generation.domain.events import Event, Progress, Seam, Text
from services.generation.wire import EventCodec, response


@pytest.mark.parametrize(
    "event", [Text("한 word"), Text(""), Seam(3), Seam(0), Progress(20, "context", "Opened"), Progress(0, "", "")]
)
def test_an_event_is_the_same_out_of_the_log_even_if_it_is_all_zero(event: Event) -> None:
    codec = EventCodec()
    assert codec.loads(codec.dumps(event)) == event


async def test_the_first_word_is_urgent_and_one_behind_a_seam() -> None:
    events: list[Event] = [Progress(20, "context", "Opened"), Text("a"), Text("b"), Seam(1), Text("c"), Text("d")]
    stream = Stream[Event](UUID(int=7))
    stream.extend([Entry(1, number, event) for number, event in enumerate(events, 1)], 1)
    reading = stream.reading()
    assert await reading.next() is reading
    feed = response(pb.WatchReplyResponse, reading)
    told = [feed.take() for _ in events]
    assert [shared.urgent for shared in told] == [False, True, False, False, True, False]
    assert [shared.message.token.content for shared in told] == ["", "a", "b", "", "c", "d"]
    assert feed.take() is None
