import pytest

from services.generation.domain.events import Event, Progress, Seam, Text
from services.generation.wire import EventCodec


@pytest.mark.parametrize(
    "event", [Text("한 word"), Text(""), Seam(3), Seam(0), Progress(20, "context", "Opened"), Progress(0, "", "")]
)
def test_an_event_is_the_same_out_of_the_log_even_if_it_is_all_zero(event: Event) -> None:
    codec = EventCodec()
    assert codec.loads(codec.dumps(event)) == event
