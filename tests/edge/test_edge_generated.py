"""What is committed is what the contract says, the servers take it, and it treats each path as the gateway does."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.bindings import Route, routes_of
from gateway.config import GatewaySettings
from gateway.contract import load_contract
from gateway.edge import Front, Plan, Tls, envoy_config, nginx_config, plan_of
from gateway.edge.__main__ import main
from gateway.edge.envoy import bootstrap
from gateway.router import Router
from tests.fixtures.edge import EDGES, envoy_binary, free_port, nginx_binary
from tests.gateway.conftest import ROOT

FILES = {"envoy": "envoy.yaml", "nginx": "nginx.conf"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are the usual ones, whatever they are here."""
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(f"GAJI_{name.upper()}", raising=False)


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    return routes_of(load_contract())


@pytest.fixture
def plan(routes: list[Route]) -> Plan:
    return plan_of(routes, GatewaySettings(), 5)


@pytest.mark.parametrize("kind", EDGES)
def test_the_committed_file_is_current(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([kind])
    committed = (ROOT / "deploy" / "edge" / FILES[kind]).read_text()
    assert capsys.readouterr().out == committed, f"run: python -m gateway.edge {kind} >deploy/edge/{FILES[kind]}"


def test_envoy_takes_it(plan: Plan, tls: Tls, tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    front = Front(tls=tls, otlp="collector:4317", front_networks=("10.0.0.0/8",))
    file.write_text(envoy_config(plan, front))
    command = [envoy_binary(), "--mode", "validate", "-c", str(file), "--log-level", "warning"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
    assert "will be ignored" not in done.stderr


def test_nginx_takes_it(plan: Plan, tls: Tls, tmp_path: Path) -> None:
    file = tmp_path / "nginx.conf"
    front = Front(
        tls=tls,
        http3=False,
        address="127.0.0.1",
        port=free_port(),  # it tries to listen
        redirect_port=free_port(),
        gateways=("127.0.0.1:1", "127.0.0.1:2"),  # and looks names up
        front_networks=("10.0.0.0/8",),
        access_log="access.log",
    )
    file.write_text(nginx_config(plan, front))
    command = [nginx_binary(), "-t", "-p", f"{tmp_path}/", "-c", str(file), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "/api/conversations/create-stream",
        "/api/conversations/4b1f",
        "/api/conversations/4b1f/messages-stream",
        "/api/conversations/4b1f/messages/9d7f:stop",
        "/api/conversations/4b1f/messages/9d7f",
        "/api/conversations/a%2Fb/messages/9d7f:stop",
        "/api/novels",
        "/api/novels:upload",
        "/api/novels/4b1f:reingest",
        "/api/novels/4b1f:other",
        "/api/novels/4b1f/passages/a.b",
    ],
)
def test_a_path_has_the_rule_of_the_route_that_the_gateway_takes(plan: Plan, routes: list[Route], path: str) -> None:
    router = Router(routes)
    for method in router.allowed(path) - {"OPTIONS", "HEAD"}:
        route = router.match(method, path).route
        rule = next(rule for rule in plan.rules if rule.method == method and re.fullmatch(rule.pattern, path))
        assert (rule.template, rule.stream, rule.limit) == (route.template.text, route.streaming, route.limit)


def test_every_route_is_in_both(plan: Plan, routes: list[Route]) -> None:
    front = Front()
    config = json.dumps(bootstrap(plan, front))
    nginx = nginx_config(plan, front)
    assert {(rule.method, rule.template) for rule in plan.rules} >= {(r.verb, r.template.text) for r in routes}
    for rule in plan.rules:
        assert json.dumps(rule.template if rule.literal else rule.pattern)[1:-1] in config
        assert (f"location = {rule.template} " if rule.literal else f'"^{rule.pattern}$"') in nginx


def routes_in(config: dict[str, Any], listener: str) -> list[dict[str, Any]]:
    found = next(one for one in config["static_resources"]["listeners"] if one["name"] == listener)
    options = found["filter_chains"][0]["filters"][0]["typed_config"]
    routes: list[dict[str, Any]] = options["route_config"]["virtual_hosts"][0]["routes"]
    return routes


@pytest.mark.parametrize("listener", ["readers", "readers-quic"])
def test_envoy_waits_longer_than_the_gateway_and_never_ends_a_stream_that_runs(plan: Plan, listener: str) -> None:
    config = yaml.safe_load(envoy_config(plan, Front()))
    answered = [one for one in routes_in(config, listener) if "route" in one]
    for rule, one in zip(plan.rules, answered, strict=False):
        route = one["route"]
        if rule.stream:
            assert route["timeout"] == "0s"
            assert float(route["max_stream_duration"]["max_stream_duration"][:-1]) > rule.seconds + 1
            assert float(route["idle_timeout"][:-1]) > 60
        else:
            assert float(route["timeout"][:-1]) > rule.seconds
        again = route["retry_policy"]["retry_on"].split(",")
        assert ("reset" in again) == rule.again
        assert not {"5xx", "gateway-error", "retriable-4xx"} & set(again)
    assert len(answered) == len(plan.rules) + 1
    assert answered[-1]["match"] == {"prefix": "/"}


def test_ten_thousand_streams_fit() -> None:
    plan = plan_of([], GatewaySettings(), 5)
    cluster = bootstrap(plan, Front())["static_resources"]["clusters"][0]
    assert cluster["circuit_breakers"]["thresholds"][0]["max_requests"] >= 10_000
    assert "max_conns=10000" in nginx_config(plan, Front())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["envoy", "--gateway", "gateway-1"], "'gateway-1' is not host:port"),
        (["nginx", "--gateway", "a:99999"], "is not host:port"),
        (["envoy", "--admin", "x"], "'x' is not host:port"),
        (["apache"], "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_said(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_header_that_no_edge_writes_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAJI_PROXY_HEADER", "forwarded")
    with pytest.raises(SystemExit):
        main(["nginx"])
    assert "GAJI_PROXY_HEADER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trusted", "refused"),
    [("", False), ("10.0.0.0/24", True), ("10.0.0.0/24,192.0.2.0/24,fd00::/8", False), ("10.0.0.0/24,192.0.2.7", True)],
)
def test_a_balancer_that_gateways_do_not_trust_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trusted: str, refused: bool
) -> None:
    monkeypatch.setenv("GAJI_TRUSTED_PROXIES", trusted)
    arguments = ["envoy", "--behind", "192.0.2.0/28"]
    if refused:
        with pytest.raises(SystemExit):
            main(arguments)
        assert "--behind 192.0.2.0/28: GAJI_TRUSTED_PROXIES" in capsys.readouterr().err
    else:
        main(arguments)
    main(["nginx", *arguments[1:]])  # hands on the client that the balancer names, and nobody after it


def test_nginx_says_http3_where_it_is_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    main(["nginx", "--http3"])
    text = capsys.readouterr().out
    assert "listen 0.0.0.0:443 quic;" in text
    assert "http3 on;" in text
    assert 'alt-svc "h3=\\":443\\"; ma=86400"' in text
