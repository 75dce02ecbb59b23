"""The status in the OpenAPI document."""

from gateway.contract import Contract
from gateway.schemas import Json, Schemas

PATH = "/api/status"
STREAM_PATH = "/api/status/stream"
_STATUS = "gaji.mesh.v1.Status"
_REPORT = "StatusReport"
_REFERENCE: Json = {"$ref": f"#/components/schemas/{_REPORT}"}


def status_paths(contract: Contract, schemas: Schemas) -> Json:
    """The paths; what they answer is added to the schemas.

    Args:
        contract: has the words for what a process tells of itself, where it is the mesh's own.
        schemas: gets the report.
    """
    try:
        status = schemas.reference(contract.pool.FindMessageTypeByName(_STATUS))
    except KeyError:  # a contract without the mesh's
        status = {"type": "object"}
    schemas.components[_REPORT] = _report(status)
    json = {"application/json": {"schema": _REFERENCE}}
    events = {"text/event-stream": {"schema": {"type": "string"}, "x-events": {"status": _REFERENCE}}}
    return {
        PATH: _get("status", "How all services are, for operators", "A report.", json),
        STREAM_PATH: _get(
            "statusStream",
            "The same, told again and again",
            "A stream of events: `status`: a report, every GAJI_STATUS_SECONDS.",
            events,
            **{"429": "As many watch already as may."},
        ),
    }


def _report(status: Json) -> Json:
    service = {
        "type": "object",
        "required": ["service", "address", "health", "error"],
        "properties": {
            "service": {"type": "string", "description": "What it serves; the gateway comes first."},
            "address": {"type": "string", "description": "Where it is, as the settings of the gateway say."},
            "health": {"type": "string", "enum": ["SERVING", "NOT_SERVING", "UNREACHABLE"]},
            "error": {"type": "string", "description": "Why there is no status; empty: there is one."},
            "seconds": {"type": "number", "description": "How long it took to answer."},
            "status": status,
        },
    }
    return {
        "type": "object",
        "description": "How all services are.",
        "required": ["time", "interval_seconds", "services"],
        "properties": {
            "time": {"type": "string", "format": "date-time", "description": "When they were asked."},
            "interval_seconds": {"type": "number", "description": "How often they are, while anybody watches."},
            "services": {"type": "array", "items": service},
        },
    }


def _get(name: str, summary: str, answer: str, content: Json, **more: str) -> Json:
    refusals = {"403": "It is for clients in GAJI_OPERATOR_NETWORKS alone.", **more}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: Json = {"200": {"description": answer, "content": content}}
    responses |= {code: {"description": text, "content": error} for code, text in refusals.items()}
    return {
        "get": {
            "operationId": name,
            "tags": ["Gateway"],
            "summary": summary,
            "responses": responses,
            "security": [],
        }
    }
