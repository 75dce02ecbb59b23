"""Keeps secrets out of the log, wherever they come from: an error's words may quote what nobody meant to write."""

import re

_HIDDEN = "[secret]"
_SIGNS = ("eyJ", "earer ", "://", "AIza", "sk-", "password=")
"""A line without any of these has none of the secrets that are looked for."""
_SECRET = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"  # a JSON Web Token (RFC 7519)
    r"|(?<=earer )[A-Za-z0-9._~+/=-]{8,}"  # what follows Bearer (RFC 6750)
    r"|(?<=://)[^\s/:@\"]*:[^\s/@\"]+(?=@)"  # user and password in a URL (RFC 3986)
    r"|(?<=password=)[^\s&\"]+"  # a URL's parameter
    r"|AIza[A-Za-z0-9_-]{30,}"  # a key of Google's
    r"|(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"  # a key of OpenAI's
)


def without_secrets(line: str) -> str:
    """The line with what looks like a token, a key or a password replaced."""
    if not any(sign in line for sign in _SIGNS):
        return line
    return _SECRET.sub(_HIDDEN, line)
