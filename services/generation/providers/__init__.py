"""Model providers. A new one is one module with an ``open_provider`` and one line here."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import ModelProvider


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes a provider; its module, which may import much, is imported then and not before.

    Args:
        module: the module in this package; it has ``async def open_provider(settings) -> ModelProvider``.
        extra: the extra of the project that installs what the module imports.
    """

    module: str
    extra: str

    async def __call__(self, settings: GenerationSettings) -> ModelProvider:
        """The provider, ready to be used.

        Raises:
            FailedPrecondition: something must be installed or set first; the message says what.
        """
        try:
            module = await asyncio.to_thread(import_module, f"{__name__}.{self.module}")
        except ModuleNotFoundError as error:
            raise failures.misconfigured(
                f"this provider needs the package {error.name}: pip install 'gaji[{self.extra}]'"
            ) from error
        provider: ModelProvider = await module.open_provider(settings)
        return provider


PROVIDERS: Mapping[str, Factory] = {
    "local": Factory("local", extra="local"),
    "gemini": Factory("gemini", extra="gemini"),
    "gemini-grpc": Factory("gemini_grpc", extra="gemini"),
    "openai": Factory("openai", extra="generation"),
    "scripted": Factory("scripted", extra="generation"),
}


async def open_provider(settings: GenerationSettings, name: str = "") -> ModelProvider:
    """A provider.

    Args:
        settings: of all providers.
        name: which one; empty: the first that the settings choose.

    Raises:
        FailedPrecondition: there is none of that name, or it needs something first.
    """
    name = name or settings.provider_names[0]
    factory = PROVIDERS.get(name)
    if factory is None:
        raise failures.misconfigured(f"GAJI_PROVIDER={name} is not known; choose one of {', '.join(PROVIDERS)}")
    return await factory(settings)
