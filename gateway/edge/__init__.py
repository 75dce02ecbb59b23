"""Configurations of Envoy and nginx in front of the gateway, made from the contract that the gateway serves.

``python -m gateway.edge envoy`` and ``python -m gateway.edge nginx`` print them; docs/edge.md says what is in them.
"""

from gateway.edge.envoy import envoy_config
from gateway.edge.front import Front, Tls
from gateway.edge.nginx import nginx_config
from gateway.edge.plan import Plan, plan_of

__all__ = ["Front", "Plan", "Tls", "envoy_config", "nginx_config", "plan_of"]
