"""Prometheus' and Alertmanager's own checks of our configuration, and what ties alerts to tests, pages and metrics."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.cli import main
from stack.settings import settings_amiss
from tests.monitoring.files import MONITORING, RUNBOOKS, program, series_of

_TESTS = sorted((MONITORING / "tests").glob("*.yml"))
_SELECTOR = re.compile(r'alertname="(\w+)"')
_COMMAND = re.compile(r"`gaji ([a-z]+)")
_SETTING = re.compile(r"\bGAJI_[A-Z_]+[A-Z]\b")


def said(*command: str) -> str:
    """What a program says, which is to end well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration() -> None:
    assert "FAILED" not in said(program("promtool"), "check", "config", str(MONITORING / "prometheus.yml"))


def test_prometheus_takes_that_for_kubernetes(tmp_path: Path) -> None:
    """All but how pods are found, which Debian's build does not know."""
    configuration = yaml.safe_load((MONITORING / "prometheus-kubernetes.yml").read_text())
    [scrape] = configuration["scrape_configs"]
    assert scrape.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["gaji"]}}]
    scrape["static_configs"] = [{"targets": ["127.0.0.1:9100"]}]
    configuration["rule_files"] = [str(MONITORING / "rules" / "*.yml")]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    assert "FAILED" not in said(program("promtool"), "check", "config", str(path))


@pytest.mark.parametrize("path", _TESTS, ids=[path.stem for path in _TESTS])
def test_each_alert_fires_and_clears(path: Path) -> None:
    said(program("promtool"), "test", "rules", str(path))


def test_alertmanager_takes_the_configuration() -> None:
    said(program("amtool"), "check-config", str(MONITORING / "alertmanager.yml"))


@pytest.mark.parametrize(("severity", "receiver"), [("page", "page"), ("ticket", "ticket"), ("none", "watchdog")])
def test_alerts_go_where_their_severity_says(severity: str, receiver: str) -> None:
    name = "Watchdog" if severity == "none" else "ApiSlow"
    file = f"--config.file={MONITORING / 'alertmanager.yml'}"
    route = said(program("amtool"), "config", "routes", "test", file, f"alertname={name}", f"severity={severity}")
    assert route.strip() == receiver


def test_each_alert_has_a_test_in_which_it_fires_and_clears(alerts: list[dict[str, Any]]) -> None:
    """The tests themselves are promtool's; that none is missing can be seen without it."""
    moments: dict[tuple[str, str], list[tuple[int, bool]]] = defaultdict(list)
    for path in _TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for looked in test["promql_expr_test"]:
                name = _SELECTOR.search(looked["expr"])
                assert name is not None
                at = int(looked["eval_time"].removesuffix("m"))
                severities = re.findall(r'severity="(\w+)"', looked["expr"])
                for severity in severities or ["page", "ticket", "none"]:
                    moments[name[1], severity].append((at, bool(looked["exp_samples"])))
    for alert in alerts:
        seen = sorted(moments[alert["alert"], alert["labels"]["severity"]])
        firing = [at for at, fires in seen if fires]
        assert firing, f"no test has {alert['alert']} fire"
        if alert["alert"] != "Watchdog":  # which always does
            silent = [at for at, fires in seen if not fires]
            assert min(silent) < min(firing), f"{alert['alert']}: no test has it silent before"
            assert max(silent) > max(firing), f"{alert['alert']}: no test has it clear"


def test_each_alert_says_what_it_is_and_leads_to_its_page(
    alerts: list[dict[str, Any]], runbooks: dict[str, str]
) -> None:
    for alert in alerts:
        name, notes = alert["alert"], alert["annotations"]
        assert alert["labels"]["severity"] in {"page", "ticket", "none"}
        assert notes["summary"]
        assert notes["description"]
        assert notes["runbook_url"] == "{{ $externalLabels.runbooks }}/" + f"{name}.md"
    assert {alert["alert"] for alert in alerts} == set(runbooks)


def test_pages_name_nothing_that_is_not_there(runbooks: dict[str, str]) -> None:
    commands: set[str] = set(main.commands)
    for name, text in runbooks.items():
        parts = ["**What it says.**", "**What readers notice.**", "**Look first.**", "**Remedies.**"]
        places = [text.find(part) for part in (f"# {name}\n", *parts)]
        assert places == sorted(places), f"{name}: a part is missing"
        assert -1 not in places, f"{name}: a part is missing"
        assert set(_COMMAND.findall(text)) <= commands, name
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (RUNBOOKS / link).exists(), f"{name} leads to {link}"
    _, unknown = settings_amiss(dict.fromkeys(_SETTING.findall("".join(runbooks.values())), ""))
    assert not unknown, f"no room has these settings: {unknown}"


def test_inhibitions_name_alerts_that_there_are(alerts: list[dict[str, Any]]) -> None:
    names = {alert["alert"] for alert in alerts}
    rules = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())["inhibit_rules"]
    for rule in rules:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            if matcher.startswith("alertname"):
                assert set(re.findall(r"\b[A-Z]\w+", matcher)) <= names, matcher


def test_rules_read_what_other_rules_record(rules: list[dict[str, Any]]) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    read = {name for rule in rules for name, _ in series_of(rule["expr"]) if name.startswith("gaji:")}
    assert read <= recorded
