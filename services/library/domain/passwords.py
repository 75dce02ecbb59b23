"""Passwords, hashed with Argon2id (RFC 9106), off the event loop."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerificationError

from mesh.errors import ResourceExhausted

T = TypeVar("T")

# Each hash takes 64 MiB and some 30 ms of up to four cores: two at a time, whatever the number of sign-ins.
_THREADS = 2
_MOST_WAITING = 32
"""Hashes that may wait or run at once: more would not be done within a call's deadline on a busy machine."""


class Passwords:
    """Hashes and verifies; a context manager that ends its threads."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        self._decoy = ""

    async def __aenter__(self) -> Self:
        self._decoy = await self.hash("nobody's password")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The password's hash with its parameters and a fresh salt.

        Raises:
            ResourceExhausted: too many are being hashed; reason OVERLOADED.
        """
        return await self._in_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right.

        Args:
            password_hash: what to compare with; None: there is no such account. It takes as long as with one, so that
                nobody learns from the clock who has an account.
            password: what was given.

        Raises:
            ResourceExhausted: too many are being hashed; reason OVERLOADED.
        """
        right = await self._in_thread(self._verify, password_hash or self._decoy, password)
        return right and password_hash is not None

    async def _in_thread(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= _MOST_WAITING:
            text = "too many people sign in at this moment; try again in a few seconds"
            raise ResourceExhausted(text, reason="OVERLOADED", retry_after=random.uniform(1.0, 4.0))  # noqa: S311 - spreads load
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)
