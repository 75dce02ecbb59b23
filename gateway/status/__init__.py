"""The state of the house, for operators: ``/api/status``, and the same as a stream.

See docs/decisions/0027-status.md.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from google.protobuf.descriptor import ServiceDescriptor

from gateway.config import GatewaySettings
from gateway.status.access import Operators
from gateway.status.document import status_paths
from gateway.status.pages import StatusPages
from gateway.status.peers import open_peers
from gateway.status.reports import Reports
from gateway.status.watchers import Watchers
from mesh.status import ProcessStatus

__all__ = ["StatusPages", "open_status", "status_paths"]


@asynccontextmanager
async def open_status(
    settings: GatewaySettings, services: Iterable[ServiceDescriptor], own: ProcessStatus
) -> AsyncIterator[StatusPages]:
    """The pages, for as long as the block lasts.

    Args:
        settings: where the rooms are, and who is an operator.
        services: those of the contract; their rooms are asked.
        own: how the gateway is.
    """
    async with open_peers(settings, services, resolve_seconds=settings.resolve_seconds) as peers:
        reports = Reports(settings, own, peers)
        watchers = Watchers(settings, reports)
        try:
            yield StatusPages(Operators(settings.operator_networks), reports, watchers)
        finally:
            await watchers.close()
            await reports.close()
