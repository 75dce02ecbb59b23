"""Language models by name. A new one is one module with an ``open_model`` and one line here."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module

from services.search.config import SearchSettings
from services.search.ports import LanguageModel

MODELS: Mapping[str, str] = {"gemini": "language_model_gemini", "openai": "language_model_openai"}
"""Modules of this package, imported when they are asked for and not before: they import much."""
_EXTRAS = {"gemini": "gemini", "openai": "search"}


@asynccontextmanager
async def open_model(settings: SearchSettings) -> AsyncIterator[LanguageModel | None]:
    """The model of the settings, closed on leaving; None: there is none.

    Raises:
        ValueError: something must be installed or set first; the message says what.
    """
    name = settings.search_model
    if name is None:
        yield None
        return
    try:
        module = await asyncio.to_thread(import_module, f"{__package__}.{MODELS[name]}")
    except ModuleNotFoundError as error:
        extra = _EXTRAS[name]
        raise ValueError(
            f"GAJI_SEARCH_MODEL={name} needs the package {error.name}: pip install 'gaji[{extra}]'"
        ) from error
    model: LanguageModel = await module.open_model(settings)
    try:
        yield model
    finally:
        await model.aclose()
