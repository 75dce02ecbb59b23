"""Envoy's listeners, and what it does with HTTP before it routes it."""

import math
from typing import Any

from gateway.edge.envoy_routes import header
from gateway.edge.front import Front, Tls
from gateway.edge.plan import MARGIN_SECONDS, Plan, Rate
from gateway.edge.replies import HEADERS, JSON, REPLIES, RETRIED, RETRY_SECONDS, other, reply
from gateway.http import LINGER_SECONDS
from gateway.limits import DEFAULT

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_IDLE_SECONDS = 75  # longer than browsers wait, so that it is they who close
_ADDRESSES = 50_000
# Whom a request counts for: an address, of IPv6 its /64, as at the gateway.
_WHOSE: Json = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
# Of TLS 1.2, what Mozilla calls intermediate: forward secrecy and authenticated encryption.
_CIPHERS = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
# The path without its query, in which readers' words and tickets may stand.
_LINE: Json = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "gateway": "%UPSTREAM_HOST%",
    "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "request_id": "%RESP(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
}


def listener(name: str, front: Front, plan: Plan, http: Json) -> Json:
    """HTTP/1.1 and HTTP/2 over TCP."""
    chain: Json = {"filters": [http]}
    filters: list[Json] = []
    if front.tls is not None:
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    **_certificates(front.tls),
                    "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "cipher_suites": _CIPHERS},
                    "alpn_protocols": ["h2", "http/1.1"],
                },
            },
        }
        filters.append(
            {
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": {"@type": f"{_TYPE}extensions.filters.listener.tls_inspector.v3.TlsInspector"},
            }
        )
    return {
        "name": name,
        "address": {"socket_address": {"address": front.address, "port_value": front.port}},
        "per_connection_buffer_limit_bytes": 32768,
        "listener_filters_timeout": f"{min(plan.head_seconds, 5):g}s",
        **({"listener_filters": filters} if filters else {}),
        "filter_chains": [chain],
    }


def quic_listener(name: str, front: Front, http: Json) -> Json:
    """HTTP/3 over UDP. Early data could be played again by anybody, so there is none."""
    if front.tls is None:
        raise ValueError("HTTP/3 is always encrypted")
    address = {"protocol": "UDP", "address": front.address, "port_value": front.port}
    return {
        "name": name,
        "address": {"socket_address": address},
        "udp_listener_config": {"quic_options": {}, "downstream_socket_config": {"prefer_gro": True}},
        "filter_chains": [
            {
                "filters": [http],
                "transport_socket": {
                    "name": "envoy.transport_sockets.quic",
                    "typed_config": {
                        "@type": f"{_TYPE}extensions.transport_sockets.quic.v3.QuicDownstreamTransport",
                        "downstream_tls_context": {"common_tls_context": _certificates(front.tls)},
                        "enable_early_data": False,
                    },
                },
            }
        ],
    }


def redirecting(name: str, front: Front, plan: Plan) -> Json:
    """Plain HTTP, which leads to HTTPS and no further."""
    redirect: Json = {"https_redirect": True, "response_code": "PERMANENT_REDIRECT"}
    if front.port != 443:
        redirect["port_redirect"] = front.port
    host = {"name": "to-https", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "redirect": redirect}]}
    options = {
        "codec_type": "HTTP1",
        "stat_prefix": "to_https",
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": f"{plan.head_seconds:g}s",
        "request_timeout": f"{plan.head_seconds:g}s",
        "common_http_protocol_options": {"idle_timeout": "10s"},
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [_router()],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": front.address, "port_value": front.redirect_port}},
        "per_connection_buffer_limit_bytes": 32768,
        "filter_chains": [{"filters": [_manager(options)]}],
    }


def http_connections(plan: Plan, front: Front, hosts: list[Json], codec: str) -> Json:
    """The filter that makes requests of bytes."""
    options: Json = {
        "codec_type": codec,
        "stat_prefix": "readers",
        # Whoever has connected is who limits count for, and is added to X-Forwarded-For: by the routes, since Envoy
        # itself would add its own address for one of its own machine.
        "use_remote_address": True,
        "skip_xff_append": True,
        "xff_num_trusted_hops": 1 if front.front_networks else 0,
        "internal_address_config": {"unix_sockets": False},
        "normalize_path": True,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "server_header_transformation": "PASS_THROUGH",
        # The gateway's request id is the one in all logs.
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "proxy_100_continue": True,
        "max_request_headers_kb": math.ceil(plan.head_bytes / 1024),
        "request_headers_timeout": f"{plan.head_seconds:g}s",
        "request_timeout": f"{plan.body_seconds + MARGIN_SECONDS:g}s",
        "stream_idle_timeout": f"{plan.idle_seconds:g}s",
        "delayed_close_timeout": f"{LINGER_SECONDS:g}s",
        "drain_timeout": "5s",
        "common_http_protocol_options": {
            "idle_timeout": f"{_IDLE_SECONDS}s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "local_reply_config": {"mappers": _replies()},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.access_loggers.file.v3.FileAccessLog",
                    "path": front.access_log,
                    "log_format": {"json_format": _LINE | ({"trace_id": "%TRACE_ID%"} if front.otlp else {})},
                },
            }
        ],
        "route_config": {"name": "contract", "virtual_hosts": hosts},
        "http_filters": [*_limits(plan), _router()],
    }
    if codec == "HTTP3":
        options["http3_protocol_options"] = {"quic_protocol_options": {"max_concurrent_streams": 100}}
    else:
        options["http2_protocol_options"] = {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        }
    if front.otlp:
        options["tracing"] = _tracing(front)
        # Not by request ids, which browsers do not send; and those that come stay as they are.
        options["request_id_extension"] = {
            "typed_config": {
                "@type": f"{_TYPE}extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
                "use_request_id_for_trace_sampling": False,
            }
        }
    return _manager(options)


def _manager(options: Json) -> Json:
    name = "envoy.filters.network.http_connection_manager"
    kind = f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {"name": name, "typed_config": {"@type": kind, **options}}


def _router() -> Json:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{_TYPE}extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }


def _certificates(tls: Tls) -> Json:
    pair = {"certificate_chain": {"filename": tls.certificate}, "private_key": {"filename": tls.key}}
    return {"tls_certificates": [pair]}


def _limits(plan: Plan) -> list[Json]:
    """Rates of addresses, counted by this process alone: the gateways count exactly, this keeps floods from them."""
    if not plan.rates:
        return []
    always = {"default_value": {"numerator": 100}}
    return [
        {
            "name": "envoy.filters.http.local_ratelimit",
            "typed_config": {
                "@type": f"{_TYPE}extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                "stat_prefix": "addresses",
                "filter_enabled": always,
                "filter_enforced": always,
                "max_dynamic_descriptors": _ADDRESSES,
                "rate_limits": [{"actions": [*_matched(name, plan), _WHOSE]} for name in plan.rates],
                "descriptors": [
                    {
                        "entries": [
                            *([] if name == DEFAULT else [{"key": "header_match", "value": name}]),
                            {"key": "masked_remote_address"},
                        ],
                        "token_bucket": _bucket(rate),
                    }
                    for name, rate in plan.rates.items()
                ],
            },
        }
    ]


def _matched(name: str, plan: Plan) -> list[Json]:
    """The paths whose requests count under a policy."""
    if name == DEFAULT:
        return []
    paths = "|".join(dict.fromkeys(rule.pattern for rule in plan.rules if rule.limit == name))
    path = {"name": ":path", "string_match": {"safe_regex": {"regex": rf"({paths})(\?.*)?"}}}
    return [{"header_value_match": {"descriptor_value": name, "headers": [path]}}]


def _bucket(rate: Rate) -> Json:
    """Some at a time where there are many a second, one at a time where there are few."""
    many = max(1, round(rate.rate))
    return {
        "max_tokens": max(rate.burst, 1),
        "tokens_per_fill": many,
        "fill_interval": f"{many / rate.rate:.3f}s",
    }


def _replies() -> list[Json]:
    """What Envoy says itself is said as a gateway says it."""
    mappers = [_reply("EQ", 413, "%LOCAL_REPLY_BODY%")]
    mappers += [_reply("EQ", status, reply(status), retried=status in RETRIED) for status in REPLIES]
    return [*mappers, _reply("GE", 400, other())]


def _reply(comparison: str, status: int, body: str, *, retried: bool = False) -> Json:
    value = {"default_value": status, "runtime_key": f"edge.reply_{status}"}
    headers = {**HEADERS, **({"retry-after": str(RETRY_SECONDS)} if retried else {})}
    return {
        "filter": {"status_code_filter": {"comparison": {"op": comparison, "value": value}}},
        "headers_to_add": [header(name, text) for name, text in headers.items()],
        "body_format_override": {"text_format_source": {"inline_string": body}, "content_type": JSON},
    }


def _tracing(front: Front) -> Json:
    return {
        "random_sampling": {"value": front.trace_percent},
        # Of its own accord Envoy records the address with its query (http.url).
        "max_path_tag_length": 0,
        "custom_tags": [{"tag": "url.path", "value": "%PATH(NQ)%"}],
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{_TYPE.removesuffix('.')}.config.trace.v3.OpenTelemetryConfig",
                "service_name": "edge",
                "grpc_service": {"envoy_grpc": {"cluster_name": "traces"}, "timeout": "1s"},
            },
        },
    }
