"""RPCs that operators have switched off, by a setting or by a file that changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.bindings import routes_of
from gateway.contract import Contract, load_contract
from gateway.switches import PATH, Switches
from tests.gateway.conftest import Gateway, error_of


async def test_what_is_switched_off_is_refused_and_the_rest_goes_on(gateway: Gateway) -> None:
    async with gateway(off="Echo, ProbeService/Count") as (client, _):
        for refused in (await client.get("/probe/echo"), await client.get("/probe/count")):
            assert (refused.status_code, error_of(refused)["reason"]) == (501, "SWITCHED_OFF")
            assert "is switched off here" in error_of(refused)["message"]
        assert (await client.get("/probe/anybody")).is_success
        assert (await client.get(PATH)).json() == {"off": ["ProbeService/Count", "ProbeService/Echo"]}


async def test_a_flood_of_what_is_off_is_limited(gateway: Gateway) -> None:
    async with gateway(off="Echo", rate_limit=1, rate_burst=3) as (client, _):
        codes = [(await client.get("/probe/echo")).status_code for _ in range(8)]
    assert codes[0] == 501
    assert 429 in codes


async def until_off(page: Callable[[], object], off: list[str]) -> None:
    """Waits until this is off; the test's own time limit is the limit."""
    while await page() != off:  # type: ignore[misc]  # a coroutine
        await asyncio.sleep(0.01)


async def test_a_file_is_followed_and_nonsense_in_it_changes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "off"

    def write(text: str) -> None:
        file.with_suffix(".new").write_text(text)
        file.with_suffix(".new").replace(file)

    write("# nothing yet\n")
    async with gateway(off="Fail", off_file=file, off_poll_seconds=0.01) as (client, _):

        async def off() -> list[str]:
            return list((await client.get(PATH)).json()["off"])

        assert await off() == ["ProbeService/Fail"]
        write("Echo  # while the probe is mended\nWhoIfAnybody\n")
        await until_off(off, ["ProbeService/Echo", "ProbeService/Fail", "ProbeService/WhoIfAnybody"])
        assert (await client.get("/probe/anybody")).status_code == 501
        write("Ecko\n")
        await asyncio.sleep(0.1)
        assert len(await off()) == 3
        write("")
        await until_off(off, ["ProbeService/Fail"])
        assert (await client.get("/probe/anybody")).is_success


async def test_a_wrong_name_is_said_at_the_start(gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"GAJI_OFF: Ecko is no RPC of the contract: is it Echo\?"):
        async with gateway(off="Ecko"):
            pass
    file = tmp_path / "off"
    file.write_text("Nonsense")
    with pytest.raises(ValueError, match=r"off: Nonsense is no RPC of the contract"):
        async with gateway(off_file=file):
            pass


@pytest.fixture(scope="module")
def own() -> Contract:
    """Gaji's own contract."""
    return load_contract(None)


def test_everything_that_has_a_route_has_a_switch(own: Contract) -> None:
    routes = routes_of(own)
    switches = Switches(routes, "CreateGuest,Register,NovelService/CreateNovel,StreamReply")
    off = [
        "AuthService/CreateGuest",
        "AuthService/Register",
        "GenerationService/StreamReply",
        "NovelService/CreateNovel",
    ]
    assert switches.off == off
    everything = Switches(routes, ",".join(route.path.rpartition(".")[2] for route in routes))
    assert len(everything.off) == len({route.path for route in routes})
