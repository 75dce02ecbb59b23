"""What hostile tests share: how many cases they try, and the contract's routes."""

import os

import pytest

from gateway.bindings import Route, routes_of
from gateway.contract import load_contract
from tests.e2e.conftest import reader, talk  # noqa: F401 - fixtures

ROUTES = routes_of(load_contract(None))
CASES = int(os.environ.get("GAJI_FUZZ_CASES", "500"))
"""Cases of each fuzz test; ``make fuzz`` tries many more than the suite does."""


def route_id(route: Route) -> str:
    """A name for a parametrized test."""
    return f"{route.verb} {route.template.text}"


every_route = pytest.mark.parametrize("route", ROUTES, ids=route_id)
