"""Targets: what is one, and what is said of what is none, at start."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from mesh.config import MeshSettings
from mesh.targets import checked_target, grpc_target, replicas


@pytest.mark.parametrize(
    ("target", "grpc"),
    [
        ("127.0.0.1:50052", "127.0.0.1:50052"),
        ("search:50052", "search:50052"),
        ("search.rooms.svc:50052", "search.rooms.svc:50052"),
        ("[::1]:50052", "[::1]:50052"),
        (" 127.0.0.1:1 ", "127.0.0.1:1"),
        ("127.0.0.1:1, 127.0.0.2:2", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("[::1]:1,[::1]:2", "ipv6:[::1]:1,[::1]:2"),
        ("dns:///search:50052", "dns:///search:50052"),
        ("dns:search", "dns:search"),
        ("xds:///search", "xds:///search"),
        ("unix:///run/search.sock", "unix:///run/search.sock"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
    ],
)
def test_what_is_a_target(target: str, grpc: str) -> None:
    assert grpc_target(checked_target(target)) == grpc


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "no host:port"),
        ("search", "no host:port"),
        (":50052", "no host:port"),
        ("a b:50052", "no host:port"),
        ("http://search:50052", "no host:port"),
        ("search:", "the port ''"),
        ("search:http", "the port 'http'"),
        ("search:0", "1 to 65535"),
        ("search:70000", "1 to 65535"),
        ("a:1,b:2", "dns:///NAME:PORT"),
        ("127.0.0.1:1,[::1]:2", "one address family"),
        ("127.0.0.1:1,127.0.0.1", "dns:///NAME:PORT"),
        ("127.0.0.1:1,127.0.0.1:x", "the port 'x'"),
        ("dns:///", "names nobody"),
        ("xds:///", "names nobody"),
        ("consul:///search", "knows no 'consul' targets"),
        ("ipv4:127.0.0.1", "no host:port"),
    ],
)
def test_what_is_none(target: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_target(target)


def test_replicas_are_those_that_are_listed() -> None:
    assert replicas("127.0.0.1:1,127.0.0.1:2") == ["127.0.0.1:1", "127.0.0.1:2"]
    assert replicas("dns:///search:1") == ["dns:///search:1"]


@pytest.mark.parametrize("room", ["library", "search", "generation", "cache", "jobs"])
def test_a_bad_target_is_a_bad_setting(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GAJI_{room.upper()}_TARGET", "nowhere")
    with pytest.raises(ValidationError, match=f"{room}_target"):
        MeshSettings()


def test_a_process_with_a_bad_target_says_which_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env={"GAJI_SEARCH_TARGET": "nowhere", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 2
    assert "GAJI_SEARCH_TARGET" in done.stderr
    assert "'nowhere' is no host:port" in done.stderr
