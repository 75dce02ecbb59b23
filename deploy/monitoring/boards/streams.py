"""The dashboard of server-sent events and of the log that they come from."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import STREAMS, percentiles, rate

SSE = Board(
    "sse",
    "Gaji: streams",
    "Server-sent events, from the log of a reply to its readers.",
    (
        Row(
            "Readers",
            (
                Panel(
                    "Open streams",
                    [
                        Query("gaji_sse_connections", "{{instance}}"),
                        Query("gaji_sse_connections_limit < Inf", "limit {{instance}}"),
                    ],
                    "short",
                    "By gateway.",
                    runbook="StreamsAtLimit",
                ),
                Panel(
                    "Of the limit",
                    [Query("gaji:sse_connections:ratio", "{{instance}}")],
                    "percentunit",
                    "",
                    0.8,
                    1,
                    runbook="StreamsNearLimit",
                ),
                Panel("Events", [Query(rate("gaji_sse_events_total"), "events")], "short", "A second, to all readers."),
                Panel(
                    "First event",
                    percentiles("gaji_sse_first_event_seconds"),
                    "s",
                    "From the request to the first event that is written.",
                ),
                Panel(
                    "How streams end",
                    [Query(rate(f"{STREAMS}_count", by="outcome"), "{{outcome}}")],
                    "short",
                    "`client_left`: abandoned; `handed_over`: the gateway stopped, and the reader comes back.",
                    stacked=True,
                    runbook="StreamsFail",
                ),
                Panel(
                    "Resumed",
                    [
                        Query(rate("gaji_sse_resumes_total", by="room"), "by the gateway: {{room}}"),
                        Query(rate("gaji_sse_reader_resumes_total"), "by readers"),
                    ],
                    "short",
                    "Streams that went on where they were.",
                ),
                Panel(
                    "Refused and cut",
                    [
                        Query(rate("gaji_sse_shed_total"), "no place left"),
                        Query(rate("gaji_streams_refused_total"), "too many of one reader"),
                        Query(rate("gaji_slow_readers_cut_total"), "read nothing"),
                        Query(rate("gaji_sse_cut_total", by="reason"), "cut: {{reason}}"),
                    ],
                    "short",
                ),
                Panel(
                    "Connections",
                    [
                        Query("gaji_connections", "{{instance}}"),
                        Query("gaji_connections_limit", "limit {{instance}}"),
                    ],
                    "short",
                    runbook="ConnectionsNearLimit",
                ),
            ),
        ),
        Row(
            "The log",
            (
                Panel(
                    "Writers", [Query("sum by (room) (gaji_log_producers)", "{{room}}")], about="Logs being written."
                ),
                Panel("Entries", [Query(rate("gaji_log_entries_total", by="room"), "{{room}}")], "short", "A second."),
                Panel(
                    "Redis away",
                    [Query("gaji_log_down", "{{room}} {{instance}}")],
                    "short",
                    "1: it takes no entries.",
                    alert=1,
                    runbook="RedisTakesNothing",
                ),
                Panel(
                    "Taken over, seams, gaps",
                    [
                        Query(rate("gaji_generations_taken_over_total"), "taken over"),
                        Query(rate("gaji_generation_seams_total"), "seams"),
                        Query(rate("gaji_generation_gaps_total"), "gaps"),
                        Query(rate("gaji_log_fenced_total"), "writers fenced"),
                    ],
                    "short",
                    "A seam says where a text goes on under another writer; a gap, that events are no longer kept.",
                    runbook="StreamGaps",
                ),
            ),
        ),
    ),
)
