from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from services.library.servicer import wire

_ZONES = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=_ZONES | st.just(UTC)))  # noqa: DTZ001 - zones are given beside them
def test_times_go_on_the_wire_as_protobuf_itself_would_write_them(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(moment)

    assert wire.timestamp(moment) == expected
