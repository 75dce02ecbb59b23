"""What could flatter in all benchmarks: whose turn it is, and what is made of the rounds' figures."""

import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.cpu import cpu_seconds
from benchmarks.novels import novel
from benchmarks.results import Results, Spread, described, machine, options, percentile, turns
from benchmarks.search.queries import WORDS, Reworded


def test_everyone_has_a_turn_in_each_round_there_and_back_again() -> None:
    order = list(turns(("a", "b", "c"), 3))
    assert order == [(-1, "c"), (-1, "b"), (-1, "a")] + [(0, n) for n in "abc"] + [(1, n) for n in "cba"] + [
        (2, n) for n in "abc"
    ]


def test_warm_up_rounds_are_told_from_those_that_count() -> None:
    assert [turn for turn, _ in turns(("a",), 2, warm_up=2)] == [-1, -1, 0, 1]
    assert [turn for turn, _ in turns(("a",), 2, warm_up=0)] == [0, 1]


def test_a_ratio_is_made_within_each_round() -> None:
    """Between the medians of 9 and 3 it would be 3; the machine was slow in the last round, for both."""
    ratios = Spread.of_ratios([2.0, 9.0, 20.0], [1.0, 3.0, 10.0])
    assert ratios == Spread(2.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="longer"):
        Spread.of_ratios([1.0], [1.0, 2.0])


def test_a_spread_says_the_median_the_least_and_the_most() -> None:
    assert Spread.of([3.0, 1.0, 1234.5]).text(1, "us") == "3.0 us (1.0-1,234.5)"


@pytest.mark.parametrize(("percent", "expected"), [(50, 50.5), (95, 95.05), (99, 99.01)])
def test_percentiles_stand_between_values(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(1, 101)], percent) == pytest.approx(expected)
    assert percentile([7.0], percent) == 7.0


def test_what_was_found_is_printed_and_kept_with_the_machine(tmp_path: Path) -> None:
    console = Console(width=120, record=True, file=(tmp_path / "shown").open("w"))
    results = Results("cache", machine("grpcio", "not-a-distribution"))
    results.table("CPU a lookup", ("way", "us"), [["near", "3.1"]])
    results.raw["lookups"] = {"near": [Spread(3.0, 2.9, 3.2)]}
    results.finish(tmp_path / "cache.json", console)
    console.file.close()
    shown = console.export_text()
    assert "CPU a lookup" in shown
    assert "near" in shown
    kept = json.loads((tmp_path / "cache.json").read_text())
    assert kept["name"] == "cache"
    assert kept["tables"] == [{"title": "CPU a lookup", "columns": ["way", "us"], "rows": [["near", "3.1"]]}]
    assert kept["raw"] == {"lookups": {"near": [{"median": 3.0, "low": 2.9, "high": 3.2}]}}
    assert kept["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert kept["machine"]["memory_mib"] > 0
    assert "grpcio" in kept["machine"]["versions"]
    assert "not-a-distribution" not in kept["machine"]["versions"]
    assert f"Python {kept['machine']['python']}" in described(kept["machine"])


def test_the_options_of_a_benchmark(tmp_path: Path) -> None:
    parser = options("One line.\n\nMore.", rounds=5)
    assert parser.description == "One line."
    arguments = parser.parse_args(["--quick", "--json", str(tmp_path / "a.json")])
    assert (arguments.rounds, arguments.quick, arguments.json) == (5, True, tmp_path / "a.json")


def test_the_clock_of_a_process_is_that_of_its_own_processors() -> None:
    before, mine = cpu_seconds(os.getpid()), time.process_time()
    sum(range(200_000))
    assert cpu_seconds(os.getpid()) - before == pytest.approx(time.process_time() - mine, abs=0.05)
    assert cpu_seconds(os.getpid()) > before
    with pytest.raises(OSError, match="Invalid"):
        cpu_seconds(2**22 + 1)  # no pid is that large


def test_forms_of_a_query_differ_as_keys_and_not_as_words() -> None:
    query = " ".join(f"word{number}" for number in range(WORDS))
    reworded = Reworded()
    forms = [reworded.form(query) for _ in range(1 << (WORDS - 1))]
    assert len(set(forms)) == len(forms)
    assert {" ".join(form.split()) for form in forms} == {query}
    with pytest.raises(RuntimeError, match="every form"):
        reworded.form(query)


def test_where_there_is_no_novel_one_is_invented_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("Once.", encoding="utf-8")
    assert novel("here", tmp_path) == ("Once.", True)
    text, real = novel("nowhere", tmp_path)
    assert not real
    assert novel("nowhere", tmp_path) == (text, False)
    assert novel("elsewhere", tmp_path)[0] != text
    assert len(text.split()) > 50_000
