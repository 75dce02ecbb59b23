"""The pages, which look at who asks."""

from collections.abc import Mapping

import orjson

from gateway.app import Own
from gateway.http import NO_STORE, Request
from gateway.status.access import Operators
from gateway.status.document import PATH, STREAM_PATH
from gateway.status.reports import Reports
from gateway.status.watchers import Watchers


class StatusPages:
    """What answers at the two paths.

    Args:
        operators: who may see it.
        reports: what is seen.
        watchers: the same as a stream.
    """

    def __init__(self, operators: Operators, reports: Reports, watchers: Watchers) -> None:
        self._operators = operators
        self._reports = reports
        self._watchers = watchers
        self.pages: Mapping[str, Own] = {PATH: self._report, STREAM_PATH: self._stream}

    def end(self) -> None:
        """Lets go of all who watch."""
        self._watchers.end()

    async def _report(self, request: Request) -> None:
        self._operators.check(request)
        await request.respond(200, orjson.dumps(await self._reports.newest()), [NO_STORE])

    async def _stream(self, request: Request) -> None:
        self._operators.check(request)
        if request.permit is not None:  # streams have a bound of their own
            request.permit.end()
        await self._watchers.answer(request)
