"""The dashboard of searches, Chroma and the indexes."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import STORE, percentile, percentiles, rate

_CHROMA = 'db_system_name="chroma"'

VECTORS = Board(
    "vectors",
    "Gaji: vector store",
    "Searches, Chroma, and the indexes in memory.",
    (
        Row(
            "Searches",
            (
                Panel("Searches", [Query(rate("gaji_search_seconds_count"), "searches")], "reqps"),
                Panel("Latency", percentiles("gaji_search_seconds"), "s", "From the cache or not."),
                Panel(
                    "In another language",
                    [Query(rate("gaji_search_foreign_searches_total", by="result"), "{{result}}")],
                    "reqps",
                ),
                Panel(
                    "Advice of a large model",
                    [Query(rate("gaji_search_model_calls_total", by="task, result"), "{{task}} {{result}}")],
                    "reqps",
                ),
            ),
        ),
        Row(
            "Chroma",
            (
                Panel(
                    "Operations",
                    [Query(rate(f"{STORE}_count", _CHROMA, "db_operation_name"), "{{db_operation_name}}")],
                    "reqps",
                ),
                Panel(
                    "Latency, p95",
                    [Query(percentile(0.95, STORE, _CHROMA, "db_operation_name"), "{{db_operation_name}}")],
                    "s",
                    "",
                    alert=1,
                    runbook="VectorStoreSlow",
                ),
                Panel(
                    "Errors",
                    [
                        Query(
                            rate(f"{STORE}_count", f'{_CHROMA}, error_type!=""', "db_operation_name, error_type"),
                            "{{db_operation_name}} {{error_type}}",
                        )
                    ],
                    "reqps",
                ),
            ),
        ),
        Row(
            "Indexes",
            (
                Panel("In memory", [Query("gaji_search_indexes", "{{instance}}")], "short", "Novels."),
                Panel(
                    "Memory",
                    [
                        Query("gaji_search_index_bytes", "{{instance}}"),
                        Query("gaji_search_foreign_bytes", "other languages {{instance}}"),
                    ],
                    "bytes",
                ),
                Panel("Loading one", percentiles("gaji_search_index_load_seconds"), "s"),
                Panel(
                    "Embedding, p95",
                    [
                        Query(
                            percentile(0.95, "gaji_search_embedding_seconds", by="embedder, kind"),
                            "{{embedder}} {{kind}}",
                        )
                    ],
                    "s",
                    "One call: a query, or a batch of passages.",
                ),
            ),
        ),
    ),
)
