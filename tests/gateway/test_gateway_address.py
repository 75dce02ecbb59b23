"""Whose connection it is: nobody chooses an address, whatever headers they send."""

import ipaddress
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.address import UNKNOWN, ClientAddresses, owner
from gateway.config import GatewaySettings
from tests.gateway.conftest import Gateway

PROXY = "10.0.0.7"
TRUSTED = ("10.0.0.0/8", "fd00::/8")
XFF = "x-forwarded-for"


def scope(peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"client": (peer, 1234) if peer is not None else None, "headers": sent}


def seen(peer: str | None, *headers: tuple[str, str], header: str = XFF, trusted: tuple[str, ...] = TRUSTED) -> str:
    return ClientAddresses(trusted, header).of(scope(peer, *headers))


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.1.1.1, fd00::5", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "10.1.1.1"),
        ("", PROXY),
        ("unknown", PROXY),
        ("203.0.113.9,", PROXY),
        ("203.0.113.9, 010.1.1.1", PROXY),
        ("203.0.113.9, garbage, 10.1.1.1", PROXY),
        ("fe80::1%eth0", PROXY),
        ("203.0.113.9:port", PROXY),
        ("[2001:db8::1", PROXY),
        ("[2001:db8::1]x443", PROXY),
        ("1.2.3", PROXY),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(sent: str, address: str) -> None:
    assert seen(PROXY, (XFF, sent)) == address


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ("for=6.6.6.6, proto=https;for=203.0.113.9", "203.0.113.9"),
        ('for="[2001:db8::1]:4711", for=10.1.1.1', "2001:db8::1"),
        ('for="203.0.113.9:80"', "203.0.113.9"),
        ("for=_hidden", PROXY),
        ("for=203.0.113.9, proto=https", PROXY),
        ('for="203.0.113.9', PROXY),
        ("for=203.0.113.9 for", PROXY),
        ("203.0.113.9", PROXY),
        ('for=6.6.6.6;x="a, for=203.0.113.9', PROXY),
        ('for=6.6.6.6;x="a, for="[2001:db8::1]"', PROXY),
        ("", PROXY),
        ("for=1.1.1.1," * 1000 + "for=203.0.113.9", PROXY),
    ],
    ids=range(14),
)
def test_forwarded_is_read_from_the_right(sent: str, address: str) -> None:
    assert seen(PROXY, ("forwarded", sent), header="forwarded") == address


def test_several_headers_are_one_list() -> None:
    assert seen(PROXY, (XFF, "6.6.6.6"), ("x-other", "1"), (XFF, "203.0.113.9, 10.1.1.1")) == "203.0.113.9"


def test_only_the_header_that_the_proxies_write_is_believed() -> None:
    assert seen(PROXY, (XFF, "203.0.113.9"), ("forwarded", "for=6.6.6.6")) == "203.0.113.9"
    both = (("forwarded", "for=203.0.113.9"), (XFF, "6.6.6.6"))
    assert seen(PROXY, *both, header="forwarded") == "203.0.113.9"


@pytest.mark.parametrize("peer", ["198.51.100.1", "2001:db8::9", "::ffff:198.51.100.1"])
def test_of_a_peer_that_is_not_trusted_no_header_counts(peer: str) -> None:
    mapped = str(ipaddress.ip_address("198.51.100.1")) if "198" in peer else peer
    assert seen(peer, (XFF, "203.0.113.9")) == mapped
    assert seen(PROXY, (XFF, "203.0.113.9"), trusted=()) == PROXY


def test_a_peer_without_an_address_is_unknown() -> None:
    assert seen(None, (XFF, "203.0.113.9")) == UNKNOWN
    assert seen("", (XFF, "203.0.113.9")) == UNKNOWN


LINES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
FORGED = st.one_of(
    LINES,
    st.lists(st.ip_addresses().map(str), max_size=4).map(", ".join),
    st.lists(st.ip_addresses().map(lambda address: f'for="{address}";x="'), max_size=4).map(", ".join),
    st.sampled_from(['"', 'for="', ", ", ",,,", "for=6.6.6.6;", "\\", '\\"', ";", "="]),
)
OUTSIDE = st.one_of(st.ip_addresses(v=4, network="203.0.113.0/24"), st.ip_addresses(v=6, network="2001:db8::/32")).map(
    str
)
INSIDE = st.one_of(st.ip_addresses(v=4, network="10.0.0.0/8"), st.ip_addresses(v=6, network="fd00::/8")).map(str)


@settings(max_examples=300)
@given(st.lists(FORGED, max_size=3), OUTSIDE, st.lists(INSIDE, max_size=3), st.booleans())
def test_nobody_chooses_an_address_behind_proxies(forged: list[str], real: str, chain: list[str], own: bool) -> None:
    headers = [(XFF, value) for value in forged]
    told = [real, *chain]
    if own or not headers:  # a proxy adds a header of its own, or to the last one there is
        headers.append((XFF, ", ".join(told)))
    else:
        headers[-1] = (XFF, ", ".join([headers[-1][1], *told]))
    assert seen(PROXY, *headers) == real


def forwarded_for(address: str) -> str:
    return f'for="[{address}]"' if ":" in address else f"for={address}"


@settings(max_examples=300)
@given(st.lists(FORGED, max_size=3), OUTSIDE, st.lists(INSIDE, max_size=3), st.booleans())
def test_nobody_chooses_an_address_by_forwarded(forged: list[str], real: str, chain: list[str], own: bool) -> None:
    headers = [("forwarded", value) for value in forged]
    told = [forwarded_for(address) for address in (real, *chain)]
    if own or not headers:
        headers.append(("forwarded", ", ".join(told)))
    else:
        headers[-1] = ("forwarded", ", ".join([headers[-1][1], *told]))
    # What does not parse is the proxy's own: all who try it share that one budget.
    assert seen(PROXY, *headers, header="forwarded") in {real, PROXY}
    if not forged:
        assert seen(PROXY, *headers, header="forwarded") == real


@given(st.lists(st.tuples(st.sampled_from([XFF, "forwarded", "x-real-ip"]), FORGED), max_size=4), OUTSIDE)
def test_nobody_chooses_an_address_without_proxies(headers: list[tuple[str, str]], real: str) -> None:
    for header in (XFF, "forwarded"):
        assert seen(real, *headers, header=header) == real


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_a_household_of_ipv6_is_one_owner(address: str, whose: str) -> None:
    assert owner(address) == whose


@pytest.mark.parametrize("value", ["10.0.0.1/8", "proxy.example", "10.0.0.0/8,,x"])
def test_a_trusted_proxy_that_is_none_is_refused_at_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_TRUSTED_PROXIES", value)
    with pytest.raises(ValidationError, match="trusted_proxies"):
        GatewaySettings()


def test_trusted_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_TRUSTED_PROXIES", " 10.0.0.0/8, ::1 ")
    assert GatewaySettings().trusted_proxies == ("10.0.0.0/8", "::1")


async def test_the_limit_and_the_log_go_by_the_clients_address(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"trusted_proxies": ("127.0.0.1",), "rate_limit": 0.001, "rate_burst": 2}
    with caplog.at_level(logging.INFO, "gateway.access"):
        async with gateway(**changes) as (client, _):
            statuses = []
            for number, address in enumerate(["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]):
                sent = {"x-forwarded-for": f"192.0.2.{number}, {address}"}
                statuses.append((await client.get("/probe/anybody", headers=sent)).status_code)
    assert statuses == [200, 200, 429, 200]
    logged = [vars(record)["client"] for record in caplog.records if record.name == "gateway.access"]
    assert logged == ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]


async def test_without_proxies_headers_do_not_move_a_client(gateway: Gateway) -> None:
    async with gateway(rate_limit=0.001, rate_burst=2) as (client, _):
        statuses = []
        for number in range(3):
            sent = {"x-forwarded-for": f"192.0.2.{number}", "forwarded": f"for=192.0.2.{number}"}
            statuses.append((await client.get("/probe/anybody", headers=sent)).status_code)
    assert statuses == [200, 200, 429]
