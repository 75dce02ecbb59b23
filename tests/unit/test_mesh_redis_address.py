"""What a URL of Redis says."""

import pytest
from pydantic import ValidationError

from mesh.redis_address import watched
from services.jobs.config import JobsSettings


def test_a_url_of_sentinels_is_taken_apart() -> None:
    found = watched("redis+sentinel://who:p%40ss@10.0.0.1:26379,ten,[fd00::1]:5/names/3?sentinel_password=other")
    assert found is not None
    assert found.sentinels == (("10.0.0.1", 26379), ("ten", 26379), ("fd00::1", 5))
    assert (found.service, found.database, found.username, found.password) == ("names", 3, "", "other")
    assert found.url == "redis://who:p%40ss@names/3"
    assert found.celery_url() == (
        "sentinel://who:p%40ss@10.0.0.1:26379/3;sentinel://who:p%40ss@ten:26379/3;sentinel://who:p%40ss@[fd00::1]:5/3"
    )
    assert found.celery_options(1.5) == {
        "master_name": "names",
        "sentinel_kwargs": {"socket_timeout": 1.5, "socket_connect_timeout": 1.5, "password": "other"},
    }
    assert "p%40ss" not in repr(found)
    assert "other" not in repr(found)


@pytest.mark.parametrize("url", ["redis://127.0.0.1/0", "rediss://u:p@host:6380/1", "unix:///run/valkey.sock?db=1"])
def test_a_url_of_one_server_is_left_alone(url: str) -> None:
    assert watched(url) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://host:26379", "the path is the service"),
        ("redis+sentinel://host:26379/name/x", "the path is the service"),
        ("redis+sentinel://host:26379,:1/name/0", "not the address of a sentinel"),
        ("redis+sentinel://host:99999/name/0", "not the address of a sentinel"),
        ("rediss+sentinel://host:26379/name/0", "none of"),
        ("memcached://host", "none of"),
        ("redis+cluster://host:6379", "a Redis Cluster can't be used"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        watched(url)


def test_a_process_says_so_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_REDIS_URL", "redis+cluster://host:6379")
    with pytest.raises(ValidationError, match="give rooms servers of their own"):
        JobsSettings()


def test_a_forgotten_scheme_shows_no_password() -> None:
    with pytest.raises(ValueError, match="it has no scheme") as caught:
        watched("default:SECRET@10.0.0.7:6379")
    assert "SECRET" not in str(caught.value)
