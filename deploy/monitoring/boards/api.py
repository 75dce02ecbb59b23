"""The dashboard of requests and of the calls between rooms."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import HTTP, NO_STREAMS, percentile, percentiles, rate

_FAULT = 'http_response_status_code=~"5..",http_response_status_code!="501"'
_ERRORS = f"{rate(HTTP + '_count', _FAULT)} / {rate(HTTP + '_count')}"

API = Board(
    "api",
    "Gaji: API",
    "Requests that are answered at once, as the gateway sees them.",
    (
        Row(
            "All routes",
            (
                Panel(
                    "Requests",
                    [Query(rate(f"{HTTP}_count", by="http_response_status_code"), "{{http_response_status_code}}")],
                    "reqps",
                    "By status.",
                    stacked=True,
                ),
                Panel("Latency", percentiles(HTTP), "s", "Dots are traces.", 0.5, 1, runbook="ApiSlow"),
                Panel("Errors", [Query(_ERRORS, "5xx")], "percentunit", "", 0.001, 0.01, runbook="ApiErrors"),
                Panel(
                    "Under way",
                    [Query("sum by (http_request_method) (http_server_active_requests)", "{{http_request_method}}")],
                    "short",
                    "Requests that are being answered, streams among them.",
                    stacked=True,
                ),
                Panel(
                    "Refused",
                    [
                        Query(rate("gaji_rate_limit_total", 'outcome="refused"', "policy"), "{{policy}}"),
                        Query(rate("gaji_limit_shed_total", 'room="gateway"'), "too much to do"),
                        Query(rate("gaji_connections_shed_total"), "too many connections"),
                        Query(rate("gaji_connections_refused_total"), "too many of one address"),
                    ],
                    "reqps",
                    "By limits.",
                ),
                Panel(
                    "Answers from before",
                    [Query(rate("gaji_edge_copies_total", by="http_route"), "{{http_route}}")],
                    "reqps",
                    "Copies given because nobody answered.",
                ),
            ),
        ),
        Row(
            "By route",
            (
                Panel(
                    "Slowest routes, p95",
                    [Query(f"topk(10, {percentile(0.95, HTTP, by='http_route')})", "{{http_route}}")],
                    "s",
                    width=12,
                ),
                Panel(
                    "Errors",
                    [
                        Query(
                            rate(f"{HTTP}_count", _FAULT, "http_route, error_type"),
                            "{{http_route}} {{error_type}}",
                        )
                    ],
                    "reqps",
                    width=12,
                ),
                Panel(
                    "Bytes of answers",
                    [Query(rate("http_server_response_body_size_bytes_sum", by="http_route"), "{{http_route}}")],
                    "Bps",
                    width=12,
                ),
                Panel(
                    "Bytes of requests",
                    [Query(rate("http_server_request_body_size_bytes_sum", by="http_route"), "{{http_route}}")],
                    "Bps",
                    width=12,
                ),
            ),
        ),
        Row(
            "Between rooms",
            (
                Panel(
                    "Calls answered",
                    [Query(rate("grpc_server_call_duration_seconds_count", by="room"), "{{room}}")],
                    "reqps",
                    "By room.",
                ),
                Panel(
                    "Calls that failed",
                    [
                        Query(
                            rate(
                                "grpc_server_call_duration_seconds_count",
                                'grpc_status=~"UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL|UNKNOWN|DATA_LOSS"',
                                "room, grpc_status",
                            ),
                            "{{room}} {{grpc_status}}",
                        )
                    ],
                    "reqps",
                ),
                Panel(
                    "Latency of calls, p95",
                    [
                        Query(
                            percentile(
                                0.95,
                                "grpc_server_call_duration_seconds",
                                NO_STREAMS,
                                "room",
                            ),
                            "{{room}}",
                        )
                    ],
                    "s",
                    "Without streams, which last as long as somebody reads.",
                ),
            ),
        ),
    ),
)
