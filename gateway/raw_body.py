"""Bodies that are files: of a route whose body is a field of bytes, the request's body is that field as it is.

So a browser sends a file without base64, and shows how far it is; the other fields stand in the query.
"""

from functools import cache

from google.protobuf.descriptor import FieldDescriptor

from gateway.bindings import Route, field_at


@cache
def takes_bytes(route: Route) -> bool:
    """Whether a route's body is not JSON but bytes of any type."""
    if route.body in {"", "*"}:
        return False
    field = field_at(route.rpc.input_type, route.body)
    return bool(field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated)
