"""``/breakers`` of the admin port, which every process has, the gateway too: BreakerService in JSON.

GET lists (ListBreakersResponse), POST sets (SetBreakerStateRequest -> SetBreakerStateResponse).
"""

from functools import partial

from gaji.mesh.v1 import breaker_service_pb2 as pb

from mesh.breaker.registry import Breakers
from mesh.breaker.servicer import forced, listed
from mesh.operator_page import Action, Page, operator_page


def breakers_page(breakers: Breakers) -> Page:
    """The page, as a WSGI application.

    Args:
        breakers: the process's.
    """
    return operator_page(
        Action(pb.ListBreakersRequest, partial(listed, breakers)),
        Action(pb.SetBreakerStateRequest, partial(forced, breakers)),
        what="breakers",
        command="gaji breaker",
        example='{"peer": "search"}',
    )
