"""/docs: the OpenAPI document as one page that loads nothing from anywhere."""

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from gateway.app import Answer
from gateway.middleware import page_policy

Json = dict[str, Any]
_CODE = re.compile(r"`([^`]+)`")

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--soft:#5d6873;--line:#dfe3e8;--paper:#fff;--card:#f7f8fa;--link:#2456a6}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#98a3ae;--line:#333b44;--paper:#14181c;--card:#1c2127;--link:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
.page{max-width:72rem;margin:0 auto;padding:2rem 1.25rem}
.page{display:grid;grid-template-columns:15rem minmax(0,1fr);gap:2.5rem}
nav{position:sticky;top:2rem;align-self:start;max-height:calc(100vh - 4rem);overflow:auto;font-size:.85rem}
nav ul{list-style:none;margin:0 0 1rem;padding:0}
nav a{color:var(--soft);text-decoration:none;display:block;padding:.1rem 0}
a{color:var(--link)}nav a:hover{color:var(--link)}
h1{margin:0}h2{margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}
code{font:.85em/1.5 ui-monospace,Consolas,monospace}
details{background:var(--card);border:1px solid var(--line);border-radius:.5rem;margin:.6rem 0;padding:.5rem .9rem}
summary{cursor:pointer;overflow-wrap:anywhere}
summary b{display:inline-block;min-width:4.2em;font:600 .75rem ui-monospace,monospace}
.get{color:#1a7f4b}.post{color:#2456a6}.patch,.put{color:#9a6700}.delete{color:#b3261e}
.soft{color:var(--soft)}
.tag{font-size:.75rem;border:1px solid var(--line);border-radius:1rem;padding:0 .5rem;color:var(--soft)}
h4{margin:1rem 0 .25rem;font-size:.85rem;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
td{border-top:1px solid var(--line);padding:.35rem .6rem .35rem 0;vertical-align:top}
td:first-child{white-space:nowrap}
details>div{scroll-margin-top:5rem}
@media(max-width:48rem){.page{grid-template-columns:minmax(0,1fr)}
nav{position:static;max-height:none}nav ul{display:none}nav a{display:inline-block;margin-right:1rem}}
"""


def docs_page(document: Json) -> Answer:
    """The page for an OpenAPI document."""
    body = "".join(_page(document)).encode()
    return Answer(200, body, b"text/html; charset=utf-8", [page_policy([_STYLE], [])])


def _page(document: Json) -> Iterator[str]:
    info, schemas = document["info"], document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            by_tag[operation["tags"][0]].append((path, verb, operation))
    title = escape(info["title"])
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} API</title>'
    yield f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style>'
    yield '<div class="page"><nav>'
    for tag, operations in by_tag.items():
        yield f'<a href="#{tag}"><b>{escape(tag)}</b></a><ul>'
        # One call may be bound to several routes: the first stands for them.
        firsts = {op["summary"]: op["operationId"] for _, _, op in reversed(operations)}
        yield from (f'<li><a href="#{firsts[summary]}">{escape(summary)}</a></li>' for summary in reversed(firsts))
        yield "</ul>"
    yield f'<a href="#schemas"><b>Messages</b></a></nav><main><h1>{title}</h1><p>{_prose(info["description"])}</p>'
    yield f'<p class="soft">Version {escape(info["version"])} · <a href="/openapi.json">openapi.json</a></p>'
    yield "<p>Calls take <code>Authorization: Bearer</code> with an access token, which a guest gets by "
    yield '<code>POST /api/auth/guest</code>, except those marked <span class="tag">no token needed</span>.</p>'
    for tag in document["tags"]:
        yield f'<h2 id="{tag["name"]}">{escape(tag["name"])}</h2><p class="soft">{_prose(tag["description"])}</p>'
        for path, verb, operation in by_tag[tag["name"]]:
            yield from _operation(path, verb, operation)
    yield '<h2 id="schemas">Messages</h2>'
    for name, schema in schemas.items():
        yield f'<details><summary>{escape(name)}</summary><div id="schema-{name}">'
        yield f"<p>{_prose(schema.get('description', ''))}</p>{_fields(schema)}</div></details>"
    yield "</main></div></html>"


def _operation(path: str, verb: str, operation: Json) -> Iterator[str]:
    yield "<details><summary>"
    yield f'<b class="{verb}">{verb.upper()}</b><code>{escape(path)}</code> '
    yield f'<span class="soft">{escape(operation["summary"])}</span>'
    yield "</summary>" if operation["security"] else ' <span class="tag">no token needed</span></summary>'
    yield f'<div id="{operation["operationId"]}">'  # a link into a closed box opens it
    if "description" in operation:
        yield f"<p>{_prose(operation['description'])}</p>"
    if "parameters" in operation:
        rows = "".join(
            _row(f"{p['name']} ({p['in']})", _type(p["schema"]), p.get("description", ""))
            for p in operation["parameters"]
        )
        yield f"<h4>Parameters</h4><table>{rows}</table>"
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        schema = content["schema"]
        yield f"<h4>Body</h4>{_fields(schema) if 'properties' in schema else _type(schema)}"
    yield "<h4>Answers</h4><table>"
    for status, response in operation["responses"].items():
        yield from _response(status, response)
    yield "</table></div></details>"


def _response(status: str, response: Json) -> Iterator[str]:
    content = response.get("content", {})
    events = content.get("text/event-stream", {}).get("x-events")
    schema = content.get("application/json", {}).get("schema")
    kind = _type(schema) if schema else "event stream" if events else "file" if "*/*" in content else ""
    yield _row(status, kind, response["description"])
    for name, event in (events or {}).items():
        yield _row(f"· {name}", _type(event), event.get("description", ""))


def _fields(schema: Json) -> str:
    rows = "".join(
        _row(name, _type(field), field.get("description", "")) for name, field in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else '<p class="soft">No fields.</p>'


def _row(name: str, kind: str, text: str) -> str:
    return f'<tr><td><code>{escape(name)}</code></td><td class="soft">{kind}</td><td>{_prose(text)}</td></tr>'


def _prose(text: str) -> str:
    """A comment as HTML; what stands between backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _type(schema: Json) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{escape(name)}</a>'
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return "<br>".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "anyOf" in schema:
        return _type(schema["anyOf"][0])
    return escape(schema.get("format") or schema.get("type", "any"))
