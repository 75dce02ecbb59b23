"""The dashboard of queues, workers and the novels that are taken in."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import percentile, percentiles, rate

JOBS = Board(
    "jobs",
    "Gaji: jobs",
    "Queues, workers, and the novels that are taken in.",
    (
        Row(
            "Queues",
            (
                Panel(
                    "Waiting",
                    [Query("gaji:queue_length:max", "{{queue}}")],
                    "short",
                    "",
                    100,
                    500,
                    runbook="QueueLong",
                ),
                Panel(
                    "Oldest",
                    [Query("max by (queue) (gaji_jobs_queue_age_seconds)", "{{queue}}")],
                    "s",
                    "Since the first of those that wait was put there.",
                    runbook="QueueOld",
                ),
                Panel("Taken", [Query("max(gaji_jobs_taken)", "taken")], "short", "By workers, and not done yet."),
                Panel(
                    "Enqueued",
                    [Query(rate("gaji_jobs_enqueued_total", by="task, result"), "{{task}} {{result}}")],
                    "short",
                    "A second.",
                ),
                Panel(
                    "Done",
                    [Query(rate("gaji_jobs_total", by="task, outcome"), "{{task}} {{outcome}}")],
                    "short",
                    "A second.",
                    runbook="JobsFail",
                ),
                Panel(
                    "Duration, p95",
                    [Query(percentile(0.95, "gaji_job_seconds", by="task"), "{{task}}")],
                    "s",
                ),
            ),
        ),
        Row(
            "Novels",
            (
                Panel(
                    "Under way",
                    [
                        Query("sum(gaji_ingestions_active)", "novels"),
                        Query("max(gaji_ingestion_oldest_seconds) / 60", "minutes of the oldest"),
                    ],
                    "short",
                    "",
                    runbook="IngestionStuck",
                ),
                Panel(
                    "How they end",
                    [Query(rate("gaji_ingestions_total", by="outcome"), "{{outcome}}")],
                    "short",
                    "A second.",
                ),
                Panel("Duration", percentiles("gaji_ingestion_seconds"), "s"),
                Panel("Passages", [Query(rate("gaji_search_passages_ingested_total"), "passages")], about="A second."),
                Panel(
                    "Batches for workers",
                    [Query(rate("gaji_search_embedding_batches_total", by="result"), "{{result}}")],
                    "short",
                    "What became of them.",
                ),
                Panel("Reading files", percentiles("gaji_intake_seconds"), "s"),
            ),
        ),
    ),
)
