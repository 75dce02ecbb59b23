"""The parts of the availability run that could flatter: its proxy, its counting, its reading of breakers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from benchmarks.faults.availability.attempts import Failed, attempts, raise_unless_ok
from benchmarks.faults.availability.cells import Cell, cells
from benchmarks.faults.availability.model import open_model_server
from benchmarks.faults.availability.records import Record, met, quantile, recovered, share
from benchmarks.faults.availability.verdict import Times, percent, row_of
from benchmarks.faults.availability.watching import Breakers, rejected_in, states_in
from benchmarks.faults.proxy import Mode, Proxy, open_proxy
from stack.ports import HOST, Ports

SECONDS = 10.0  # to wait for what must happen


@asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy before a server that says everything again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with open_proxy(server.sockets[0].getsockname()[1], Ports()) as proxy:
        yield proxy
    server.close()


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def say(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], word: bytes) -> bytes:
    reader, writer = streams
    async with asyncio.timeout(SECONDS):
        writer.write(word)
        return await reader.readexactly(len(word))


async def test_the_proxy_hands_on_and_knows_the_end() -> None:
    async with echo() as proxy, connected(proxy) as streams:
        assert await say(streams, b"one" * 100_000) == b"one" * 100_000
        streams[1].write_eof()
        async with asyncio.timeout(SECONDS):
            assert await streams[0].read() == b""
            while proxy.open_connections:
                await asyncio.sleep(0.01)


async def test_the_slow_proxy_is_late_in_each_direction() -> None:
    async with echo() as proxy, connected(proxy) as streams:
        proxy.seconds = 0.15
        await proxy.become(Mode.SLOW)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await say(streams, b"one") == b"one"
        assert loop.time() - began >= 0.3


@pytest.mark.parametrize("mode", [Mode.RESET, Mode.REFUSE], ids=str)
async def test_the_rude_proxy_resets_connections_that_stand(mode: Mode) -> None:
    async with echo() as proxy, connected(proxy) as streams:
        assert await say(streams, b"one") == b"one"
        await proxy.become(mode)
        with pytest.raises(ConnectionResetError):
            await say(streams, b"two")
        await proxy.become(Mode.PASS)
        async with connected(proxy) as others:
            assert await say(others, b"three") == b"three"


async def test_nobody_listens_when_the_proxy_refuses() -> None:
    async with echo() as proxy:
        await proxy.become(Mode.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)


async def test_a_new_connection_to_the_rude_proxy_is_reset() -> None:
    async with echo() as proxy:
        await proxy.become(Mode.RESET)
        with pytest.raises(ConnectionResetError):  # at once or at the first word
            async with connected(proxy) as streams:
                await say(streams, b"one")


async def test_the_deaf_proxy_takes_and_says_nothing_and_never_goes_on_with_a_hole() -> None:
    async with echo() as proxy, connected(proxy) as streams:
        assert await say(streams, b"one") == b"one"
        await proxy.become(Mode.BLACKHOLE)
        async with connected(proxy) as others:
            for each in (streams, others):
                each[1].write(b"two")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await each[0].read(1)
        await proxy.become(Mode.PASS)
        with pytest.raises(ConnectionResetError):
            await say(streams, b"three")


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    ports = Ports()
    async with open_proxy(ports.free(), ports) as proxy, connected(proxy) as streams:
        with pytest.raises(ConnectionResetError):
            await say(streams, b"one")


async def test_the_model_server_speaks_openai() -> None:
    async with open_model_server(3, 1000.0) as port, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"http://{HOST}:{port}/v1/chat/completions", json={"stream": True})
        assert answer.text.count("word") == 3
        assert answer.text.endswith("data: [DONE]\n\n")


def record(
    began: float, seconds: float = 0.1, *, ok: bool = True, kind: str = "read", kept: bool | None = None
) -> Record:
    return Record(kind, "", began, seconds, ok=ok, kept=kept, outcome="200" if ok else "503")


def test_requests_under_way_when_the_fault_begins_have_met_it() -> None:
    before, across, within, after = record(1.0), record(1.5, 1.0), record(3.0), record(5.0)
    assert met([before, across, within, after], 2.0, 5.0) == [across, within]


def test_recovery_is_a_whole_second_of_answers() -> None:
    records = [record(10.1), record(10.4, ok=False), record(11.0), record(11.9), record(12.2)]
    assert recovered(records, 10.0, 13.0) == 0.5
    assert recovered([record(10.0, ok=False)], 10.0, 13.0) is None
    assert recovered([], 10.0, 13.0) is None


def test_shares_are_never_rounded_up() -> None:
    records = [record(n) for n in range(29_999)] + [record(1.0, ok=False, kept=True)]
    assert percent(share(records)) == "99.99 %"
    assert percent(share(records, kept=True)) == "100 %"
    assert percent(share([])) == "-"
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile([], 0.99) is None


def test_targets_fail_by_what_they_name() -> None:
    cell = Cell("long", "search", "kill", 5.0)
    times = Times(2.0, 5.0, 9.0, opened=3.0, closed=41.0)
    good = [record(n / 4, kind="message") for n in range(36)]
    row = row_of(cell, good, times, [])
    assert [target.ok for target in row.targets] == [True, True, False, True]  # 36 s after the healing is too late
    row = row_of(cell, [*good, record(3.0, kind="message", ok=False, kept=True)], Times(2.0, 5.0, 9.0), ["1 stream"])
    assert [target.ok for target in row.targets] == [True, False, False]
    assert (row.messages_kept, row.ok) == (1.0, False)
    hung = record(3.0, 11.5, ok=False)
    hung.deadline = 10.0
    assert not row_of(cell, [*good, hung], Times(2.0, 5.0, 9.0), []).targets[0].ok
    assert row_of(cell, [*good, hung], Times(2.0, 5.0, 9.0), [], lag=0.6).targets[0].ok


def test_breakers_are_followed() -> None:
    text = (
        'gaji_breaker_state{group="read",peer="search",state="OPEN"} 1.0\n'
        'gaji_breaker_state{group="read",peer="search",state="CLOSED"} 2.0\n'
        'gaji_breaker_state{group="",peer="library",state="CLOSED"} 1.0\n'
        'gaji_breaker_state{group="",peer="library",state="HALF_OPEN"} 0.0\n'
        'gaji_breaker_state{group="",peer="jobs",state="METRICS_ONLY"} 1.0\n'
    )
    assert states_in(text) == {"search/read": "open", "library/": "closed", "jobs/": "closed"}
    breakers = Breakers()
    for at, state in enumerate(("closed", "open", "half_open", "open", "half_open", "closed")):
        breakers.hear("gateway", {"search/read": state}, {}, float(at))
    assert (breakers.opened, breakers.closed, breakers.now) == (
        {"gateway->search/read": 1.0},
        {"gateway->search/read": 5.0},
        {},
    )
    assert breakers.over(0.0, 5.0) == 5.0
    assert breakers.over(2.0, 5.0) is None


def test_a_breaker_that_nobody_calls_is_in_nobodys_way() -> None:
    text = (
        'gaji_breaker_rejected_total{group="read",peer="search"} 2.0\n'
        'gaji_breaker_rejected_total{group="read",peer="search"} 1.0\n'
    )
    assert rejected_in(text) == {"search/read": 3.0}
    breakers = Breakers()
    for at, refused in enumerate((0.0, 3.0, 4.0, 4.0)):
        breakers.hear("gateway", {"search/read": "open"}, {"search/read": refused}, float(at))
    assert breakers.refusing(6.0) == ["gateway->search/read"]
    assert breakers.over(0.0, 6.0) is None
    assert breakers.refusing(8.0) == []
    assert breakers.over(0.0, 8.0) == 2.0
    breakers.forget("gateway")
    breakers.hear("gateway", {"search/read": "open"}, {"search/read": 1.0}, 9.0)
    assert breakers.refusing(10.0) == ["gateway->search/read"]


async def test_the_first_try_counts_and_the_second_is_told() -> None:
    tries = iter([Failed("503", 0.0), None])

    async def one() -> None:
        if error := next(tries):
            raise error

    made = record(0.0)
    made.seconds = None
    await attempts(one, made, 5.0)
    assert (made.ok, made.outcome, made.kept, made.answered) == (False, "503", True, True)


async def test_what_never_answers_is_cut_off_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.faults.availability.attempts.CUT_SECONDS", 0.0)
    made = record(0.0)
    made.seconds = None
    await attempts(asyncio.Event().wait, made, 0.05)  # type: ignore[arg-type]  # what it returns is not looked at
    assert (made.ok, made.deadline, made.outcome) == (False, 0.05, "cut off 0 s after its deadline")


def test_refusals_say_when_to_come_back() -> None:
    body = {"error": {"reason": "CIRCUIT_OPEN"}}
    with pytest.raises(Failed) as refused:
        raise_unless_ok(httpx.Response(503, json=body, headers={"retry-after": "3"}))
    assert (refused.value.outcome, refused.value.again) == ("503 CIRCUIT_OPEN", 3.0)
    with pytest.raises(Failed) as wrong:
        raise_unless_ok(httpx.Response(404, text="?"))
    assert wrong.value.again is None


def test_cells_have_names_of_their_own() -> None:
    names = [cell.name for cell in cells()]
    assert len(set(names)) == len(names)
