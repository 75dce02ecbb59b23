"""What an edge does with each request, whatever edge it is: read from the routes and settings of the gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.bindings import Route, Template, parse_template
from gateway.config import GatewaySettings
from gateway.limits import DEFAULT
from gateway.protocol import MAX_HEAD_BYTES
from gateway.status.document import PATH, STREAM_PATH
from mesh.retries import may_be_repeated

MARGIN_SECONDS = 5.0
"""How much longer than the gateway an edge waits: the gateway's own words for what is too slow are better."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One method of one path.

    Attributes:
        method: the HTTP method.
        template: the path, as in the contract.
        literal: whether the path has no variables.
        pattern: a regular expression (RE2 and PCRE) for the whole path, percent-encoded as it came.
        stream: whether it is answered by events.
        seconds: the gateway's deadline.
        body_bytes: the largest body; 0: none is taken.
        again: whether it may be asked of another gateway when the answer of the first is lost.
        key: the parameter of a GET that makes repeated requests one; empty: there is none.
        limit: the stricter rate that it counts under as well; empty: none.
    """

    method: str
    template: str
    literal: bool
    pattern: str
    stream: bool
    seconds: float
    body_bytes: int
    again: bool
    key: str
    limit: str


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests of an address: ``rate`` a second, ``burst`` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from the contract and from the gateway's settings.

    Attributes:
        rules: of all paths that need one, the first that fits counts; other paths have the defaults.
        rates: by policy; ``default`` counts for all requests.
        seconds: the deadline of what has no rule.
        body_bytes: the largest body of what has no rule.
        head_bytes: the largest head of a request.
        head_seconds, body_seconds: how long a client may take for each.
        idle_seconds: how long nothing may happen on a request that runs: longer than the gateway's heartbeat, and than
            it bears a reader who takes nothing, so that it is the gateway that says something.
        connections: what one gateway takes.
        connections_per_address: what an address may have open; 0: any number.
    """

    rules: Sequence[Rule]
    rates: Mapping[str, Rate]
    seconds: float
    body_bytes: int
    head_bytes: int
    head_seconds: float
    body_seconds: float
    idle_seconds: float
    connections: int
    connections_per_address: int


def plan_of(routes: Sequence[Route], settings: GatewaySettings, factor: float) -> Plan:
    """Makes the plan.

    Args:
        routes: all that the gateway answers by the contract.
        settings: the gateway's.
        factor: how many times what the gateways allow an address the edge allows it; 0: anything.

    Raises:
        ValueError: the gateway believes a header that the edges do not write.
    """
    if settings.proxy_header != "x-forwarded-for":
        raise ValueError("the edges write X-Forwarded-For: set GAJI_PROXY_HEADER=x-forwarded-for, or leave it unset")
    rules = [_rule(route, settings) for route in routes]
    own = {PATH: settings.default_timeout, STREAM_PATH: settings.stream_timeout}
    for path, seconds in own.items():
        rules.append(
            Rule("GET", path, True, pattern_of(parse_template(path)), path == STREAM_PATH, seconds, 0, True, "", "")
        )
    return Plan(
        rules=sorted(rules, key=_precedence),
        rates=_rates(rules, settings, factor),
        seconds=settings.default_timeout,
        body_bytes=settings.max_body_bytes,
        head_bytes=MAX_HEAD_BYTES,
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        idle_seconds=max(4 * settings.heartbeat_seconds, settings.stall_seconds) + MARGIN_SECONDS,
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
    )


def pattern_of(template: Template) -> str:
    """A regular expression for the whole path.

    A variable is one segment and never empty, as for the gateway's router, so ``%2F`` in it is data.
    """
    parts = ["[^/]+" if segment is None else segment.replace(".", r"\.") for segment in template.segments]
    verb = ":" + template.verb.replace(".", r"\.") if template.verb else ""
    return "/" + "/".join(parts) + verb


def _rule(route: Route, settings: GatewaySettings) -> Rule:
    usual = settings.stream_timeout if route.streaming else settings.default_timeout
    return Rule(
        method=route.verb,
        template=route.template.text,
        literal=None not in route.template.segments,
        pattern=pattern_of(route.template),
        stream=route.streaming,
        seconds=route.timeout or usual,
        body_bytes=(route.max_body_bytes or settings.max_body_bytes) if route.body else 0,
        again=may_be_repeated(route.rpc),
        key=route.key_field if route.verb == "GET" else "",
        limit=route.limit,
    )


def _precedence(rule: Rule) -> tuple[object, ...]:
    """As the gateway's router decides: a literal goes before a variable, ``:verb`` before a value with a colon."""
    template = parse_template(rule.template)
    segments = tuple((segment is None, segment or "") for segment in template.segments)
    return segments, not template.verb, template.verb, rule.method


def _rates(rules: Sequence[Rule], settings: GatewaySettings, factor: float) -> dict[str, Rate]:
    if not factor:
        return {}
    rates = {DEFAULT: Rate(settings.rate_limit * factor, round(settings.rate_burst * factor))}
    for name in sorted({rule.limit for rule in rules} - {""}):
        rate, burst = getattr(settings, f"{name}_rate"), getattr(settings, f"{name}_burst")
        rates[name] = Rate(rate * factor, round(burst * factor))
    return {name: rate for name, rate in rates.items() if rate.rate}
