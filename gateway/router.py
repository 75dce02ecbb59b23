"""Finds the route of a request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from gateway.bindings import Route
from gateway.errors import EdgeError, bad_request
from mesh.errors import NotFound, Unimplemented

_SHOWN = 200
"""How much of a path an error repeats."""


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    variable: "_Node | None" = None
    ends: dict[str, dict[str, Route]] = field(default_factory=dict)  # ":verb" without the colon -> HTTP method -> route


@dataclass(frozen=True, slots=True)
class Match:
    """A route and the values of its path variables, decoded, by field path."""

    route: Route
    variables: dict[str, str]


class Router:
    """Matches paths segment by segment; a literal goes before a variable.

    Raises:
        ValueError: two routes have the same method and path.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(self, method: str, raw_path: str) -> Match:
        """The route for a method and a path as it came, percent-encoded.

        HEAD is answered where GET is, streams excepted: a HEAD must not begin anything.

        Raises:
            EdgeError: 404 for an unknown path, 405 with Allow for a method that the path does not take.
            InvalidArgument: a segment is not UTF-8.
        """
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for routes, values in self._ends(raw_path):
            route = routes.get(wanted)
            if route is not None and not (method == "HEAD" and route.streaming):
                return Match(route, dict(zip(route.template.variables, values, strict=True)))
            allowed |= _allowed(routes)
        if allowed:
            raise method_not_allowed(method, allowed)
        raise EdgeError(404, NotFound(f"there is nothing at {raw_path[:_SHOWN]}; see /docs", reason="ROUTE_NOT_FOUND"))

    def allowed(self, raw_path: str) -> set[str]:
        """The methods that a path takes; empty for an unknown path."""
        return set().union(*(_allowed(routes) for routes, _ in self._ends(raw_path)))

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.template.segments:
            if segment is None:
                node.variable = node = node.variable or _Node()
            else:
                node = node.literals.setdefault(segment, _Node())
        end = node.ends.setdefault(route.template.verb, {})
        if route.verb in end:
            other = end[route.verb].rpc.full_name
            raise ValueError(f"{route.verb} {route.template.text} is bound by {other} and by {route.rpc.full_name}")
        end[route.verb] = route

    def _ends(self, raw_path: str) -> Iterator[tuple[dict[str, Route], list[str]]]:
        if not raw_path.startswith("/"):  # "*", which is for OPTIONS, or an absolute URI without a path
            return
        *inner, last = raw_path.split("/")[1:]
        segments = [_decoded(segment) for segment in inner]
        head, colon, verb = last.rpartition(":")
        if colon:
            for node, values in _walk(self._root, [*segments, _decoded(head)], []):
                if verb in node.ends:
                    yield node.ends[verb], values
        for node, values in _walk(self._root, [*segments, _decoded(last)], []):
            if "" in node.ends:
                yield node.ends[""], values


def method_not_allowed(method: str, allowed: set[str]) -> EdgeError:
    """405 with the methods that would do."""
    names = ", ".join(sorted(allowed))
    error = Unimplemented(f"{method} is not possible here; use {names}", reason="METHOD_NOT_ALLOWED")
    return EdgeError(405, error, [(b"allow", names.encode())])


def _walk(node: _Node, segments: list[str], values: list[str]) -> Iterator[tuple[_Node, list[str]]]:
    if not segments:
        yield node, values
        return
    segment, *rest = segments
    if segment in node.literals:
        yield from _walk(node.literals[segment], rest, values)
    if node.variable is not None and segment:
        yield from _walk(node.variable, rest, [*values, segment])


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"the path segment {segment!r} is not UTF-8", "INVALID_PATH") from error


def _allowed(routes: dict[str, Route]) -> set[str]:
    methods = set(routes) | {"OPTIONS"}
    if "GET" in routes and not routes["GET"].streaming:
        methods.add("HEAD")
    return methods
