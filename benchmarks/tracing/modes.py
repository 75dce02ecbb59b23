"""The child's end of the benchmark: switches tracing off, to 1 % and to 100 % while the process runs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.telemetry.spans import TraceSettings, record
from mesh.telemetry.spans.export import Exporter, close_tracing, open_tracing

OFF, FEW, ALL = "off", "1 %", "100 %"
RATIOS = {OFF: 0.0, FEW: 0.01, ALL: 1.0}
FLUSH = "flush"


@asynccontextmanager
async def switched(process: str) -> AsyncIterator[None]:
    """Obeys what is said on standard input, a line a time, and answers each by a line.

    A mode switches to it; ``flush`` has everything exported that was recorded so far.
    """
    settings = TraceSettings.read()
    exporters = {
        mode: open_tracing(process, settings.model_copy(update={"traces_sampler_arg": ratio}))
        for mode, ratio in RATIOS.items()
        if ratio
    }
    record.active = None
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    obeying = asyncio.create_task(_obey(reader, exporters))
    try:
        yield
    finally:
        obeying.cancel()
        for exporter in exporters.values():
            close_tracing(exporter, 0.1)


async def _obey(reader: asyncio.StreamReader, exporters: dict[str, Exporter]) -> None:
    while word := (await reader.readline()).decode().strip():
        if word == FLUSH:
            for exporter in exporters.values():
                if exporter.recorder.queue:
                    exporter.recorder.hurry()
                while exporter.recorder.queue:  # noqa: ASYNC110 - a thread empties it
                    await asyncio.sleep(0.002)
        else:
            record.active = exporters[word].recorder if word in exporters else None
        print(word, flush=True)
