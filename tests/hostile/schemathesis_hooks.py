"""Puts ids that exist into most of schemathesis's requests, so that they get behind the look-up of the id.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS); the ids are in GAJI_FUZZ_IDS as JSON, by field.
"""

import json
import os
import random
from typing import Any

import schemathesis

IDS: dict[str, str] = json.loads(os.environ["GAJI_FUZZ_IDS"])
_KEPT = 0.3
_random = random.Random(7)


def _known(values: Any) -> Any:
    if isinstance(values, dict):
        for name in values.keys() & IDS.keys():
            if _random.random() > _KEPT:
                values[name] = IDS[name]
    return values


@schemathesis.hook
def map_path_parameters(_context: Any, path_parameters: Any) -> Any:
    """Those of the path."""
    return _known(path_parameters)


@schemathesis.hook
def map_query(_context: Any, query: Any) -> Any:
    """Those of the query."""
    return _known(query)


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Those of the body."""
    return _known(body)
