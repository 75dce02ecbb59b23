"""The schemas of the package kubernetes-validate, read once: its own `validate` reads all of them for each document."""

import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes_validate import latest_version
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

NEWEST: str = latest_version()


@cache
def _definitions(version: str) -> Registry[Any]:
    definitions = schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version)
    return Resource.from_contents(definitions) @ Registry()


@cache
def _validator(version: str, api: str, kind: str) -> Any:
    # rbac.authorization.k8s.io/v1 -> rbac-v1
    group = re.sub(r"^([^./]*)(?:[.][^/]*)?/", r"\1-", api)
    name = f"{kind.lower()}-{group}.json"
    schema = schema_contents(f"kubernetes-json-schema/v{version}-local-strict/{name}", version)
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(version))


def check(document: dict[str, Any], version: str) -> None:
    """Whether a document is what a release of Kubernetes takes, with no field that it does not know.

    Raises:
        jsonschema.ValidationError: it is not.
        FileNotFoundError: that release knows no such kind.
    """
    _validator(version, document["apiVersion"], document["kind"]).validate(document)
