"""The dashboard of PostgreSQL and of the caches before it."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import STORE, percentile, percentiles, rate

_POSTGRES = 'db_system_name="postgresql"'
_ANSWERED = 'result=~"near|hit|stale|absent"'

DATABASE = Board(
    "database",
    "Gaji: database and caches",
    "library's PostgreSQL, and what is read before it.",
    (
        Row(
            "Connections",
            (
                Panel(
                    "Pool",
                    [Query("gaji:db_pool:ratio", "{{instance}}")],
                    "percentunit",
                    "Connections in use.",
                    0.7,
                    0.9,
                    runbook="PoolNearlyFull",
                ),
                Panel(
                    "Connections",
                    [
                        Query(
                            "sum by (db_client_connection_state) (db_client_connection_count)",
                            "{{db_client_connection_state}}",
                        ),
                        Query("sum(db_client_connection_max)", "at most"),
                    ],
                    "short",
                ),
                Panel(
                    "Waiting for one",
                    [
                        Query("sum(db_client_connection_pending_requests)", "waiting"),
                        Query(rate("db_client_connection_timeouts_total"), "in vain, a second"),
                    ],
                    "short",
                    runbook="DatabaseTimeouts",
                ),
                Panel("Wait", percentiles("db_client_connection_wait_time_seconds"), "s"),
            ),
        ),
        Row(
            "Operations",
            (
                Panel(
                    "Operations",
                    [Query(rate(f"{STORE}_count", _POSTGRES, "db_operation_name"), "{{db_operation_name}}")],
                    "reqps",
                    width=12,
                ),
                Panel("Latency", percentiles(STORE, _POSTGRES), "s", "", alert=0.5, width=12, runbook="DatabaseSlow"),
                Panel(
                    "Slowest operations, p95",
                    [
                        Query(
                            f"topk(10, {percentile(0.95, STORE, _POSTGRES, 'db_operation_name')})",
                            "{{db_operation_name}}",
                        )
                    ],
                    "s",
                    width=12,
                ),
                Panel(
                    "Errors",
                    [
                        Query(
                            rate(f"{STORE}_count", f'{_POSTGRES}, error_type!=""', "db_operation_name, error_type"),
                            "{{db_operation_name}} {{error_type}}",
                        )
                    ],
                    "reqps",
                    width=12,
                ),
            ),
        ),
        Row(
            "Caches",
            (
                Panel(
                    "Hits",
                    [
                        Query(
                            f"{rate('gaji_read_through_total', _ANSWERED, 'kind')}"
                            f" / {rate('gaji_read_through_total', by='kind')}",
                            "{{kind}}",
                        ),
                        Query("gaji:cache_hits:ratio_rate15m", "all"),
                    ],
                    "percentunit",
                    "By what is read.",
                    0.7,
                    0.5,
                    falling=True,
                    runbook="CacheHitsLow",
                ),
                Panel(
                    "Reads",
                    [Query(rate("gaji_read_through_total", by="result"), "{{result}}")],
                    "reqps",
                    "`near` in the process itself; `stored`, `unstored`: computed; `bypassed`: the cache was away.",
                    stacked=True,
                ),
                Panel(
                    "Lookups at the cache",
                    [Query(rate("gaji_cache_lookups_total", by="result"), "{{result}}")],
                    "reqps",
                    "",
                    stacked=True,
                ),
                Panel(
                    "Errors",
                    [Query(rate("gaji_read_through_errors_total", by="operation"), "{{operation}}")],
                    "reqps",
                ),
                Panel(
                    "Invalidations",
                    [Query(rate("gaji_cache_invalidations_total", by="kind"), "{{kind}}")],
                    "short",
                ),
                Panel(
                    "Near caches",
                    [Query("gaji_near_bytes", "{{room}} {{instance}}")],
                    "bytes",
                    "",
                    runbook="NearCacheBlind",
                ),
                Panel(
                    "News is followed",
                    [Query("gaji_near_watched", "{{room}} {{instance}}")],
                    "short",
                    "0: nothing that is near is given out.",
                    runbook="NearCacheBlind",
                ),
                Panel(
                    "Computed anew in the background",
                    [Query(rate("gaji_read_through_renewals_total", by="kind, result"), "{{kind}} {{result}}")],
                    "short",
                ),
            ),
        ),
    ),
)
