"""Pictures are well-formed, show every figure, and say what was found."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.plots.__main__ import draw
from benchmarks.plots.charts import CHARTS, knee, relay, search
from benchmarks.plots.svg import WIDTH

MACHINE = {"cores": 2, "cpu": "A <fine> processor & more", "python": "3.11.7", "date": "2026-11-27 12:00:00+0000"}
SVG = "{http://www.w3.org/2000/svg}"


def document(raw: dict[str, Any]) -> dict[str, Any]:
    return {"name": "a", "machine": MACHINE, "tables": [], "raw": raw, "notes": []}


def rounds(*costs: float) -> list[dict[str, float]]:
    return [{"cpu_per_event_us": cost} for cost in costs]


RELAY = document(
    {
        "results": {
            "sse-starlette": {"paced": rounds(60, 66, 63), "saturated": rounds(68, 70, 69)},
            "Envoy": {"paced": rounds(20, 22, 21), "saturated": rounds(9, 10, 9.5)},
            "Gaji": {"paced": rounds(10, 11, 10.5), "saturated": rounds(0.9, 1.0, 0.95)},
        }
    }
)
STEPS = [
    {"stack": stack, "round": 0, "conversations": count, "first_token_p99_ms": p99, "held": held}
    for stack, points in {
        "Gaji": [(90, 40.0, True), (180, 90.0, True), (360, 1800.0, False)],
        "replaced": [(20, 200.0, True), (40, 1500.0, False)],
    }.items()
    for count, p99, held in points
]
KNEE = document({"steps": STEPS})
SEARCH = document(
    {"ways": {"Chroma": [3.0, 4.0], "asked by nobody before": [30.0], "cached": [0.6], "kept near": [0.4]}}
)


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 - we have just made it


def words(picture: str) -> list[str]:
    return ["".join(one.itertext()) for one in parsed(picture).iter(f"{SVG}text")]


def bars_of(picture: str) -> list[float]:
    boxes = parsed(picture).iter(f"{SVG}rect")
    return [float(box.attrib["width"]) for box in boxes if box.attrib["class"].endswith("bar")]


def test_a_bar_is_as_long_as_its_figure() -> None:
    picture = relay(RELAY)
    paced, saturated = bars_of(picture)[:3], bars_of(picture)[3:]
    assert [one / paced[0] for one in paced] == pytest.approx([1.0, 2.0, 6.0], rel=0.02)
    assert [one / saturated[1] for one in saturated] == pytest.approx([0.1, 1.0, 69 / 9.5], rel=0.02)
    said = words(picture)
    assert said[0] == "An event costs Gaji 0.50 and 0.10 times what it costs Envoy"
    assert {"10.5 us", "21.0 us", "63.0 us", "0.95 us", "9.50 us", "69.0 us"} <= set(said)


def test_a_relay_without_its_peers_has_a_title_that_compares_nothing() -> None:
    alone = document({"results": {"Gaji": RELAY["raw"]["results"]["Gaji"]}})
    assert words(relay(alone))[0] == "CPU of the gateway for one event"


def test_the_knee_is_the_last_step_that_held() -> None:
    picture = knee(KNEE)
    assert words(picture)[0] == "Gaji bears 180 conversations at once, FastAPI + httpx 20"
    dots = [one.attrib["class"] for one in parsed(picture).iter(f"{SVG}circle")]
    assert sorted(dots) == ["dot", "open", "ours dot", "ours dot", "ours open"]
    heights = {
        name: [float(one.attrib["cy"]) for one in parsed(picture).iter(f"{SVG}circle") if one.attrib["class"] == name]
        for name in ("ours dot", "ours open")
    }
    assert min(heights["ours dot"]) > max(heights["ours open"])  # what takes longer stands higher


def test_a_step_of_several_rounds_held_if_most_did() -> None:
    again = [{**STEPS[2], "round": turn, "held": held} for turn, held in ((1, True), (2, True))]
    assert words(knee(document({"steps": [*STEPS, *again]})))[0].startswith("Gaji bears 360 conversations")


def test_the_title_of_a_search_is_its_ratio() -> None:
    picture = search(SEARCH)
    assert words(picture)[0] == "A search that somebody has asked before is answered 50 times as fast"
    assert len(bars_of(picture)) == 4


def test_every_picture_has_both_colours_and_stays_on_its_page(tmp_path: Path) -> None:
    for name, data in (("relay", RELAY), ("talks", KNEE), ("search", SEARCH)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    made = draw(tmp_path, tmp_path)
    assert [path.name for path in made] == [f"{picture}.svg" for picture, _ in CHARTS.values()]
    for path in made:
        root = parsed(path.read_text(encoding="utf-8"))
        assert root.attrib["aria-label"] == words(path.read_text(encoding="utf-8"))[0]
        assert "prefers-color-scheme:dark" in "".join(root.itertext())
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert width == WIDTH
        for text in root.iter(f"{SVG}text"):
            assert 0 < float(text.attrib["x"]) < width
            assert 0 < float(text.attrib["y"]) < height


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    assert draw(tmp_path, tmp_path) == []
