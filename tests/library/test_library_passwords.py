"""Passwords are hashed beside the event loop, a few at a time."""

import asyncio

from mesh.errors import ResourceExhausted
from services.library.domain.passwords import Passwords


async def test_of_a_rush_some_are_told_to_come_back_and_the_others_get_in() -> None:
    async with Passwords() as passwords:
        stored = await passwords.hash("right")
        tries = [passwords.verify(stored, "right" if number % 2 else "wrong") for number in range(60)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, ResourceExhausted)]
        answered = [outcome for outcome in outcomes if isinstance(outcome, bool)]
        assert len(refused) + len(answered) == 60
        assert {error.reason for error in refused} == {"OVERLOADED"}
        assert all(error.retry_after for error in refused)
        assert answered.count(True) == answered.count(False) == 16
        assert await passwords.verify(stored, "right"), "the rush is over"
