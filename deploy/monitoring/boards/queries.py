"""PromQL that many panels share."""

from deploy.monitoring.boards.grafana import Query

EVERY = "$__rate_interval"
"""Grafana's: at least four scrapes, and no finer than the screen."""
NO_STREAMS = 'grpc_method!~".*/(Stream|Watch|Regenerate|EditMessage|Relay).*"'
"""RPCs that last no longer than they take."""
HTTP = "http_server_request_duration_seconds"
STREAMS = "gaji_sse_stream_duration_seconds"
MODEL = "gen_ai_client_operation"
STORE = "db_client_operation_duration_seconds"


def rate(metric: str, labels: str = "", by: str = "") -> str:
    """The rate of a counter, summed."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}{f'{{{labels}}}' if labels else ''}[{EVERY}]))"


def percentile(share: float, histogram: str, labels: str = "", by: str = "") -> str:
    """A percentile of a histogram."""
    return f"histogram_quantile({share}, {rate(histogram + '_bucket', labels, f'{by}, le' if by else 'le')})"


def percentiles(histogram: str, labels: str = "") -> list[Query]:
    """Three percentiles of a histogram, the last one with traces."""
    shares = (0.5, 0.95, 0.99)
    return [Query(percentile(share, histogram, labels), f"p{share * 100:.0f}", share == 0.99) for share in shares]
