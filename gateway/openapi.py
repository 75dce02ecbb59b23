"""The OpenAPI 3.1 document of the routes, with the contract's own words (https://spec.openapis.org/oas/v3.1.0)."""

import sys
from collections.abc import Collection, Iterator, Sequence
from importlib import metadata

import orjson
from google.protobuf.descriptor import FieldDescriptor

from gateway.annotated import LAST_EVENT_ID
from gateway.auth import ACCESS_COOKIE, TICKET_PARAMETER, takes_tickets
from gateway.bindings import Route, field_at, routes_of
from gateway.contract import Contract, load_contract
from gateway.files import is_file
from gateway.keys_page import PATH as KEYS_PATH
from gateway.origin import changes
from gateway.raw_body import takes_bytes
from gateway.schemas import Json, Schemas, messages_sent
from gateway.status.document import status_paths

_ERRORS = {
    "400": "The request does not fit; `fields` says where.",
    "401": "There is no valid access token, or what was sent to get one is not right.",
    "403": "It would use a reader's cookies, and comes from a page of another origin.",
    "404": "There is no such thing, or it is not yours.",
    "408": "The body did not come in time.",
    "409": "It is there already, or somebody else was faster.",
    "413": "The body is too large.",
    "415": "The body is not JSON in UTF-8.",
    "429": "Too much; Retry-After says when to come back.",
    "503": "A service does not answer; try again.",
    "504": "It took too long.",
}
_OF_BODIES = {"408", "413", "415"}
_OF_CHANGES = {"403", "409"}
_ERROR_SCHEMA: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "reason", "message", "fields"],
            "properties": {
                "code": {"type": "string", "description": "The gRPC status code's name."},
                "reason": {"type": "string", "description": "Stable, for programs."},
                "message": {"type": "string", "description": "For people."},
                "fields": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Request field -> what is wrong with it.",
                },
            },
        }
    },
}

_RAW: Json = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FILE: Json = {
    "description": "A file, of the content type that it has.",
    "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {"Content-Disposition": {"schema": {"const": "attachment"}}},
}


def openapi_document(contract: Contract, routes: Sequence[Route]) -> Json:
    """The document, ready for JSON."""
    return _Builder(contract, messages_sent(routes)).document(routes)


class _Builder:
    def __init__(self, contract: Contract, sent: Collection[str]) -> None:
        self._contract = contract
        self._schemas = Schemas(contract, sent)

    def document(self, routes: Sequence[Route]) -> Json:
        paths: dict[str, Json] = {}
        used: set[str] = set()
        tags: dict[str, Json] = {}
        for route in routes:
            service = route.rpc.containing_service
            tags[service.name] = {"name": service.name, "description": self._contract.comment(service.full_name)}
            paths.setdefault(route.template.text, {})[route.verb.lower()] = self._operation(route, used)
        paths.update(_own_paths())
        paths.update(status_paths(self._contract, self._schemas))
        tags["Gateway"] = {"name": "Gateway", "description": "The gateway itself."}
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Gaji",
                "version": metadata.version("gaji"),
                "description": "What-if scenarios for novels and talks with their characters.",
            },
            "tags": list(tags.values()),
            "paths": paths,
            "components": {
                "schemas": {**dict(sorted(self._schemas.components.items())), "Error": _ERROR_SCHEMA},
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "cookie": {"type": "apiKey", "in": "cookie", "name": ACCESS_COOKIE},
                    "ticket": {"type": "apiKey", "in": "query", "name": TICKET_PARAMETER},
                },
            },
        }

    def _operation(self, route: Route, used: set[str]) -> Json:
        comment = self._contract.comment(route.rpc.full_name)
        summary, _, rest = comment.partition(". ")
        operation: Json = {
            "operationId": _unique(route.rpc.name, used),
            "tags": [route.rpc.containing_service.name],
            "summary": summary.rstrip(".") or route.rpc.name,
        }
        if rest:
            operation["description"] = rest
        parameters = [*self._path_parameters(route), *self._query_parameters(route), *_header_parameters(route)]
        if parameters:
            operation["parameters"] = parameters
        if route.body:
            operation["requestBody"] = {"content": _RAW if takes_bytes(route) else self._json(route)}
        operation["responses"] = self._successes(route) | _errors(route)
        ticket: list[Json] = [{"ticket": []}] if takes_tickets(route) else []
        operation["security"] = [] if route.public else [{"bearer": []}, {"cookie": []}, *ticket]
        return operation

    def _json(self, route: Route) -> Json:
        return {"application/json": {"schema": self._body_schema(route)}}

    def _path_parameters(self, route: Route) -> Iterator[Json]:
        for path in route.template.variables:
            yield self._parameter(field_at(route.rpc.input_type, path), path, "path")

    def _query_parameters(self, route: Route) -> Iterator[Json]:
        if route.body == "*":
            return
        for field in route.rpc.input_type.fields:
            if field.name != route.body and field.name not in route.template.variables and field.message_type is None:
                yield self._parameter(field, field.name, "query")

    def _parameter(self, field: FieldDescriptor, name: str, where: str) -> Json:
        schema = self._schemas.field(field)
        description = schema.pop("description", "")
        parameter = {"name": name, "in": where, "required": where == "path", "schema": schema}
        return parameter | ({"description": description} if description else {})

    def _body_schema(self, route: Route) -> Json:
        message = route.rpc.input_type
        if route.body != "*":
            return self._schemas.field(field_at(message, route.body))
        left_out = set(route.template.variables)
        if not left_out:
            return self._schemas.reference(message)
        return self._schemas.message(message, left_out)

    def _successes(self, route: Route) -> Json:
        if not route.streaming:
            return {str(route.status): self._success(route)}
        nothing = "Nothing comes, or nothing more after the given place: the stream had ended. EventSource stops then."
        return {"200": self._success(route), "204": {"description": nothing}}

    def _success(self, route: Route) -> Json:
        comment = self._contract.comment(route.rpc.output_type.full_name)
        if route.streaming:
            return {
                "description": "A stream of events: " + self._events_text(route),
                "content": {"text/event-stream": {"schema": {"type": "string"}, "x-events": self._events(route)}},
            }
        if route.status == 204:
            return {"description": "Done."}
        if is_file(route):
            return _FILE
        if route.response_body:
            schema = self._schemas.field(field_at(route.rpc.output_type, route.response_body))
        else:
            schema = self._schemas.reference(route.rpc.output_type)
        return {"description": comment or "Done.", "content": {"application/json": {"schema": schema}}}

    def _events(self, route: Route) -> Json:
        arms = {field.name: self._schemas.field(field) for field in _arms(route)}
        failed = {"type": "object", "description": "The stream could not be completed."}
        return arms if "failed" in arms else arms | {"failed": failed}

    def _events_text(self, route: Route) -> str:
        return "; ".join(
            f"`{field.name}`: {self._contract.comment(field.full_name).rstrip('.')}" for field in _arms(route)
        )


def _header_parameters(route: Route) -> Iterator[Json]:
    if route.resume_field:
        yield {
            "name": LAST_EVENT_ID,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": f"The same as `{route.resume_field}`, and goes before it; EventSource sends it by itself.",
        }


def _arms(route: Route) -> Sequence[FieldDescriptor]:
    return list(route.rpc.output_type.oneofs_by_name["event"].fields)


def _errors(route: Route) -> Json:
    # Public routes are those that give tokens, and refuse what tokens are given for.
    left_out = set() if changes(route) else _OF_CHANGES
    left_out = left_out | (set() if route.body else _OF_BODIES)
    codes = [code for code in _ERRORS if code not in left_out]
    return {
        code: {
            "description": _ERRORS[code],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for code in codes
    }


def _own_paths() -> Json:
    texts = {
        "/health": ("Whether the gateway lives", "It does."),
        "/ready": ("Whether all services serve", "All serve; with status 503, not all."),
        "/openapi.json": ("This document", "The document."),
        KEYS_PATH: ("The keys that access tokens are verified with", "A JWK set (RFC 7517)."),
    }
    return {
        path: {
            "get": {
                "operationId": path.rpartition("/")[2].partition(".")[0],
                "tags": ["Gateway"],
                "summary": summary,
                "responses": {
                    "200": {"description": answer, "content": {"application/json": {"schema": {"type": "object"}}}}
                },
                "security": [],
            }
        }
        for path, (summary, answer) in texts.items()
    }


def _unique(name: str, used: set[str]) -> str:
    number = 1
    candidate = name
    while candidate in used:
        number += 1
        candidate = f"{name}_{number}"
    used.add(candidate)
    return candidate


def main() -> None:
    """Prints Gaji's own document, for those who generate from it and run no gateway."""
    contract = load_contract()
    sys.stdout.buffer.write(orjson.dumps(openapi_document(contract, routes_of(contract)), option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
