"""``gaji top``: what it makes of metrics, and what it shows of a real stack."""

import math
import random

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from rich.console import Console

from stack.cli import main
from stack.top import house, processes
from stack.top.reading import processes_at, processes_of
from stack.top.samples import Scrape, Span, having, quantile
from stack.top.screen import screen
from tests.fixtures.stack import RunningStack

_WANTED = [*processes.WANTED, *house.WANTED]


def calls(status: str, fast: int, all_: int) -> str:
    """What a room says of its searches: so many took 0.1 s at most, all of them 1 s."""
    name = "grpc_server_call_duration_seconds"
    labels = f'grpc_method="gaji.search.v1.SearchService/SearchPassages",grpc_status="{status}"'
    bounds = {"0.1": fast, "1.0": all_, "+Inf": all_}
    buckets = [f'{name}_bucket{{{labels},le="{bound}"}} {count}' for bound, count in bounds.items()]
    return "\n".join([*buckets, f"{name}_count{{{labels}}} {all_}", ""])


_RELAYS = 'grpc_server_call_duration_seconds_count{grpc_method="gaji.mesh.v1.RelayService/Relay",grpc_status="OK"}'
BEFORE = f"""{calls("OK", 10, 10)}{_RELAYS} 4
process_resident_memory_bytes 1048576
process_cpu_seconds_total 5
gaji_limit 256
"""
AFTER = f"""{calls("OK", 28, 28)}{calls("UNAVAILABLE", 0, 2)}{_RELAYS} 400
process_resident_memory_bytes 2097152
process_cpu_seconds_total 6
gaji_limit 256
gaji_limit_in_flight{{partition="interactive"}} 3
gaji_limit_in_flight{{partition="batch"}} 1
gaji_breaker_state{{peer="cache",group="CacheService/unary",state="open"}} 1
gaji_breaker_state{{peer="library",group="LibraryService/unary",state="open"}} 0
"""


def span_of(before: str | None, after: str, seconds: float = 10.0) -> Span:
    first = None if before is None else Scrape.of(before, 100.0, _WANTED)
    return Span(first, Scrape.of(after, 100.0 + seconds, _WANTED))


def test_a_line_tells_of_the_time_between_two_looks() -> None:
    line = processes.line_of("search", span_of(BEFORE, AFTER))
    assert line.rate == 2.0  # without the mesh's own
    assert line.errors == 0.1
    assert line.percentiles[0] == pytest.approx(0.1 * 10 / 18)
    assert line.percentiles[1] == pytest.approx(0.1 + 0.9 * 0.5)
    assert (line.in_flight, line.limit, line.memory, line.cpu) == (4, 256, 2097152, 0.1)
    assert line.open_breakers == "cache"


def test_after_one_look_there_is_no_rate() -> None:
    line = processes.line_of("search", span_of(None, AFTER))
    assert (line.rate, line.errors, line.percentiles, line.cpu) == (None, None, (None, None, None), None)
    assert line.memory == 2097152


def test_a_process_that_began_anew_counts_from_nothing() -> None:
    assert processes.line_of("search", span_of(AFTER, BEFORE)).rate == 1.0


def test_a_percentile_is_prometheus() -> None:
    """That of `histogram_quantile`: within the bucket of the true one, and exact at a bound."""
    registry = CollectorRegistry()
    bounds = (0.1, 0.2, 0.5, 1, 2)
    histogram = Histogram("gaji_job_seconds", "Test.", buckets=bounds, registry=registry)
    chance = random.Random(3)
    values = sorted(chance.uniform(0, 1.5) for _ in range(500))
    for value in values:
        histogram.observe(value)
    span = Span(Scrape(0.0), Scrape.of(generate_latest(registry).decode(), 1.0, ["gaji_job_seconds"]))
    buckets = span.buckets("gaji_job_seconds")
    for share in (0.05, 0.5, 0.9, 0.99):
        found, true = quantile(share, buckets), values[int(share * 500) - 1]
        assert found is not None
        upper = min(bound for bound in bounds if bound >= true)
        lower = max((bound for bound in bounds if bound < upper), default=0.0)
        assert lower <= found <= upper
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {1.0: 0.0, math.inf: 0.0}) is None
    assert quantile(0.99, {1.0: 1.0, math.inf: 10.0}) == 1.0  # all that is known beyond the last bound


METRICS = """
http_server_request_duration_seconds_bucket{http_response_status_code="200",le="0.5"} %(fast)d
http_server_request_duration_seconds_bucket{http_response_status_code="200",le="2.5"} 1000
http_server_request_duration_seconds_bucket{http_response_status_code="200",le="+Inf"} 1000
http_server_request_duration_seconds_count{http_response_status_code="200"} 1000
http_server_request_duration_seconds_count{http_response_status_code="503"} %(errors)d
gaji_breaker_state{peer="search",group="a",state="open"} %(open)d
gaji_breaker_state{peer="search",group="a",state="closed"} 100
gaji_read_through_total{kind="novel",result="hit"} %(hits)d
gaji_read_through_total{kind="novel",result="stored"} %(misses)d
db_client_connection_count{db_client_connection_state="used"} %(used)d
db_client_connection_count{db_client_connection_state="idle"} 1
db_client_connection_max 100
gaji_sse_connections %(streams)d
gaji_sse_connections_limit 100
gaji_jobs_queue_length{queue="high_priority"} %(queue)d
gaji_jobs_queue_age_seconds{queue="high_priority"} 7
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{le="3.0"} %(quick)d
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{le="20.48"} 100
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{le="+Inf"} 100
gaji_generations_total{outcome="complete"} 100
gaji_generations_total{outcome="MODEL_FAILED"} %(failed)d
gaji_generations_active 4
"""
_NAMES = ("fast", "errors", "open", "hits", "misses", "used", "streams", "queue", "quick", "failed")
_GOOD = (1000, 0, 0, 90, 10, 10, 10, 3, 100, 0)
_MISSED = (940, 5, 8, 60, 40, 80, 90, 300, 94, 1)
_ALERT = (0, 50, 50, 10, 90, 95, 101, 600, 0, 50)


@pytest.mark.parametrize(("values", "state"), [(_GOOD, "good"), (_MISSED, "missed"), (_ALERT, "alert")])
def test_each_figure_is_judged_by_its_target_and_alert(values: tuple[int, ...], state: str) -> None:
    found = house.figures_of(
        [Span(Scrape(0.0), Scrape.of(METRICS % dict(zip(_NAMES, values, strict=True)), 10.0, _WANTED))]
    )
    assert len(found) == 9
    assert {figure.name: figure.state for figure in found} == {figure.name: state for figure in found}


def test_what_nobody_says_is_not_said() -> None:
    found = house.figures_of([Span(Scrape(0.0), Scrape(1.0))])
    assert {figure.value for figure in found} == {None}
    assert {figure.state for figure in found} == {""}
    console = Console(width=140, record=True, file=None, quiet=True)
    console.print(screen("nothing", ["search"], found))


def test_metrics_without_a_bound_have_no_share() -> None:
    text = "gaji_sse_connections 10\ngaji_sse_connections_limit +Inf\ngaji_near_bytes NaN\n"
    span = Span(None, Scrape.of(text, 0.0, _WANTED))
    [figure] = [figure for figure in house.figures_of([span]) if figure.name.startswith("streams")]
    assert (figure.value, figure.state) == (0.0, "good")
    assert figure.more.startswith("10 open")


def test_addresses_are_taken_as_people_write_them() -> None:
    found = processes_at(["127.0.0.1:9100", "http://gateway:9100", "https://a.example/b/metrics", "http://u:p@h:1/"])
    assert [(process.name, process.url) for process in found] == [
        ("127.0.0.1:9100", "http://127.0.0.1:9100/metrics"),
        ("gateway:9100", "http://gateway:9100/metrics"),
        ("a.example", "https://a.example/b/metrics"),
        ("h:1", "http://u:p@h:1/metrics"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics", "ftp://x:1", "--once"], "--metrics ftp://x:1: no address; write e.g. 127.0.0.1:9100"),
        (["--metrics", "host:99999", "--once"], "no address"),
        (["--data-dir", "nowhere", "--once"], "no stack runs on this data folder; start one with gaji up"),
        (["--svg", "top.svg"], "say --once as well"),
        (["--interval", "0.1"], "0.1 is not in the range"),
    ],
)
def test_mistakes_are_told(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["top", *arguments])
    assert result.exit_code in {1, 2}
    assert words in result.output.replace("\n", " ")


def test_labels_choose() -> None:
    scrape = Scrape.of('gaji_limit{a="1"} 2\ngaji_limit{a="2"} 5\n', 0.0, ["gaji_limit"])
    assert (scrape.total("gaji_limit"), scrape.total("gaji_limit", having(a="2"))) == (7, 5)
    assert scrape.total("gaji_limit", having(a="3")) is None


def test_a_stack_is_shown(running_stack: RunningStack) -> None:
    running_stack.wait_for_workers()
    names = {process.name for process in processes_of(running_stack.state)}
    arguments = ["top", "--once", "--interval", "0.5", "--data-dir", str(running_stack.data_dir)]
    picture = running_stack.data_dir / "top.svg"
    result = CliRunner().invoke(main, [*arguments, "--svg", str(picture)])
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines() if line.split()}
    assert names <= set(lines)
    assert "MiB" in lines["gateway"]
    assert "MiB" in lines["worker-low"]
    for figure in ("database pool", "streams, of the limit", "longest queue", "breakers open"):
        [line] = [line for line in result.output.splitlines() if figure in line]
        assert "%" in line or figure == "longest queue", line
    drawn = picture.read_text()
    assert "<svg" in drawn
    assert "@font-face" not in drawn  # it loads nothing


def test_who_does_not_answer_is_told(running_stack: RunningStack) -> None:
    admin = running_stack.state["services"]["gateway"][0]["admin"]
    result = CliRunner().invoke(
        main, ["top", "--once", "--interval", "0.2", "--metrics", admin, "--metrics", "127.0.0.1:9"]
    )
    assert result.exit_code == 1
    assert "no answer" in result.output
    assert "MiB" in result.output
