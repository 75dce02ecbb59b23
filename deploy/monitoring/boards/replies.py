"""The dashboard of models and of the replies that they write."""

from deploy.monitoring.boards.grafana import Board, Panel, Query, Row
from deploy.monitoring.boards.queries import MODEL, percentile, percentiles, rate

REPLIES = Board(
    "model",
    "Gaji: model",
    "Replies, and the models that write them.",
    (
        Row(
            "Models",
            (
                Panel(
                    "First token, p95",
                    [Query("gaji:model_seconds:p95_5m", "{{gen_ai_provider_name}}")],
                    "s",
                    "From the call to the first token.",
                    3,
                    10,
                    runbook="ModelSlow",
                ),
                Panel("Whole call", percentiles(f"{MODEL}_duration_seconds"), "s"),
                Panel(
                    "Between tokens, p95",
                    [
                        Query(
                            percentile(0.95, f"{MODEL}_time_per_output_chunk_seconds", by="gen_ai_provider_name"),
                            "{{gen_ai_provider_name}}",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "Calls",
                    [
                        Query(
                            rate(f"{MODEL}_duration_seconds_count", by="gen_ai_provider_name, error_type"),
                            "{{gen_ai_provider_name}} {{error_type}}",
                        )
                    ],
                    "reqps",
                    "And why they failed.",
                    runbook="ModelFails",
                ),
                Panel(
                    "Tokens",
                    [Query(rate("gaji_generation_tokens_total", by="provider, kind"), "{{provider}} {{kind}}")],
                    "short",
                    "A second, read and written.",
                ),
                Panel(
                    "Tokens of a call, p95",
                    [
                        Query(
                            percentile(0.95, "gen_ai_client_token_usage", by="gen_ai_provider_name, gen_ai_token_type"),
                            "{{gen_ai_provider_name}} {{gen_ai_token_type}}",
                        )
                    ],
                    "short",
                    "As the model counts them.",
                ),
                Panel(
                    "Slots",
                    [
                        Query("sum by (provider) (gaji_model_slots_in_use)", "{{provider}} in use"),
                        Query("sum by (provider) (gaji_model_slots)", "{{provider}} slots"),
                        Query("sum by (provider) (gaji_model_queue_length)", "{{provider}} waiting"),
                    ],
                    "short",
                    "Of models that run here.",
                ),
                Panel(
                    "Another model was asked",
                    [
                        Query(
                            rate("gaji_provider_failures_total", by="provider, reason, token"),
                            "{{provider}} {{reason}} {{token}}",
                        )
                    ],
                    "short",
                    "Tries that failed, before their first token or after it.",
                ),
            ),
        ),
        Row(
            "Replies",
            (
                Panel("Being written", [Query("sum by (provider) (gaji_generations_active)", "{{provider}}")], "short"),
                Panel(
                    "How they end",
                    [Query(rate("gaji_generations_total", by="outcome"), "{{outcome}}")],
                    "short",
                    "",
                    stacked=True,
                    runbook="RepliesFail",
                ),
                Panel(
                    "First token for the reader",
                    percentiles("gaji_first_token_seconds"),
                    "s",
                    "From the request, passages and all.",
                    3,
                    10,
                ),
                Panel(
                    "Less than they could be",
                    [Query(rate("gaji_generations_degraded_total", by="reason"), "{{reason}}")],
                    "short",
                    runbook="RepliesDegraded",
                ),
            ),
        ),
    ),
)
