"""The dashboard of circuit breakers and of the calls between rooms."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import EVERY, NO_STREAMS, percentile, rate

BREAKERS = Board(
    "breakers",
    "Gaji: circuit breakers",
    "Who is cut off from whom, and the calls between rooms.",
    (
        Row(
            "Breakers",
            (
                Panel(
                    "Open",
                    [Query("gaji:breakers_open:ratio", "{{peer}}")],
                    "percentunit",
                    "Of the breakers before each peer.",
                    0.05,
                    0.1,
                    runbook="BreakersOpen",
                ),
                Panel(
                    "State",
                    [
                        Query(
                            'max by (room, peer, group) (gaji_breaker_state{state=~"open|forced_open"})',
                            "{{room}} to {{peer}}: {{group}}",
                        )
                    ],
                    "short",
                    "1: open.",
                    alert=1,
                    kind="state-timeline",
                    width=16,
                    height=12,
                    runbook="BreakersOpen",
                ),
                Panel(
                    "Changes",
                    [
                        Query(
                            f"sum by (peer, to) (increase(gaji_breaker_transitions_total[{EVERY}]))",
                            "{{peer}} becomes {{to}}",
                        )
                    ],
                    "short",
                ),
                Panel("Refused", [Query(rate("gaji_breaker_rejected_total", by="peer"), "{{peer}}")], "reqps"),
                Panel(
                    "Failed, of the window",
                    [Query("max by (peer, group) (gaji_breaker_failure_ratio)", "{{peer}} {{group}}")],
                    "percentunit",
                    "At 50 % a breaker opens.",
                    alert=0.5,
                ),
                Panel(
                    "Slow, of the window",
                    [Query("max by (peer, group) (gaji_breaker_slow_ratio)", "{{peer}} {{group}}")],
                    "percentunit",
                ),
                Panel(
                    "Calls in the window",
                    [Query("sum by (peer, group) (gaji_breaker_window_calls)", "{{peer}} {{group}}")],
                    "short",
                ),
                Panel(
                    "Set by hand",
                    [
                        Query(
                            'sum by (room, peer) (gaji_breaker_state{state=~"forced_open|disabled|metrics_only"})',
                            "{{room}} to {{peer}}",
                        )
                    ],
                    "short",
                    runbook="BreakerForced",
                ),
            ),
        ),
        Row(
            "Calls",
            (
                Panel(
                    "Attempts",
                    [
                        Query(
                            rate("grpc_client_attempt_started_total", by="room, grpc_target"),
                            "{{room}} to {{grpc_target}}",
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
                                "grpc_client_call_duration_seconds",
                                NO_STREAMS,
                                "room, grpc_target",
                            ),
                            "{{room}} to {{grpc_target}}",
                        )
                    ],
                    "s",
                    "All attempts and the pauses between them.",
                ),
                Panel(
                    "Attempts that failed",
                    [
                        Query(
                            rate(
                                "grpc_client_attempt_duration_seconds_count",
                                'grpc_status!~"OK|CANCELLED|NOT_FOUND|INVALID_ARGUMENT"',
                                "grpc_target, grpc_status",
                            ),
                            "{{grpc_target}} {{grpc_status}}",
                        )
                    ],
                    "reqps",
                ),
                Panel(
                    "Retries",
                    [
                        Query(rate("gaji_client_retries_total", by="room"), "{{room}}"),
                        Query(rate("gaji_client_retries_refused_total", by="room"), "{{room}}: budget spent"),
                    ],
                    "reqps",
                    "",
                    runbook="RetriesRefused",
                ),
                Panel("Limit", [Query("gaji_limit", "{{room}} {{instance}}")], "short", "Calls answered at once."),
                Panel(
                    "In flight",
                    [Query("sum by (room, instance) (gaji_limit_in_flight)", "{{room}} {{instance}}")],
                    "short",
                ),
            ),
        ),
    ),
)
