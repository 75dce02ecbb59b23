"""Which language model a stack would use, by the rule of generation's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

GEMINI_KEY = "GEMINI_API_KEY"


class Choice(NamedTuple):
    """A provider and its model.

    Attributes:
        others: the providers that answer where the first is in trouble.
    """

    provider: str
    model: str
    others: tuple[str, ...] = ()


def chosen_model(environment: Mapping[str, str]) -> Choice:
    """What generation would choose, given its variables."""
    names = [name.strip() for name in environment.get("GAJI_PROVIDER", "").split(",") if name.strip()]
    provider, *others = dict.fromkeys(names or ["gemini" if environment.get(GEMINI_KEY) else "local"])
    match provider:
        case "local":
            model = Path(environment.get("GAJI_LOCAL_MODEL") or "SmolLM2-135M-Instruct").stem
        case "gemini" | "gemini-grpc":
            model = environment.get("GAJI_GEMINI_MODEL") or "gemini-2.5-flash"
        case "openai":
            model = environment.get("GAJI_OPENAI_MODEL") or "the server's own"
        case "scripted":
            model = "numbered words, for tests"
        case _:
            model = "its default"
    return Choice(provider, model, tuple(others))
