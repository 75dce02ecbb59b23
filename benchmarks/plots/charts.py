"""What is drawn of each benchmark's file, and the sentence above it. `benchmarks.results` has what ``raw`` holds."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from benchmarks.plots.bars import Bar, Panel, bars
from benchmarks.plots.lines import Axes, Line, Point, lines
from benchmarks.results import Spread

OURS = "Gaji"
_LOADS = {"paced": "200 streams of 50 tokens a second", "saturated": "50 streams, as fast as it goes"}


def relay(document: Mapping[str, Any]) -> str:
    """CPU of each gateway per event, paced and saturated."""
    results = document["raw"]["results"]
    costs = {
        load: {
            name: [one["cpu_per_event_us"] for one in by_load[load]]
            for name, by_load in results.items()
            if load in by_load
        }
        for load in _LOADS
    }
    panels = [
        Panel(said, "us", [Bar(name, Spread.of(rounds), name.startswith(OURS)) for name, rounds in ranked(costs[load])])
        for load, said in _LOADS.items()
        if costs[load]
    ]
    ratios = [
        Spread.of_ratios(by_name[OURS], by_name["Envoy"]).median
        for by_name in costs.values()
        if OURS in by_name and "Envoy" in by_name
    ]
    title = "CPU of the gateway for one event"
    if ratios:
        title = f"An event costs Gaji {' and '.join(f'{ratio:.2f}' for ratio in ratios)} times what it costs Envoy"
    said = (
        "CPU of the gateway process for one event, from a gRPC stream to its reader as SSE. Whiskers: least, most.",
        "Gaji also verifies tokens, logs, counts and can resume; the others do not.",
        machine_said(document),
    )
    return bars(title, said, panels)


def knee(document: Mapping[str, Any]) -> str:
    """The first token's p99 over concurrent conversations, of each stack."""
    raw = document["raw"]
    steps: dict[str, dict[float, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for step in raw["steps"]:
        steps[step["stack"]][step["conversations"]].append(step)
    drawn = []
    for name, by_count in steps.items():
        points = [
            Point(
                count,
                Spread.of([max(one["first_token_p99_ms"], 0.1) for one in by_count[count]]),
                statistics.mean(one["held"] for one in by_count[count]) > 0.5,
            )
            for count in sorted(by_count)
        ]
        drawn.append(Line(_STACKS.get(name, name), points, name.startswith(OURS)))
    most = {line.name: max((p.x for p in line.points if p.held), default=0.0) for line in drawn}
    ours = max((count for name, count in most.items() if name.startswith(OURS)), default=0.0)
    theirs = max((count for name, count in most.items() if not name.startswith(OURS)), default=0.0)
    title = f"Gaji bears {ours:,g} conversations at once" + (f", {_STACKS['replaced']} {theirs:,g}" if theirs else "")
    bound = float(raw.get("bound_ms", 1000))
    said = (
        "From POST to the first token, 99th percentile, while so many conversations go on.",
        "Open dots: a bound was passed (first token, gaps between tokens, errors).",
        machine_said(document),
    )
    axes = Axes("conversations at once", "milliseconds", bound, f"bound: {bound:,g} ms")
    return lines(title, said, axes, drawn)


def search(document: Mapping[str, Any]) -> str:
    """How long a search takes by where its answer comes from."""
    ways = document["raw"]["ways"]
    full = max(max(rounds) for rounds in ways.values())
    groups: dict[str, list[Bar]] = {said: [] for said in _SEARCHES}
    for name, rounds in ways.items():
        said = _SERVED if name in (_SLOW, _QUICK, _NEAR) else _READ if name.endswith("with the model") else _GIVEN
        groups[said].append(Bar(name, Spread.of(rounds), said == _SERVED or name.startswith(OURS)))
    slow, quick = (statistics.median(ways[name]) for name in (_SLOW, _QUICK))
    title = f"A search that somebody has asked before is answered {slow / quick:.0f} times as fast"
    said_above = ("Median time of a search for ten passages, one after the other.", machine_said(document))
    return bars(title, said_above, [Panel(said, "ms", found, full) for said, found in groups.items() if found])


_STACKS = {"replaced": "FastAPI + httpx"}
_GIVEN, _READ, _SERVED = (
    "the vector of the query is given",
    "the model reads the query",
    "through the service, over gRPC",
)
_SEARCHES = (_GIVEN, _READ, _SERVED)
_SLOW, _QUICK, _NEAR = "asked by nobody before", "cached", "kept near"
CHARTS = {"relay": ("relay", relay), "talks": ("knee", knee), "search": ("search", search)}
"""A picture's name, and what draws it, by the benchmark whose file it is made of."""


def ranked(by_name: Mapping[str, list[float]]) -> list[tuple[str, list[float]]]:
    """The least first."""
    return sorted(by_name.items(), key=lambda item: statistics.median(item[1]))


def machine_said(document: Mapping[str, Any]) -> str:
    """The machine, in a few words."""
    machine = document["machine"]
    return f"{machine['cores']} cores, {machine['cpu']}, Python {machine['python']}, {machine['date'][:10]}"
