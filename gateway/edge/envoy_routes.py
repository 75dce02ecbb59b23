"""Envoy's routes: one for each method of each path of the contract, and one for all else."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from gateway.edge.front import Front
from gateway.edge.plan import MARGIN_SECONDS, Plan, Rule
from gateway.edge.replies import JSON, too_large

Json = dict[str, Any]

CLUSTER = "gateways"
_MOST = 2**63 - 1
# Before a gateway has begun with a request it is nobody's, whatever it does.
_UNSEEN = "connect-failure,refused-stream,reset-before-request"


def virtual_hosts(plan: Plan, front: Front) -> list[Json]:
    """The hosts that are answered; others get 421."""
    domains = ["*"] if front.any_host else [name for host in front.hosts for name in (host, f"{host}:*")]
    host: Json = {"name": "gaji", "domains": domains, "routes": list(_routes(plan))}
    if front.tls is not None:
        host["response_headers_to_add"] = [header("strict-transport-security", "max-age=31536000")]
        if front.http3:
            host["response_headers_to_add"].append(header("alt-svc", f'h3=":{front.port}"; ma=86400'))
    # What a gateway would believe of nobody is not handed on, whatever it is set to believe.
    host["request_headers_to_remove"] = ["forwarded", "x-real-ip"]
    peer = {"key": "x-forwarded-for", "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}
    host["request_headers_to_add"] = [{"header": peer, "append_action": "APPEND_IF_EXISTS_OR_ADD"}]
    if front.any_host:
        return [host]
    stranger = {"match": {"prefix": "/"}, "direct_response": {"status": 421}}
    return [host, {"name": "others", "domains": ["*"], "routes": [stranger]}]


def header(name: str, value: str) -> Json:
    """A header that is set, whatever was there."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _routes(plan: Plan) -> list[Json]:
    routes = [*_too_large(plan.rules)]
    routes += [_route(rule, plan) for rule in plan.rules]
    routes.append(_refused({"prefix": "/", "headers": [_longer(plan.body_bytes)]}, plan.body_bytes))
    routes.append({"match": {"prefix": "/"}, "route": _answered(plan.seconds, again=False)})
    return routes


def _route(rule: Rule, plan: Plan) -> Json:
    route = _answered(rule.seconds, again=rule.again)
    if rule.stream:
        # A stream may take its time; that something comes is what is waited for.
        route["timeout"] = "0s"
        route["idle_timeout"] = _seconds(plan.idle_seconds)
        route["max_stream_duration"] = {"max_stream_duration": _seconds(rule.seconds + 3 * MARGIN_SECONDS)}
    return {"match": {**_path([rule]), "headers": [_method(rule)]}, "route": route}


def _answered(seconds: float, *, again: bool) -> Json:
    return {
        "cluster": CLUSTER,
        "timeout": _seconds(seconds + MARGIN_SECONDS),
        "retry_policy": {
            "retry_on": f"{_UNSEEN},reset" if again else _UNSEEN,
            "num_retries": 2,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/"
                        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            "host_selection_retry_max_attempts": 3,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        },
    }


def _too_large(rules: Sequence[Rule]) -> list[Json]:
    """Refuses bodies that say that they are too large; those that do not say it the gateway counts."""

    def kind(rule: Rule) -> tuple[int, str]:
        return rule.body_bytes, rule.method

    taking = sorted((rule for rule in rules if rule.body_bytes), key=kind)
    return [
        _refused({**_path(of := list(group)), "headers": [_method(of[0]), _longer(limit)]}, limit)
        for (limit, _), group in groupby(taking, key=kind)
    ]


def _refused(match: Json, limit: int) -> Json:
    return {
        "match": match,
        "direct_response": {"status": 413, "body": {"inline_string": too_large(limit)}},
        "response_headers_to_add": [header("content-type", JSON)],
    }


def _longer(limit: int) -> Json:
    return {"name": "content-length", "range_match": {"start": limit + 1, "end": _MOST}}


def _path(rules: Sequence[Rule]) -> Json:
    if len(rules) == 1 and rules[0].literal:
        return {"path": rules[0].template}
    return {"safe_regex": {"regex": "|".join(dict.fromkeys(rule.pattern for rule in rules))}}


def _method(rule: Rule) -> Json:
    if rule.method == "GET" and not rule.stream:
        return {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return {"name": ":method", "string_match": {"exact": rule.method}}


def _seconds(value: float) -> str:
    return f"{value:g}s"
