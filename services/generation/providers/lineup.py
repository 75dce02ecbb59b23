"""The models of the settings, opened at start."""

import asyncio
from collections.abc import Sequence

from mesh.errors import FailedPrecondition, InvalidArgument, MeshError
from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.ports import ModelProvider
from services.generation.providers import PROVIDERS, open_provider

log = get_logger(__name__)


async def open_models(settings: GenerationSettings) -> Sequence[ModelProvider]:
    """The models in the order of preference. The first must open; another that does not is done without.

    Raises:
        ValueError: the first is not set up, or one of the names is not known; the message says what to do.
        OSError: the first cannot be reached or loaded.
    """
    first, *others = settings.provider_names
    for name in others:
        if name not in PROVIDERS:
            raise ValueError(f"GAJI_PROVIDER names {name}, which is not known; choose of {', '.join(PROVIDERS)}")
    models = [await _opened(settings, first)]
    for name in others:
        try:
            models.append(await _opened(settings, name))
        except (ValueError, OSError) as error:
            log.error("a provider is done without", extra={"provider": name, "error": str(error)})  # noqa: TRY400 - its words are enough
    return models


async def _opened(settings: GenerationSettings, name: str) -> ModelProvider:
    try:
        async with asyncio.timeout(settings.load_seconds):
            return await open_provider(settings, name)
    except TimeoutError:
        raise OSError(f"the model took longer to load than GAJI_LOAD_SECONDS={settings.load_seconds:g}") from None
    except MeshError as error:
        # What no restart mends (an unknown provider, a missing key) must not be tried again and again.
        kind = ValueError if isinstance(error, FailedPrecondition | InvalidArgument) else OSError
        raise kind(error.message) from error
