"""docs/metrics.md lists what the code registers."""

from stack.metrics_doc import FILE, rows, text

_SUFFIXES = ("_total", "_count", "_sum", "_bucket", "_created")
_STANDARD = {"db_client_connection_count"}
"""What OpenTelemetry calls so, though it is a gauge."""


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text() == text(), "run python -m stack.metrics_doc"


def test_names_say_what_kind_a_metric_is() -> None:
    for row in (row for listed in rows().values() for row in listed):
        assert row.name.endswith("_total") == (row.kind == "counter"), row.name
        assert row.kind == "counter" or not row.name.endswith(_SUFFIXES) or row.name in _STANDARD, row.name
        assert row.meaning.strip().endswith((".", "gc", "GC", "collected", "information")), row.name
