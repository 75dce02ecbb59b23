"""Prints a configuration: ``python -m gateway.edge {envoy,nginx} --host gaji.example --gateway gateway-1:8080 ...``.

Limits and times come from the gateway's own settings (``GAJI_*``), so that both agree; paths from its contract.
"""

import argparse
import sys
from collections.abc import Sequence
from ipaddress import ip_network

from gateway.bindings import routes_of
from gateway.config import GatewaySettings
from gateway.contract import load_contract
from gateway.edge import Front, Tls, envoy_config, nginx_config, plan_of

_MAKERS = {"envoy": envoy_config, "nginx": nginx_config}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints it, or says what is wrong and ends with 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    usual = Front()
    try:
        tls = None if options.plain else Tls(options.certificate, options.key)
        front = Front(
            hosts=options.host or usual.hosts,
            gateways=options.gateway or usual.gateways,
            address=options.address,
            port=options.port or (80 if tls is None else usual.port),
            redirect_port=options.redirect_port,
            tls=tls,
            # Few builds of nginx have it.
            http3=tls is not None and (options.edge == "envoy" if options.http3 is None else options.http3),
            admin=options.admin,
            source=options.source,
            front_networks=options.behind or (),
            connections=options.connections,
            heap_bytes=options.heap_mib * 1024**2,
            rate_factor=options.rate_factor,
            access_log=options.access_log,
            otlp=options.otlp,
            trace_percent=options.trace_percent,
            user=options.user,
        )
        settings = GatewaySettings()
        if options.edge == "envoy":
            _check_trusted(front.front_networks, settings.trusted_proxies)
        routes = routes_of(load_contract(settings.descriptors_file))
        text = _MAKERS[options.edge](plan_of(routes, settings, front.rate_factor), front)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(text)


def _check_trusted(fronts: Sequence[str], trusted: Sequence[str]) -> None:
    """Behind Envoy gateways find a balancer's address in front of the edge's, and must know it; nginx leaves it out.

    Raises:
        ValueError: gateways trust somebody, and not it; or it is no network.
    """
    for text in fronts:
        front = ip_network(text)
        if trusted and not any(
            # The types of both are one: their versions are compared first.
            front.version == known.version and front.subnet_of(known)  # type: ignore[arg-type]
            for known in map(ip_network, trusted)
        ):
            raise ValueError(f"--behind {text}: GAJI_TRUSTED_PROXIES must name it as well, beside the edges")


def _parser() -> argparse.ArgumentParser:
    usual = Front()
    parser = argparse.ArgumentParser("python -m gateway.edge", description="Prints an edge's configuration.")
    add = parser.add_argument
    add("edge", choices=sorted(_MAKERS))
    add("--host", action="append", help=f"a name that readers call it by, or *; default: {', '.join(usual.hosts)}")
    add("--gateway", action="append", metavar="HOST:PORT", help=f"default: {', '.join(usual.gateways)}")
    add("--address", default=usual.address, help="where it listens; default: %(default)s")
    add("--port", type=int, default=0, help="of HTTPS; default: 443, with --plain 80")
    add("--redirect-port", type=int, default=usual.redirect_port, help="of plain HTTP; 0: none; default: %(default)s")
    add("--certificate", default=Tls().certificate, help="PEM; default: %(default)s")
    add("--key", default=Tls().key, help="PEM; default: %(default)s")
    add("--plain", action="store_true", help="no TLS: something in front ends it")
    add("--http3", action=argparse.BooleanOptionalAction, help="default: of Envoy; nginx has it where it was built so")
    add("--admin", default=usual.admin, metavar="HOST:PORT", help="of Envoy's own pages; default: %(default)s")
    add("--source", default="", metavar="ADDRESS", help="that gateways are called from")
    add("--behind", action="append", metavar="CIDR", help="of a load balancer in front, which gateways trust as well")
    add("--connections", type=int, default=usual.connections, help="of readers at once; default: %(default)s")
    add("--heap-mib", type=int, default=usual.heap_bytes // 1024**2, help="that Envoy may take; default: %(default)s")
    add("--rate-factor", type=float, default=usual.rate_factor, help="times the gateways' rates; default: %(default)s")
    add("--access-log", default=usual.access_log, help="file; default: %(default)s")
    add("--otlp", default="", metavar="HOST:PORT", help="collector of Envoy's traces")
    add("--trace-percent", type=float, default=usual.trace_percent, help="of traces recorded; default: %(default)s")
    add("--user", default="", help="whom nginx's workers run as, where root starts it")
    return parser


if __name__ == "__main__":
    main()
