"""Envoy's configuration (https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge).

Where it differs from those practices, docs/decisions/0033-edges.md says why.
"""

from typing import Any

import orjson
import yaml

from gateway.edge.envoy_listeners import http_connections, listener, quic_listener, redirecting
from gateway.edge.envoy_routes import CLUSTER, virtual_hosts
from gateway.edge.front import Front, is_address, split
from gateway.edge.plan import Plan

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
# What a gateway closes an idle connection after is more: whoever closes first must be the one that sends.
_IDLE_SECONDS = 20
_PENDING = 1024
_HEADER = """\
# Made by `python -m gateway.edge envoy`; not to be edited. What is in it and why: docs/edge.md.
"""


def envoy_config(plan: Plan, front: Front) -> str:
    """A bootstrap configuration, as YAML.

    Args:
        plan: what follows from the contract.
        front: where the edge stands.
    """
    # What is the same object in two places would be written as a reference, which people would have to look up.
    config = orjson.loads(orjson.dumps(bootstrap(plan, front)))
    text: str = yaml.safe_dump(config, sort_keys=False, width=116, default_flow_style=None)
    return _HEADER + text


def bootstrap(plan: Plan, front: Front) -> Json:
    """The same as data."""
    hosts = virtual_hosts(plan, front)
    listeners = [listener("readers", front, plan, http_connections(plan, front, hosts, "AUTO"))]
    if front.tls is not None and front.http3:
        listeners.append(quic_listener("readers-quic", front, http_connections(plan, front, hosts, "HTTP3")))
    if front.tls is not None and front.redirect_port:
        listeners.append(redirecting("to-https", front, plan))
    clusters = [_gateways(plan, front)]
    if front.otlp:
        clusters.append(_collector(front))
    config: Json = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    if front.admin:
        config["admin"] = {"address": _address(front.admin)}
    return config | {
        "overload_manager": _overload(front),
        "layered_runtime": {
            "layers": [
                # Regular expressions of RE2 have a size; Envoy's own bound is below that of a path with two variables.
                {"name": "bounds", "static_layer": {"re2.max_program_size.error_level": 2000}},
            ]
        },
    }


def _gateways(plan: Plan, front: Front) -> Json:
    """The gateways: HTTP/1.1, a connection for each stream."""
    named = not all(is_address(split(gateway)[0]) for gateway in front.gateways)
    connections = plan.connections * len(front.gateways)
    cluster: Json = {
        "name": CLUSTER,
        "type": "STRICT_DNS" if named else "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",  # streams are long: who has fewer open gets the next one
        "per_connection_buffer_limit_bytes": 32768,
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(one)}} for one in front.gateways]}],
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": connections,
                    "max_requests": connections,
                    "max_pending_requests": _PENDING,
                    "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 3},
                }
            ],
            "per_host_thresholds": [{"max_connections": plan.connections}],
        },
        # /ready says 503 as soon as a gateway drains. Where none is ready, say because a room behind all of them is
        # away, all are asked: they have copies of answers, and words for what is missing.
        "health_checks": [
            {
                "timeout": "3s",
                "interval": "2s",
                "interval_jitter": "0.5s",
                "no_traffic_interval": "5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/ready", "host": "gateway"},
            }
        ],
        "common_lb_config": {"healthy_panic_threshold": {"value": 50.0}},
        # What a gateway answers is no fault of it, whatever the status; that it cannot be reached is.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 5,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 50,
        },
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 10, "keepalive_probes": 3}
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{_IDLE_SECONDS}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    if front.source:
        source = {"socket_address": {"address": front.source, "port_value": 0}}
        cluster["upstream_bind_config"] = {"source_address": source["socket_address"]}
    return cluster


def _collector(front: Front) -> Json:
    host, _ = split(front.otlp)
    return {
        "name": "traces",
        "type": "STATIC" if is_address(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "traces",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(front.otlp)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _overload(front: Front) -> Json:
    """Sheds load before the kernel ends the process: first what costs nobody anything, streams that run last."""
    heap = "envoy.resource_monitors.fixed_heap"

    def at(value: float) -> list[Json]:
        return [{"name": heap, "threshold": {"value": value}}]

    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{_TYPE}extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": front.heap_bytes,
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.resource_monitors.downstream_connections.v3"
                    ".DownstreamConnectionsConfig",
                    "max_active_downstream_connections": front.connections,
                },
            },
        ],
        "actions": [
            {"name": "envoy.overload_actions.shrink_heap", "triggers": at(0.90)},
            {"name": "envoy.overload_actions.disable_http_keepalive", "triggers": at(0.92)},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": at(0.95)},
        ],
        "loadshed_points": [{"name": "envoy.load_shed_points.tcp_listener_accept", "triggers": at(0.98)}],
    }


def _address(text: str) -> Json:
    host, port = split(text)
    return {"socket_address": {"address": host, "port_value": port}}
