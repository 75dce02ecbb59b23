"""Which methods share a breaker: those of a service that are alike, unary ones or streams."""

from collections.abc import Sequence
from contextlib import suppress

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

# Health and reflection are how a peer's state is found out, and the mesh's own services must be reached most of all
# when calls fail: an operator's, and the relay, which finds its way back by itself and whose calls are watched one by
# one.
_UNWATCHED = ("/grpc.", "/gaji.mesh.")


def is_watched(method: str) -> bool:
    """Whether a method, given by its path, has a breaker."""
    return not method.startswith(_UNWATCHED)


class Grouping:
    """Finds the group of a method: ``SearchService/unary``, ``SearchService/stream``.

    So long streams (an ingestion) never open the breaker of short calls (a search), nor the other way round.

    Args:
        services: descriptors of the services that will be called; others are looked for among the loaded contracts.
    """

    def __init__(self, services: Sequence[ServiceDescriptor]) -> None:
        self._groups: dict[str, str] = {}
        for service in services:
            self._learn(service)

    @property
    def known(self) -> list[str]:
        """The groups of the known services' watched methods."""
        return sorted({group for path, group in self._groups.items() if is_watched(path)})

    def group(self, method: str) -> str:
        """The group of a method, given by its path; one that no contract knows counts as unary."""
        if method not in self._groups:
            service, _, _ = method.removeprefix("/").partition("/")
            with suppress(KeyError):
                self._learn(descriptor_pool.Default().FindServiceByName(service))
            self._groups.setdefault(method, f"{service.rpartition('.')[2]}/unary")
        return self._groups[method]

    def _learn(self, service: ServiceDescriptor) -> None:
        for method in service.methods:
            self._groups[f"/{service.full_name}/{method.name}"] = f"{service.name}/{_shape(method)}"


def _shape(method: MethodDescriptor) -> str:
    return "stream" if method.server_streaming or method.client_streaming else "unary"
