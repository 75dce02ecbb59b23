"""One connection to the store, over which what is asked meanwhile goes in one round trip.

A command by way of redis-py's client and its pool takes half as much CPU again, for what stands around it: the turn at
the pool, a timer for each part, figures for whoever would observe it. Here connection and protocol are redis-py's and
the rest is left out: one timer for a round, however many ask, and no turn to wait for.
"""

import asyncio
import contextvars
import math
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

Script = tuple[str, Sequence[str], Sequence[Any]]
"""A digest, KEYS and ARGV."""
MOST_SCRIPTS = 512
"""In one round; the first who asks is always in it."""


class Line:
    """The connection, made when it is first needed, and beside those of the client's pool.

    Who waits is bounded by the calls that the process answers.

    Args:
        redis: whose pool makes the connection, and closes it in the end.
        timeout: seconds for a round, a new connection included.
    """

    def __init__(self, redis: Redis, timeout: float) -> None:
        self._pool: Any = redis.connection_pool  # its methods have no types
        self._timeout = timeout
        self._connection: Any = None
        self._waiting: list[tuple[Sequence[Script], asyncio.Future[list[Any]]]] = []
        self._sending: asyncio.Task[None] | None = None

    def evaluated(self, scripts: Sequence[Script]) -> "asyncio.Future[list[Any]]":
        """The answers of scripts, in their order; in the place of one that the store refused its `ResponseError`.

        Raises:
            redis.exceptions.RedisError, OSError, TimeoutError: the store does not answer.
        """
        loop = asyncio.get_running_loop()
        answers: asyncio.Future[list[Any]] = loop.create_future()
        self._waiting.append((scripts, answers))
        if self._sending is None:
            self._sending = loop.create_task(self._send(), context=contextvars.Context())
        return answers

    async def _send(self) -> None:
        taken: list[tuple[Sequence[Script], asyncio.Future[list[Any]]]] = []
        try:
            while self._waiting:
                taken = self._taken()
                try:
                    async with asyncio.timeout(self._timeout):
                        replies = await self._round([script for scripts, _ in taken for script in scripts])
                except (RedisError, OSError, TimeoutError) as error:
                    # Whoever waits as well: a round each would have them wait for its time, one after the other.
                    for _, answers in (*taken, *self._waiting):
                        if not answers.done():
                            answers.set_exception(error)
                    self._waiting = []
                    continue
                at = 0
                for scripts, answers in taken:
                    of, at = replies[at : at + len(scripts)], at + len(scripts)
                    if not answers.done():
                        answers.set_result(of)
        finally:
            self._sending = None
            for _, answers in (*taken, *self._waiting):  # none, unless this task is cancelled
                answers.cancel()
            self._waiting = []

    def _taken(self) -> list[tuple[Sequence[Script], "asyncio.Future[list[Any]]"]]:
        """Those whose turn it is."""
        count = size = 0
        for scripts, _ in self._waiting:
            size += len(scripts)
            if count and size > MOST_SCRIPTS:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _round(self, scripts: Sequence[Script]) -> list[Any]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._pool.make_connection()
            connection.socket_timeout = None  # the round has one
        await self._pool.ensure_connection(connection)
        commands = [("EVALSHA", digest, len(keys), *keys, *arguments) for digest, keys, arguments in scripts]
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response(timeout=math.inf))
            except ResponseError as error:
                replies.append(error)
        return replies
