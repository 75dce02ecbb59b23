import asyncio
import sys
import time
from pathlib import Path

import pytest

from mesh.errors import FailedPrecondition
from services.generation.ports import TokenCounts
from services.generation.providers import PROVIDERS, open_provider
from services.generation.providers.scripted import ScriptedModel
from tests.generation.conftest import PROMPT, make_settings, said

HEAVY = {"xllamacpp", "google.genai", "google.generativeai", "google.ai.generativelanguage", "httpx", "httptools"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "local"),
        ({"GEMINI_API_KEY": "k"}, "gemini"),
        ({"GEMINI_API_KEY": "k", "provider": "local"}, "local"),
        ({"GEMINI_API_KEY": "k", "provider": "gemini-grpc"}, "gemini-grpc"),
        ({"provider": "scripted"}, "scripted"),
    ],
)
def test_which_provider_is_chosen(settings: dict[str, str], name: str) -> None:
    assert make_settings(**settings).provider_names == (name,)


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.generation.config import GenerationSettings  # noqa: PLC0415 - read anew under the environment below

    monkeypatch.delenv("GAJI_PROVIDER", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    assert GenerationSettings().provider_names == ("gemini",)
    monkeypatch.setenv("GAJI_PROVIDER", "scripted")
    monkeypatch.setenv("GAJI_SCRIPTED_TOKENS", "7")
    monkeypatch.setenv("GAJI_SCRIPTED_RATE", "0")
    settings = GenerationSettings()
    assert (settings.provider_names, settings.scripted_tokens, settings.scripted_rate) == (("scripted",), 7, 0)
    assert "k" not in repr(settings.gemini_api_key)


async def test_an_unknown_provider_is_told_with_those_there_are() -> None:
    with pytest.raises(FailedPrecondition, match="GAJI_PROVIDER=gpt is not known; choose one of local, gemini"):
        await open_provider(make_settings(provider="gpt"))


@pytest.mark.parametrize(
    ("provider", "package", "extra"),
    [
        ("local", "xllamacpp", "local"),
        ("gemini", "google.genai", "gemini"),
        ("gemini-grpc", "google.generativeai", "gemini"),
        ("openai", "httptools", "generation"),
    ],
)
async def test_what_must_be_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, provider: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith("services.generation.providers.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(FailedPrecondition, match=rf"pip install 'gaji\[{extra}\]'"):
        await open_provider(make_settings(provider=provider, GEMINI_API_KEY="k", openai_model="m"))


async def test_nothing_heavy_is_imported_before_it_is_chosen() -> None:
    code = f"import sys, services.generation.__main__; print(*(set(sys.modules) & {HEAVY!r}))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, output.decode().split()) == (0, [])


def test_each_provider_has_a_module() -> None:
    folder = Path(__file__).parents[2] / "services" / "generation" / "providers"
    assert all((folder / f"{factory.module}.py").is_file() for factory in PROVIDERS.values())


async def test_the_script_is_numbered_words() -> None:
    text, counts = await said(ScriptedModel(4, 0), max_tokens=1)
    assert text == "word1 word2 word3 word4"
    assert isinstance(counts, TokenCounts)
    assert counts.completion == 4


async def test_the_script_keeps_its_pace() -> None:
    started = time.monotonic()
    await said(ScriptedModel(20, 100))
    assert time.monotonic() - started >= 0.19, "20 words at 100 a second take 0.2 s"


async def test_the_script_lets_others_run() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    await ScriptedModel(1000, 0).answer(PROMPT, lambda _: None, max_tokens=1, temperature=0)
    task.cancel()
    assert turns > 100
