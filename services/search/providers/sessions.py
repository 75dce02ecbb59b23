"""Models that onnxruntime computes, and what they keep of memory."""

from collections.abc import Mapping
from typing import Any


def open_session(model: bytes) -> Any:
    """An ``onnxruntime.InferenceSession``, whose calls may overlap.

    Args:
        model: serialized.
    """
    import onnxruntime  # noqa: PLC0415 - a process that embeds by other means need not have it

    options = onnxruntime.SessionOptions()
    # Each call computes in its own thread. Several small calls at once beat one on several threads by a quarter: 21
    # against 17 passages for a second of CPU.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Should that be changed: waiting threads sleep instead of spinning, which would take the cores from the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session._model_bytes = b""  # it would keep them to begin anew with other providers, and there are none
    return session


def shrink(session: Any, feed: Mapping[str, Any]) -> None:
    """Makes a call after which a session keeps nothing but its weights.

    A session keeps the memory of its largest call for the next one: 107 MB after four passages of 200 tokens. Without
    that arena passages took a twentieth longer.

    Args:
        session: of `open_session`.
        feed: the smallest input that it takes.
    """
    import onnxruntime  # noqa: PLC0415 - whoever has a session has loaded it

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    session.run(None, dict(feed), options)
