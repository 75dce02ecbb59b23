"""``scripted``: numbered words at a steady pace, for tests and benchmarks."""

import asyncio
from collections.abc import Sequence

from services.generation.config import GenerationSettings
from services.generation.domain.prompt import cost
from services.generation.ports import Chunk, Hear, Prompt, TokenCounts


class ScriptedModel:
    """Says "word1 word2 word3 ...", whatever it is asked and however few tokens it is allowed.

    Args:
        tokens: how many words.
        rate: words a second; 0: as fast as it goes.
    """

    name = "scripted"
    continues = True
    model = "numbered-words"
    context_window = 1_000_000

    def __init__(self, tokens: int, rate: float) -> None:
        self._tokens = tokens
        self._rate = rate

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        """See `services.generation.ports.ModelProvider`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        before = len(prompt.prefix.split())
        for number in range(before + 1, self._tokens + 1):
            # By the clock, not word by word: the pace does not drift when the machine is busy.
            await asyncio.sleep(started + (number - before) / self._rate - loop.time() if self._rate else 0)
            hear(Chunk(f"word{number}" if number == 1 else f" word{number}"))
        hear(Chunk(counts=TokenCounts(cost(prompt), self._tokens)))

    async def aclose(self) -> None:
        """Nothing is held."""


async def open_provider(settings: GenerationSettings) -> ScriptedModel:
    """The scripted model of the settings."""
    return ScriptedModel(settings.scripted_tokens, settings.scripted_rate)
