"""What the environment says: settings, and the language model that they choose."""

from collections.abc import Mapping

import httpx

from stack.doctor.finding import Finding
from stack.providers import GEMINI_KEY, chosen_model
from stack.settings import settings_amiss

_PROVIDERS = ("local", "gemini", "gemini-grpc", "openai", "scripted")
_GEMINI = "https://generativelanguage.googleapis.com"
_OPENAI = "http://127.0.0.1:11434/v1"
_SECONDS = 5.0
_REFUSED = frozenset({400, 401, 403})  # Gemini says 400 to a key that is none


def settings(environment: Mapping[str, str]) -> Finding:
    """Whether services take them."""
    wrong, unknown = settings_amiss(environment)
    if wrong:
        return Finding("settings", "; ".join(wrong), "mend or unset what is named")
    if unknown:
        return Finding("settings", f"unknown: {', '.join(unknown)}", "look for a slip of the pen", fatal=False)
    return Finding("settings", "in order")


def provider(environment: Mapping[str, str]) -> Finding:
    """Whether the model that was chosen has a key, and its server takes it."""
    name, model, others = chosen_model(environment)
    topic, detail = "language model", f"{model} ({', then '.join([name, *others])})"
    if any(each not in _PROVIDERS for each in (name, *others)):
        return Finding(topic, detail, f"Gaji brings {', '.join(_PROVIDERS)}", fatal=False)
    if name.startswith("gemini"):
        key = environment.get(GEMINI_KEY, "")
        if not key:
            return Finding(topic, f"{detail}, no key", f"set {GEMINI_KEY}, or GAJI_PROVIDER=local")
        base = environment.get("GAJI_GEMINI_BASE_URL") or _GEMINI
        return _asked(f"{base.rstrip('/')}/v1beta/models", {"x-goog-api-key": key}, detail, GEMINI_KEY)
    if name == "openai":
        key = environment.get("GAJI_OPENAI_API_KEY", "")
        base = environment.get("GAJI_OPENAI_BASE_URL") or _OPENAI
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return _asked(f"{base.rstrip('/')}/models", headers, detail, "GAJI_OPENAI_API_KEY")
    return Finding(topic, detail)


def _asked(url: str, headers: Mapping[str, str], detail: str, variable: str) -> Finding:
    """Asks the vendor for its models, which costs nothing and needs the key."""
    topic, where = "language model", url.rpartition("/")[0]
    try:
        answer = httpx.get(url, headers=dict(headers), timeout=_SECONDS, trust_env="127.0.0.1" not in url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = "start it, or say where it is" if variable.endswith("OPENAI_API_KEY") else "look at the way out"
        named = f"{remedy}: {variable.replace('API_KEY', 'BASE_URL')}" if "OPENAI" in variable else remedy
        return Finding(topic, f"{detail}: {where} does not answer ({type(error).__name__})", named, fatal=False)
    if answer.status_code in _REFUSED:
        return Finding(topic, f"{detail}: the key is refused ({answer.status_code})", f"set {variable} anew")
    if answer.is_error:
        return Finding(topic, f"{detail}: {where} answers {answer.status_code}", "look at its own status", fatal=False)
    return Finding(topic, f"{detail}; {where} takes the key")
