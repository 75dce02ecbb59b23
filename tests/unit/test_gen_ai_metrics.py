"""What is counted of a language model's calls, by a clock of the test's own."""

import asyncio
import uuid

import pytest

from mesh.errors import Unavailable
from mesh.telemetry import gen_ai
from mesh.telemetry.metrics import REGISTRY


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def of(model: str, name: str, **labels: str) -> float | None:
    named = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "gcp.gemini", "gen_ai_request_model": model}
    return REGISTRY.get_sample_value(f"gen_ai_client_{name}", {**named, **labels})


@pytest.fixture
def model() -> str:
    return f"model-{uuid.uuid4().hex}"


def test_times_are_from_the_call_and_from_piece_to_piece(model: str) -> None:
    clock = Clock()
    with gen_ai.operation("gemini", model, clock) as asked:
        for seconds in (1.5, 0.25, 0.5):
            clock.now += seconds
            asked.chunk()
        asked.counted(120, 3)
        clock.now += 1
    assert of(model, "operation_time_to_first_chunk_seconds_sum") == 1.5
    assert of(model, "operation_time_per_output_chunk_seconds_count") == 2
    assert of(model, "operation_time_per_output_chunk_seconds_sum") == 0.75
    assert of(model, "operation_duration_seconds_sum", error_type="") == 3.25
    assert of(model, "token_usage_sum", gen_ai_token_type="input") == 120
    assert of(model, "token_usage_sum", gen_ai_token_type="output") == 3


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Unavailable("x", reason="MODEL_UNREACHABLE"), "MODEL_UNREACHABLE"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (TimeoutError(), "timeout"),
        (KeyError("an-unbounded-word"), "_OTHER"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_wrong_has_one_of_few_names(model: str, error: BaseException, name: str) -> None:
    with pytest.raises(type(error)), gen_ai.operation("gemini-grpc", model):
        raise error
    assert of(model, "operation_duration_seconds_count", error_type=name) == 1
    assert of(model, "operation_time_to_first_chunk_seconds_count") is None
